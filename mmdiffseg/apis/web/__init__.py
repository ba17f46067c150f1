"""The page of `mmdiffseg serve`: what it asks, what it is answered, and its files."""
