"""The use cases, one verb a file; knows ports only."""
