"""An engine elsewhere, over its HTTP API: implements ``ports.engine.RemoteEngine``."""
