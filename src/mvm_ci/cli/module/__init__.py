"""Commands on modules."""
