"""Commands on join tokens."""
