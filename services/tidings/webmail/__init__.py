"""A small mail web client on a Maildir: the demo, and the browser test's subject."""
