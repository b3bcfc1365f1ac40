"""Settings: fields, values, the environment and the command line."""
