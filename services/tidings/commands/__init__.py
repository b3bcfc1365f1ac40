"""What each command runs, put together from services. `tidings.cli` imports one when it is needed."""
