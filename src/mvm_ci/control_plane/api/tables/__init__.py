"""The rows of the table of routes, one file a topic."""
