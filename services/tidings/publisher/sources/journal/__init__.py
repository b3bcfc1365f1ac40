"""Changes that a program beside a mail server has kept on disk."""
