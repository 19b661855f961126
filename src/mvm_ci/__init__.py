"""MVM-CI: WebAssembly jobs that survive the loss of the machine they run on."""

__version__ = "0.1.0"
