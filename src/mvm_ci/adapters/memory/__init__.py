"""The stores in memory: the readable model of the contracts, for tests and trials. Gone with the process."""
