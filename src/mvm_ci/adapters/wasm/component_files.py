"""``wasi:filesystem``, replaced as a whole: the execution's own files."""

from typing import Final

from mvm_ci.adapters.wasm.component_clocks import datetime
from mvm_ci.adapters.wasm.component_host import WASI_VERSION, Call, Function, Kind
from mvm_ci.adapters.wasm.component_images import (
    Template,
    boolean,
    case,
    case_at,
    error,
    fields_at,
    flags,
    group,
    number_at,
    octets,
    ok,
    option_at,
    record,
    result_at,
    set_u32,
    set_u64,
    several,
    some,
    text,
    u32_at,
    u64,
)
from mvm_ci.adapters.wasm.component_streams import MAX_CHUNK, Input, Written
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Handle, Mode
from mvm_ci.files.nodes import Kind as NodeKind
from mvm_ci.files.nodes import Stat
from mvm_ci.files.system import NOW

_NAMES: Final = {
    Errno.BADF: b"bad-descriptor",
    Errno.BUSY: b"busy",
    Errno.EXIST: b"exist",
    Errno.FBIG: b"file-too-large",
    Errno.ILSEQ: b"illegal-byte-sequence",
    Errno.INVAL: b"invalid",
    Errno.ISDIR: b"is-directory",
    Errno.LOOP: b"loop",
    # There is no name for too many open files.
    Errno.MFILE: b"quota",
    Errno.NAMETOOLONG: b"name-too-long",
    Errno.NOENT: b"no-entry",
    Errno.NOSPC: b"insufficient-space",
    Errno.NOTDIR: b"not-directory",
    Errno.NOTEMPTY: b"not-empty",
    Errno.PERM: b"not-permitted",
    Errno.ROFS: b"read-only",
    Errno.SPIPE: b"invalid-seek",
    Errno.XDEV: b"cross-device",
}
_TYPES: Final = {
    NodeKind.DIRECTORY: b"directory",
    NodeKind.FILE: b"regular-file",
    NodeKind.SYMLINK: b"symbolic-link",
}
_SECOND: Final = 1_000_000_000
_FOLLOW: Final = "symlink-follow"
_MAX_WRITE: Final = 1 << 20
_OPEN_MODES: Final = {
    "create": Mode.CREATE,
    "directory": Mode.DIRECTORY,
    "exclusive": Mode.EXCLUSIVE,
    "truncate": Mode.TRUNCATE,
    "read": Mode.READ,
    "write": Mode.WRITE,
    _FOLLOW: Mode.FOLLOW,
}


class Listing:
    """The names of a directory, one by one."""

    __slots__ = ("_handle", "_index")

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._index = 0

    def next(self) -> tuple[str, NodeKind] | None:
        """The next name that is still there; None at the end."""
        names = self._handle.names(again=self._index == 0)
        while self._index < len(names):
            name = names[self._index]
            self._index += 1
            node = self._handle.directory.get(name)
            if node is not None:
                return name, node.kind
        return None

    def close(self) -> None:
        """Ends its use."""
        self._handle.close()


def _answered(function: Function) -> Function:
    """A function whose result may be an error code."""

    def call(call: Call) -> bytes | None:
        try:
            return function(call)
        except FileError as refused:
            return error(case(_NAMES[refused.errno]))

    return call


def _handle(call: Call) -> Handle:
    return call.borrowed(0, Handle)


def _again(call: Call, mode: Mode) -> Handle:
    """What is open, once more, for a stream. Raises ``FileError`` if it may not do that."""
    handle = _handle(call)
    if not (handle.reading if mode is Mode.READ else handle.writing):
        raise FileError(Errno.BADF)
    return call.run.host.files.open_node(handle.file, mode)


def _time(at: int) -> int | None:
    """What a new time is to be."""
    name, value = case_at(at)
    if name == "timestamp":
        seconds, nanoseconds = fields_at(value, 2)
        return number_at(seconds) * _SECOND + u32_at(nanoseconds)
    return NOW if name == "now" else None


