"""Which ready jobs go first: pure policy over lanes."""
