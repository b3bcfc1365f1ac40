"""A process from start to stop, alone or as one of several workers."""
