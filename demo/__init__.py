"""`make demo`: a durable job outlives the worker that runs it."""
