"""The Maildir source: watch, look, compare, announce."""
