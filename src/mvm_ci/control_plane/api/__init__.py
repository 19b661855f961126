"""The HTTP API: bare ASGI, one table of routes."""
