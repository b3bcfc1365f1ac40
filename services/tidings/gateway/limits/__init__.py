"""Pure: how much a client may have, say and hold."""
