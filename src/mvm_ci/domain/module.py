"""What a WebAssembly binary says about itself, and whether it fits what the host provides.

A pure parser of the outer structure: sections, imports, exports, our manifest. It does not validate code
(the compiler does); it gives a clear reason early, before a compiler is started. Work and memory are linear
in the input's size.
"""

from typing import Final, Literal

import msgspec

from mvm_ci.domain.errors import BadModule

MAX_MODULE_BYTES: Final = 64 << 20
MANIFEST_SECTION: Final = "mvm-ci"
CORE_HOST_MODULE: Final = "mvm_ci_v1"
WASI_PREVIEW1: Final = "wasi_snapshot_preview1"
COMPONENT_HOST: Final = "mvm-ci:guest/host@1.0.0"
HOST_FUNCTIONS: Final = frozenset(
    {
        *("input_size", "input_read", "output", "fail", "log", "sleep_ms", "now_ms"),
        *("http", "http_read", "call", "call_read", "artifact_write", "artifact_read"),
    }
)
"""What ``mvm_ci_v1`` offers; see ``guest/abi/core.md``."""
WASI_PACKAGES: Final = ("cli", "clocks", "filesystem", "io", "random", "sockets")

_CORE: Final = b"\0asm\x01\0\0\0"
_COMPONENT: Final = b"\0asm\x0d\0\x01\0"
MAX_IMPORTS: Final = 1_000
"""Imports, and exports, of a module: a runner looks at all of them when it loads one."""
_MAX_SECTIONS: Final = 20_000
_TOO_MANY: Final = f"more than {MAX_IMPORTS} imports or exports"
_MAX_NAME: Final = 1_000
_MAX_MANIFEST: Final = 64 << 10