def _no_stat(kind: NodeKind) -> Template:
    """What is known of a node of that kind, without its numbers."""
    times = (b"data-access-timestamp", b"data-modification-timestamp", b"status-change-timestamp")
    return Template(
        ok(
            record(
                (b"type", case(_TYPES[kind])),
                (b"link-count", u64(0)),
                (b"size", u64(0)),
                *((name, some(datetime(0))) for name in times),
            )
        )
    )


def _place_stat(call: Call, stat: Stat) -> None:
    _STATS[stat.kind].copy_to(call.result)
    _, links, size, *times = fields_at(result_at(call.result), 6)
    set_u64(links, stat.links)
    set_u64(size, stat.size)
    for at, time_ns in zip(times, (stat.atime_ns, stat.mtime_ns, stat.ctime_ns), strict=True):
        seconds, nanoseconds = fields_at(option_at(at), 2)
        set_u64(seconds, time_ns // _SECOND)
        set_u32(nanoseconds, time_ns % _SECOND)


def _hash_image(stat: Stat) -> bytes:
    return ok(record((b"lower", u64(stat.inode)), (b"upper", u64(0))))


_STATS: Final = {kind: _no_stat(kind) for kind in NodeKind}


# ---------------------------------------------------------------- what is open


def _read_via_stream(call: Call) -> bytes:
    return ok(call.give(Kind.INPUT, Input(_again(call, Mode.READ), call.number(1))))


def _write_via_stream(call: Call) -> bytes:
    return ok(call.give(Kind.OUTPUT, Written(_again(call, Mode.WRITE), call.number(1))))


def _append_via_stream(call: Call) -> bytes:
    return ok(call.give(Kind.OUTPUT, Written(_again(call, Mode.WRITE), None)))


def _read(call: Call) -> bytes:
    handle, size, offset = _handle(call), call.number(1), call.number(2)
    data = handle.read_at(offset, min(size, MAX_CHUNK))
    return ok(group(octets(data), boolean(offset + len(data) >= handle.node.size)))


def _write(call: Call) -> bytes:
    return ok(u64(_handle(call).write_at(call.number(2), call.octets(1, _MAX_WRITE))))


def _done(call: Call) -> bytes:
    # Nothing is written anywhere but here, and nothing is faster for being told of.
    _handle(call)
    return ok()


def _get_flags(call: Call) -> bytes:
    handle = _handle(call)
    names = [b"read"] if handle.reading else []
    if handle.node.kind is NodeKind.DIRECTORY and not handle.node.read_only:
        names.append(b"mutate-directory")
    elif handle.writing:
        names.append(b"write")
    return ok(flags(names))


def _get_type(call: Call) -> bytes:
    return ok(case(_TYPES[_handle(call).node.kind]))


def _set_size(call: Call) -> bytes:
    _handle(call).resize(call.number(1))
    return ok()


def _set_times(call: Call) -> bytes:
    node = _handle(call).node
    call.run.host.files.set_times(node, _time(call.at(1)), _time(call.at(2)))
    return ok()


def _stat(call: Call) -> None:
    _place_stat(call, _handle(call).stat())


def _metadata_hash(call: Call) -> bytes:
    return _hash_image(_handle(call).stat())


def _is_same_object(call: Call) -> bytes:
    return boolean(_handle(call).node is call.borrowed(1, Handle).node)


def _read_directory(call: Call) -> bytes:
    handle = call.run.host.files.open_node(_handle(call).directory, Mode.READ)
    return ok(call.give(Kind.LISTING, Listing(handle)))


def _read_directory_entry(call: Call) -> bytes:
    found = call.borrowed(0, Listing).next()
    if found is None:
        return ok(some(None))
    name, kind = found
    return ok(some(record((b"type", case(_TYPES[kind])), (b"name", text(name.encode())))))


# ---------------------------------------------------------------- paths


def _open_at(call: Call) -> bytes:
    mode = Mode(0)
    for name in call.flags(1) | call.flags(3) | call.flags(4):
        mode |= _OPEN_MODES.get(name, Mode(0))
    if not mode & (Mode.READ | Mode.WRITE):
        mode |= Mode.READ
    handle = call.run.host.files.open(_handle(call).directory, call.text(2), mode)
    return ok(call.give(Kind.DESCRIPTOR, handle))


def _stat_at(call: Call) -> None:
    start = _handle(call).directory
    _place_stat(call, call.run.host.files.stat(start, call.text(2), follow=_FOLLOW in call.flags(1)))


def _metadata_hash_at(call: Call) -> bytes:
    start = _handle(call).directory
    return _hash_image(call.run.host.files.stat(start, call.text(2), follow=_FOLLOW in call.flags(1)))


def _set_times_at(call: Call) -> bytes:
    start, times = _handle(call).directory, (_time(call.at(3)), _time(call.at(4)))
    call.run.host.files.set_times_at(start, call.text(2), *times, follow=_FOLLOW in call.flags(1))
    return ok()


def _create_directory_at(call: Call) -> bytes:
    call.run.host.files.make_directory(_handle(call).directory, call.text(1))
    return ok()


def _remove_directory_at(call: Call) -> bytes:
    call.run.host.files.remove_directory(_handle(call).directory, call.text(1))
    return ok()


def _unlink_file_at(call: Call) -> bytes:
    call.run.host.files.unlink(_handle(call).directory, call.text(1))
    return ok()


def _link_at(call: Call) -> bytes:
    if _FOLLOW in call.flags(1):
        raise FileError(Errno.INVAL)
    start, other = _handle(call).directory, call.borrowed(3, Handle).directory
    call.run.host.files.link(start, call.text(2), other, call.text(4))
    return ok()


def _rename_at(call: Call) -> bytes:
    start, other = _handle(call).directory, call.borrowed(2, Handle).directory
    call.run.host.files.rename(start, call.text(1), other, call.text(3))
    return ok()


def _symlink_at(call: Call) -> bytes:
    call.run.host.files.symlink(call.text(1), _handle(call).directory, call.text(2))
    return ok()


def _readlink_at(call: Call) -> bytes:
    return ok(text(call.run.host.files.read_link(_handle(call).directory, call.text(1)).encode()))


# ---------------------------------------------------------------- beside


def _error_code(call: Call) -> bytes:
    return some(case(_NAMES[call.borrowed(0, Errno)]))


def _get_directories(call: Call) -> bytes:
    files = call.run.host.files
    root = call.give(Kind.DESCRIPTOR, files.open_node(files.root, Mode.READ))
    return several(group(root, text(b"/")))


_DESCRIPTOR: Final[dict[str, Function]] = {
    "advise": _done,
    "append-via-stream": _append_via_stream,
    "create-directory-at": _create_directory_at,
    "get-flags": _get_flags,
    "get-type": _get_type,
    "is-same-object": _is_same_object,
    "link-at": _link_at,
    "metadata-hash": _metadata_hash,
    "metadata-hash-at": _metadata_hash_at,
    "open-at": _open_at,
    "read": _read,
    "read-directory": _read_directory,
    "read-via-stream": _read_via_stream,
    "readlink-at": _readlink_at,
    "remove-directory-at": _remove_directory_at,
    "rename-at": _rename_at,
    "set-size": _set_size,
    "set-times": _set_times,
    "set-times-at": _set_times_at,
    "stat": _stat,
    "stat-at": _stat_at,
    "symlink-at": _symlink_at,
    "sync": _done,
    "sync-data": _done,
    "unlink-file-at": _unlink_file_at,
    "write": _write,
    "write-via-stream": _write_via_stream,
}
FUNCTIONS: Final[dict[str, dict[str, Function]]] = {
    f"wasi:filesystem/types@{WASI_VERSION}": {
        **{f"[method]descriptor.{name}": _answered(function) for name, function in _DESCRIPTOR.items()},
        "[method]directory-entry-stream.read-directory-entry": _answered(_read_directory_entry),
        "filesystem-error-code": _error_code,
    },
    f"wasi:filesystem/preopens@{WASI_VERSION}": {"get-directories": _get_directories},
}
RESOURCES: Final = {
    f"wasi:filesystem/types@{WASI_VERSION}": {
        "descriptor": Kind.DESCRIPTOR,
        "directory-entry-stream": Kind.LISTING,
    },
}
