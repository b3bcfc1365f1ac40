"""The change log: one ordered, re-readable log per shard."""
