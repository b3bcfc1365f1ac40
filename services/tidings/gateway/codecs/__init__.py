"""Pure: bytes to values and back, for each format on the public port."""
