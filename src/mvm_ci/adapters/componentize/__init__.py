"""Python guests by componentize-py: from one ``job.py`` to a WebAssembly component."""
