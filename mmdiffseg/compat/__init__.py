"""Everything that exists only because of somebody else's version, one subject a file."""