Sort = Literal["core", "component"]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """What a build says about its job. ``allow_hosts``: the hosts it asks to call, and ``secrets``: those it
    asks to read, both as in ``JobSpec``.
    """

    name: str = ""
    abi: str = ""
    allow_hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class ModuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A binary's outside. Imports are (module, name) pairs; a component's have one name, and an empty
    second part.
    """

    kind: Sort
    imports: tuple[tuple[str, str], ...]
    exports: tuple[str, ...]
    manifest: Manifest | None = None


def inspect(data: bytes) -> ModuleInfo:
    """Reads ``data`` and checks that the host provides what it imports and that it exports an entry point.

    Raises ``BadModule`` with a one-line reason, whatever the bytes are.
    """
    kind = _kind(data)
    imports: list[tuple[str, str]] = []
    exports: list[str] = []
    manifest: Manifest | None = None
    for section, start, end in _sections(data):
        reader = _Reader(data, start, end)
        if section == 0:
            if reader.name() == MANIFEST_SECTION:
                manifest = _read_manifest(data[reader.at : end])
        elif section == (2 if kind == "core" else 10):
            imports += _core_imports(reader) if kind == "core" else _component_imports(reader)
        elif section == (7 if kind == "core" else 11):
            exports += _core_exports(reader) if kind == "core" else _component_exports(reader)
        if len(imports) > MAX_IMPORTS or len(exports) > MAX_IMPORTS:
            raise BadModule(_TOO_MANY)
    info = ModuleInfo(kind=kind, imports=tuple(imports), exports=tuple(exports), manifest=manifest)
    if kind == "core":
        _check_core(info)
    else:
        _check_component(info)
    return info


def with_manifest(data: bytes, manifest: Manifest) -> bytes:
    """``data`` with ``manifest`` in it; one that was there is replaced. Raises ``BadModule`` if ``data`` is
    no module.
    """
    _kind(data)
    parts = [data[:8]]
    at = 8
    for section, start, end in _sections(data):
        if section != 0 or _Reader(data, start, end).name() != MANIFEST_SECTION:
            parts.append(data[at:end])
        at = end
    name = MANIFEST_SECTION.encode()
    body = _uleb(len(name)) + name + msgspec.json.encode(manifest, order="deterministic")
    return b"".join([*parts, b"\0", _uleb(len(body)), body])


def _kind(data: bytes) -> Sort:
    if len(data) > MAX_MODULE_BYTES:
        raise BadModule(f"{len(data)} bytes; a module has at most {MAX_MODULE_BYTES}")
    if data[:8] == _CORE:
        return "core"
    if data[:8] == _COMPONENT:
        return "component"
    if data[:4] == _CORE[:4]:
        raise BadModule(
            "a WebAssembly binary of an unknown version" if len(data) >= 8 else "the header is cut off"
        )
    raise BadModule(
        "not a WebAssembly module: it does not start with \\0asm; a source is built first, by mvm-ci build"
    )


def _sections(data: bytes) -> list[tuple[int, int, int]]:
    """The (id, start, end) of every section."""
    found: list[tuple[int, int, int]] = []
    reader = _Reader(data, 8, len(data))
    while reader.at < reader.end:
        if len(found) >= _MAX_SECTIONS:
            raise BadModule(f"more than {_MAX_SECTIONS} sections")
        section = reader.byte()
        size = reader.number()
        if size > reader.end - reader.at:
            raise BadModule(
                f"cut off: a section of {size} bytes begins {reader.end - reader.at} bytes before the end"
            )
        found.append((section, reader.at, reader.at + size))
        reader.at += size
    return found


class _Reader:
    """Reads the encodings of a section; every read checks the section's end."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def byte(self) -> int:
        if self.at >= self.end:
            raise BadModule(f"cut off at byte {self.at}")
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self) -> int:
        """An unsigned LEB128 number of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
        else:
            raise BadModule(f"a number that is too long at byte {self.at}")
        if value >> 32:
            raise BadModule(f"a number that is too large at byte {self.at}")
        return value

    def name(self) -> str:
        size = self.number()
        if size > min(self.end - self.at, _MAX_NAME):
            raise BadModule(f"a name of {size} bytes at byte {self.at}")
        self.at += size
        try:
            return self.data[self.at - size : self.at].decode()
        except UnicodeDecodeError:
            raise BadModule(f"a name that is not UTF-8 at byte {self.at}") from None

    def count(self) -> int:
        value = self.number()
        if value > MAX_IMPORTS:
            raise BadModule(_TOO_MANY)
        return value


def _core_imports(reader: _Reader) -> list[tuple[str, str]]:
    found = []
    for _ in range(reader.count()):
        module, name = reader.name(), reader.name()
        if reader.byte() != 0:
            raise BadModule(
                f"imports {_shown(module)}.{_shown(name)}, which is not a function; only functions exist here"
            )
        reader.number()
        found.append((module, name))
    return found


def _core_exports(reader: _Reader) -> list[str]:
    found = []
    for _ in range(reader.count()):
        name = reader.name()
        kind = reader.byte()
        reader.number()
        if name == "memory" and kind != 2:
            raise BadModule("its export memory is not a memory")
        if kind == 0 or name == "memory":
            found.append(name)
    return found


def _component_imports(reader: _Reader) -> list[tuple[str, str]]:
    found = []
    for _ in range(reader.count()):
        name = _component_name(reader)
        _skip_description(reader)
        found.append((name, ""))
    return found


def _component_exports(reader: _Reader) -> list[str]:
    found = []
    for _ in range(reader.count()):
        found.append(_component_name(reader))
        if reader.byte() == 0:
            reader.byte()
        reader.number()
        if reader.byte() != 0:
            _skip_description(reader)
    return found


def _component_name(reader: _Reader) -> str:
    form = reader.byte()
    if form not in (0, 1):
        raise BadModule(f"an import or export name of the unknown form {form} at byte {reader.at}")
    return reader.name()


def _skip_description(reader: _Reader) -> None:
    form = reader.byte()
    if form > 5:
        raise BadModule(f"an import or export of the unknown form {form} at byte {reader.at}")
    # A core module carries its sort before the type; a value or type bound has its own first byte.
    if form in (0, 2, 3):
        bound = reader.byte()
        if form == 3 and bound == 1:
            return
    reader.number()


def _read_manifest(body: bytes) -> Manifest:
    if len(body) > _MAX_MANIFEST:
        raise BadModule(f"its manifest has {len(body)} bytes; at most {_MAX_MANIFEST}")
    try:
        return msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadModule(f"its manifest cannot be read: {error}") from None


def _check_core(info: ModuleInfo) -> None:
    for module, name in info.imports:
        if module == CORE_HOST_MODULE and name not in HOST_FUNCTIONS:
            raise BadModule(f"imports {module}.{_shown(name)}; there are {', '.join(sorted(HOST_FUNCTIONS))}")
        if module not in (CORE_HOST_MODULE, WASI_PREVIEW1):
            raise BadModule(
                f"imports {_shown(module)}.{_shown(name)}; there are {CORE_HOST_MODULE} and {WASI_PREVIEW1}"
            )
    if "run" not in info.exports and "_start" not in info.exports:
        raise BadModule("exports no function run or _start")
    if "memory" not in info.exports:
        raise BadModule("exports no memory named memory")


def _check_component(info: ModuleInfo) -> None:
    for name, _ in info.imports:
        package, _, rest = name.removeprefix("wasi:").partition("/")
        if name == COMPONENT_HOST:
            continue
        if not (name.startswith("wasi:") and package in WASI_PACKAGES and "@0.2." in rest):
            wasi = ", ".join(f"wasi:{package}" for package in WASI_PACKAGES)
            raise BadModule(f"imports {_shown(name)}; there are {COMPONENT_HOST} and, as @0.2.x, {wasi}")
    if "run" not in info.exports:
        raise BadModule("a component that does not export run: it is not of the world mvm-ci:guest/job@1.0.0")


def _shown(name: str) -> str:
    """A foreign name, safe to stand in a one-line message."""
    return name if name.isprintable() and len(name) <= 80 else repr(name[:80])


def _uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        if not value:
            out.append(low)
            return bytes(out)
        out.append(low | 128)
