"""The engine: a pool of runner processes."""
