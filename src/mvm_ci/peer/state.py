"""A peer's state directory: its key, its last incarnation, its cache; held by one process at a time."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.ids import Incarnation, is_incarnation
from mvm_ci.durable_files import write_whole

_FORMAT: Final = "1"
_FORMAT_FILE: Final = "worker-state-version"
_KEY_FILE: Final = "endpoint.key"
_INCARNATION_FILE: Final = "incarnation"
_LOCK_FILE: Final = "lock"
_DRAFT: Final = ".new"
_KEY_BYTES: Final = 32
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class StateDirectory:
    """An opened state directory. Blocking calls: use it off the event loop. ``close`` gives it free.

    ``key``: the endpoint's secret key. ``incarnation``: new for this process; ``previous``: the last one
    that had a session, None if there was none; ``previous_over``: its process is dead, for it ran in this
    very directory, whose lock is ours now (a copy of a directory has another lock). ``blobs``: where the
    cache lives, ``artifacts``: likewise that of artifacts.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates ``path``.

        Raises ``Misconfigured`` if another process has it, if it is not a worker's, if a newer version wrote
        it, or if it cannot be written.
        """
        self._path = path
        self._lock = -1
        try:
            self._open()
        except OSError as error:
            self.close()
            raise Misconfigured(f"the state directory {path} cannot be used: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_format()
        self._take_lock()
        # An operator may have made the directory, with other rights than a secret key needs.
        self._path.chmod(0o700)
        self._write(_FORMAT_FILE, _FORMAT)
        self.key = self._load_key()
        self._place = self._find_place()
        self.previous, self.previous_over = self._load_previous()
        self.incarnation = Incarnation(secrets.token_hex(16))
        self._remembered = False
        self.blobs = self._path / "blobs"
        self.blobs.mkdir(mode=0o700, exist_ok=True)
        self.artifacts = self._path / "artifacts"
        self.artifacts.mkdir(mode=0o700, exist_ok=True)

    def remember(self) -> None:
        """This incarnation has a session: the next process names it. Raises ``OSError``.

        Not before: a start that fails early must not hide the session that is still open.
        """
        if not self._remembered:
            self._write(_INCARNATION_FILE, f"{self.incarnation} {self._place}")
            self._remembered = True

    def close(self) -> None:
        """Gives the directory free for another process. Safe to repeat."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _check_format(self) -> None:
        marker = self._path / _FORMAT_FILE
        if not marker.exists():
            # A crash right after the creation leaves the lock and parts of the first write behind.
            foreign = [
                entry.name
                for entry in self._path.iterdir()
                if entry.name not in {_LOCK_FILE, _FORMAT_FILE + _DRAFT}
            ]
            if foreign:
                raise Misconfigured(
                    f"{self._path} is no state directory of a worker or an engine "
                    f"(it holds {min(foreign)!r}): name an empty one"
                )
            return
        found = marker.read_text(errors="replace").strip()
        if found != _FORMAT:
            raise Misconfigured(
                f"the state directory {self._path} has format {found[:20]!r}, written by a newer version; "
                f"this one reads {_FORMAT!r}"
            )

    def _take_lock(self) -> None:
        self._lock = os.open(self._path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode(errors="replace").strip() or "unknown"
            raise Misconfigured(
                f"the state directory {self._path} is in use by process {holder}; "
                "stop it, or give each process a directory of its own"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _load_key(self) -> bytes:
        file = self._path / _KEY_FILE
        if not file.exists():
            key = secrets.token_bytes(_KEY_BYTES)
            self._write(_KEY_FILE, key.hex())
            return key
        try:
            key = bytes.fromhex(file.read_text().strip())
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Misconfigured(f"{file} is damaged; remove it to join as a new worker")
        return key

    def _load_previous(self) -> tuple[Incarnation | None, bool]:
        file = self._path / _INCARNATION_FILE
        text, _, place = (file.read_text(errors="replace").strip() if file.exists() else "").partition(" ")
        # Anything else than what we write would make the control plane refuse the Hello: better none.
        if not is_incarnation(text):
            return None, False
        return Incarnation(text), bool(place) and place == self._place

    def _find_place(self) -> str:
        """Names the lock's file on the system that runs now; empty if that has no name."""
        try:
            boot = _BOOT.read_text().strip()
        except OSError:
            return ""
        found = os.fstat(self._lock)
        return f"{boot}/{found.st_dev}/{found.st_ino}"

    def _write(self, name: str, text: str) -> None:
        write_whole(self._path / name, text + "\n", draft=name + _DRAFT)
