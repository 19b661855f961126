"""What cannot work in a guest, and what is frozen when one is built. Each entry was tried with
componentize-py 0.25.
"""

from typing import Final

_ABSENT: Final = "its C library is not in a guest"
_UNIX: Final = "a guest is no Unix process"
_SOCKETS: Final = "a guest has no sockets; use urllib.request"
_PROCESSES: Final = "a guest cannot start processes"
_THREADS: Final = "a guest cannot start threads"
_WINDOWS: Final = "it exists on Windows only"

UNSUPPORTED_MODULES: Final = {
    "bz2": _ABSENT,
    "compression.bz2": _ABSENT,
    "compression.lzma": _ABSENT,
    "concurrent.futures": _THREADS,
    "ctypes": _ABSENT,
    "curses": _ABSENT,
    "fcntl": _UNIX,
    "ftplib": _SOCKETS,
    "grp": _UNIX,
    "http.server": _SOCKETS,
    "imaplib": _SOCKETS,
    "lzma": _ABSENT,
    "mmap": _UNIX,
    "msvcrt": _WINDOWS,
    "multiprocessing": _PROCESSES,
    "poplib": _SOCKETS,
    "pty": _UNIX,
    "pwd": _UNIX,
    "readline": _ABSENT,
    "resource": _UNIX,
    "smtplib": _SOCKETS,
    "socketserver": _SOCKETS,
    "ssl": "a guest has no sockets; urllib.request opens https URLs through the host",
    "subprocess": _PROCESSES,
    "syslog": _UNIX,
    "termios": _UNIX,
    "tkinter": _ABSENT,
    "tty": _UNIX,
    "turtle": _ABSENT,
    "winreg": _WINDOWS,
    "winsound": _WINDOWS,
    "wsgiref.simple_server": _SOCKETS,
    "xmlrpc": _SOCKETS,
    "zoneinfo": "there is no time zone database in a guest; use datetime.timezone",
}
"""Modules whose import is refused, with the reason. Their submodules are, too."""

UNSUPPORTED_NAMES: Final = {
    "_thread.start_new_thread": _THREADS,
    "asyncio.create_subprocess_exec": _PROCESSES,
    "asyncio.create_subprocess_shell": _PROCESSES,
    "asyncio.open_connection": _SOCKETS,
    "asyncio.open_unix_connection": _SOCKETS,
    "asyncio.start_server": _SOCKETS,
    "asyncio.start_unix_server": _SOCKETS,
    "http.client.HTTPConnection": _SOCKETS,
    "http.client.HTTPSConnection": _SOCKETS,
    "os.execv": _PROCESSES,
    "os.fork": _PROCESSES,
    "os.popen": _PROCESSES,
    "os.system": _PROCESSES,
    "socket.create_connection": _SOCKETS,
    "socket.create_server": _SOCKETS,
    "socket.socket": _SOCKETS,
    "threading.Thread": _THREADS,
    "threading.Timer": _THREADS,
}
"""Parts of modules that may be imported for something else."""

FROZEN_CALLS: Final = frozenset({
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "os.urandom",
    "time.gmtime",
    "time.localtime",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.strftime",
    "time.time",
    "time.time_ns",
    "uuid.uuid1",
    "uuid.uuid4",
})  # fmt: skip
FROZEN_MODULES: Final = ("random.", "secrets.")
"""Any call into these at module level gives one value for all runs."""


def unsupported(module: str) -> tuple[str, str] | None:
    """The refused module that ``module`` is or belongs to, and why."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in UNSUPPORTED_MODULES:
            return name, UNSUPPORTED_MODULES[name]
    return None
