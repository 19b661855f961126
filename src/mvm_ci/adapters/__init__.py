"""One folder per foreign thing; each maps its errors to ours. Adapters do not know each other."""
