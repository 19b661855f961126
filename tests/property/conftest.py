"""The fixtures that build and load real guests."""

from tests.integration.wasm.conftest import compiled, load, runtime

__all__ = ["compiled", "load", "runtime"]
