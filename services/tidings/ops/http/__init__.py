"""HTTP that every listener speaks: heads, bounds, credentials, errors."""
