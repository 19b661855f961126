"""Commands on API tokens."""
