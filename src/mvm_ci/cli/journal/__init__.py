"""Commands on journals."""
