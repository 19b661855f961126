"""The engine as a service: it runs what workers without an engine of their own bring."""
