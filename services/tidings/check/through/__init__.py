"""What is wrong on the way from a browser to the gateway, and what mends it."""
