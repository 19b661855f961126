"""Tools for whoever sets up a cluster."""
