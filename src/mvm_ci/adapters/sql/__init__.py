"""The stores in SQLite: one writer thread that commits whatever gathered, readers beside it."""
