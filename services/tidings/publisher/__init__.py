"""Takes changes from mail storages and appends them to the log."""
