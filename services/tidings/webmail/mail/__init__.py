"""Mail as strangers write it, read within bounds: offsets first, then only the bytes that are shown. Pure."""
