"""What `make release` does; docs/contribute/release.md says how to use it."""
