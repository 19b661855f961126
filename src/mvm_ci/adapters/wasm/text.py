"""Modules of their text."""

import wasmtime


def module_of_text(text: str) -> bytes:
    """The binary module that ``text`` (WebAssembly's text format) stands for. Raises ``ValueError`` if it is
    none.
    """
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise ValueError(str(error)) from None
