"""The Python inside a guest: its version, what environment markers see of it, its standard library.

A test compares this with a guest.
"""

import sys
from typing import Final

VERSION: Final = "3.14.0"
MARKERS: Final = {
    "implementation_name": "cpython",
    "implementation_version": VERSION,
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_release": "0.0.0",
    "platform_system": "wasi",
    "platform_version": "0.0.0",
    "python_full_version": VERSION,
    "python_version": "3.14",
    "sys_platform": "wasi",
}
"""PEP 508's environment."""

_NEW: Final = frozenset({"annotationlib", "compression"})
REMOVED: Final = frozenset(
    {
        *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr"),
        *("imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr"),
        *("spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    }
)
"""In the standard library of an older Python that builds, but not in the guest's."""
STDLIB: Final = (sys.stdlib_module_names | _NEW) - REMOVED
"""The names of the guest's standard library, whichever Python builds."""
