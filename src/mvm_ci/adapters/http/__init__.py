"""HTTP for guests, under the network policy."""
