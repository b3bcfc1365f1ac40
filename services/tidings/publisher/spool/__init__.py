"""What the log does not take is kept on disk and handed over later."""
