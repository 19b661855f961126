"""Imports, while the guest is built, whatever the job may import when it runs: the library's files are not there then."""

import ast
import importlib
import sys

_CODECS = (
    "ascii", "charmap", "cp1252", "cp437", "hex_codec", "idna", "iso8859_1", "iso8859_15", "latin_1", "mbcs", "punycode",
    "raw_unicode_escape", "unicode_escape", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_7", "utf_8", "utf_8_sig",
)  # fmt: skip
# Reached from functions of the standard library, but only for debugging, testing or what a guest cannot do.
_SKIPPED = frozenset({
    "__main__", "_pyrepl", "antigravity", "asyncio", "bdb", "cProfile", "cmd", "code", "codeop", "compileall",
    "concurrent", "ctypes", "curses", "doctest", "ensurepip", "getopt", "idlelib", "multiprocessing", "optparse", "pdb",
    "pip", "profile", "pstats", "py_compile", "pydoc", "pydoc_data", "readline", "rlcompleter", "runpy", "socketserver",
    "ssl", "subprocess", "test", "this", "tkinter", "trace", "tracemalloc", "turtle", "unittest", "venv", "webbrowser",
    "wsgiref", "xmlrpc", "zipapp", "_ssl", "nturl2path", "ftplib", "getpass", "pickletools", "dis", "_android_support",
    "_apple_support", "_ios_support", "winreg", "nt", "msvcrt", "sysconfig", "_sysconfigdata", "ast", "tomllib",
})  # fmt: skip
# Imported by C code, so no source names them.
_HIDDEN = ("_compat_pickle", "_strptime", "copyreg", "locale", "stringprep", "unicodedata")
_DEPTH = 2


def load(job, modules, optional, sources):
    """Imports the job, all it names and what those import inside functions; returns the job.

    ``optional``: names that are modules perhaps, or may be missing.
    """
    for name in (*_HIDDEN, *(f"encodings.{codec}" for codec in _CODECS)):
        _try_import(name)
    # The job first: what fails then shows where the job began it.
    loaded = importlib.import_module(job)
    for module in (*sources, *modules):
        importlib.import_module(module)
    for module in optional:
        _try_import(module)
    # The job's own imports are known already; this module's tools are no part of the job.
    seen = {*sources, "ast", "mvm_ci_entry", "mvm_ci_preload"}
    for _ in range(_DEPTH):
        for name, module in list(sys.modules.items()):
            if name not in seen:
                seen.add(name)
                for wanted in _inner_imports(module):
                    if wanted.partition(".")[0] not in _SKIPPED:
                        _try_import(wanted)
    return loaded


def _try_import(name):
    try:
        importlib.import_module(name)
    except Exception:
        # The library imports it only if it exists, or only on other systems.
        sys.modules.pop(name, None)


def _inner_imports(module):
    """The modules that functions of ``module`` import."""
    path = getattr(module, "__file__", None)
    if not path or not path.endswith(".py"):
        return []
    try:
        with open(path, "rb") as file:
            data = file.read()
        if data.count(b" import ") + data.count(b"import ") == 0:
            return []
        tree = ast.parse(data)
    except (OSError, SyntaxError, ValueError):
        return []
    package = getattr(module, "__package__", "") or ""
    wanted = []
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    wanted += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    wanted += _from_names(node, package)
    return wanted


def _from_names(node, package):
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    # ``from package import name`` may mean a module of the package.
    return [base, *(f"{base}.{alias.name}" for alias in node.names)] if node.level and not node.module else [base]
