"""The sub-commands of `mmdiffseg`, one module each."""
