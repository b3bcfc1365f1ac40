"""The JMAP server that this gateway pushes for."""
