"""Commands on the profiles of the configuration file."""
