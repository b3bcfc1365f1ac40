"""Readers of the log: a feed and its window for each shard."""
