"""What cannot work in a guest, and what is frozen when one is built. Each entry was tried with
componentize-py 0.25.
"""

from typing import Final

from mvm_ci.adapters.componentize.guest_python import REMOVED, VERSION

_ABSENT: Final = "its C library is not in a guest"
_UNIX: Final = "a guest is no Unix process"
_SOCKETS: Final = "a guest has no sockets; use urllib.request"
_PROCESSES: Final = "a guest cannot start processes; what they would do can be jobs of its own"
_THREADS: Final = "a guest has one thread; do one thing after the other, or submit more jobs"
_WINDOWS: Final = "it exists on Windows only"
_REMOVED: Final = f"Python {VERSION} does not have it any more"
_NO_SSL: Final = "a guest has no sockets; urllib.request opens https URLs through the host"

UNSUPPORTED_MODULES: Final = {
    "bz2": _ABSENT,
    "compression.bz2": _ABSENT,
    "compression.lzma": _ABSENT,
    "compression.zstd": _ABSENT,
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
    "ssl": _NO_SSL,
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
    "zoneinfo": "there is no time zone database in a guest; add the package tzdata, or use datetime.timezone",
    **dict.fromkeys(sorted(REMOVED), _REMOVED),
}
"""Modules whose import is refused to a job, with the reason. Their submodules are, too."""

ABSENT: Final = frozenset(
    name
    for name, reason in UNSUPPORTED_MODULES.items()
    if reason in (_ABSENT, _UNIX, _WINDOWS, _REMOVED, _NO_SSL)
)
"""Those of them that cannot even be imported. The others are there, and packages import them for what a job
need not use.
"""

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

NETWORK_NAMES: Final = frozenset(name for name, reason in UNSUPPORTED_NAMES.items() if reason is _SOCKETS)
"""Used by a package, these make it one that speaks to the network by itself."""

_VALUES: Final = frozenset({
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
_RANDOM: Final = ("random.", "secrets.")
_FRESH: Final = frozenset({"random.SystemRandom", "secrets.SystemRandom"})
_NETWORK: Final = frozenset({
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
})  # fmt: skip
_ENVIRONMENT: Final = frozenset({"os.environ", "os.environb", "os.getenv", "os.getenvb"})


def frozen_value(call: str) -> str | None:
    """What is wrong with a call that is made when the guest is built: its value is the same for all runs."""
    if call in _VALUES or (call.startswith(_RANDOM) and call not in _FRESH):
        return f"{call}() is called while the guest is built: every run sees the same value"
    return None


def frozen_surroundings(name: str) -> str | None:
    """The same of what a build does not have, or has and a run does not."""
    if name in _NETWORK:
        return f"{name} is used while the guest is built, which has no network; use it in run"
    if name in _ENVIRONMENT:
        return f"{name} is read while the guest is built: no run sees your environment; use the job's input"
    return None


def unsupported(module: str) -> tuple[str, str] | None:
    """The refused module that ``module`` is or belongs to, and why."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in UNSUPPORTED_MODULES:
            return name, UNSUPPORTED_MODULES[name]
    return None
