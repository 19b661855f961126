"""Content-addressed bytes, in files or in memory."""
