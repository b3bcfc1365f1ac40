"""What `make release` does; docs/release.md says how to use it."""
