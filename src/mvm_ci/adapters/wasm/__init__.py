"""WebAssembly by wasmtime: compiling modules in a child process, running core modules and components.

The only package that imports ``wasmtime``.
"""
