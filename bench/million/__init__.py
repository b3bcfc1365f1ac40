"""A million parked connections on one machine: `make bench-million`."""
