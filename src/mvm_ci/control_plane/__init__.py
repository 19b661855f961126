"""The control plane's process: API, links to workers, dispatch."""
