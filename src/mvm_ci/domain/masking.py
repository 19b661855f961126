"""Masking: wherever a secret stands in a text or in bytes, ``***`` stands instead. Pure.

Looked for is a secret, with and without the white space around it: as it is (UTF-8), as JSON and Python
escape it, as URLs encode it, in hexadecimal digits, and in base64 wherever it begins in what was encoded, in
both alphabets. What else a program does to it, and parts of it, are not recognised.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

from mvm_ci.domain.secrets import MIN_CHARACTERS

MASK: Final = b"***"
_HEAD: Final = 8
"""Bytes of a form by which its beginning is looked for."""
_SAFE: Final = ("", "/", "!'()*", ";,/?:@&=+$#!'()*")
"""What encoders of URLs leave as it is, beside letters, digits and ``_.-~``."""
_ESCAPE: Final = re.compile(rb"%[0-9A-F]{2}|\\u[0-9a-f]{4}")
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
"""A text or a number in a JSON document."""


def forms_of(value: str) -> frozenset[bytes]:
    """How a secret may be spelled."""
    bare = value.strip()
    return _forms_of(value) | _forms_of(bare) if len(bare) >= MIN_CHARACTERS else _forms_of(value)


def _forms_of(value: str) -> frozenset[bytes]:
    data = value.encode()
    texts = [
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        *(quote(value, safe=safe) for safe in _SAFE),
        quote_plus(value),
    ]
    plain = {text.encode() for text in texts}
    other_case = {_ESCAPE.sub(lambda found: _other_case(found[0]), form) for form in plain}
    digits = data.hex().encode()
    base64 = {text for standard in _base64(data) for text in (standard, standard.translate(_URL_SAFE))}
    return frozenset(plain | other_case | base64 | {digits, digits.upper()})


class Mask:
    """Knows some secrets. ``longest``: bytes of their longest form."""

    __slots__ = ("_forms", "longest")

    def __init__(self, values: Iterable[str]) -> None:
        self._forms = tuple(sorted({form for value in values for form in forms_of(value)}))
        self.longest = max(map(len, self._forms), default=0)

    def data(self, data: bytes) -> bytes:
        """``data``, masked."""
        return _masked(data, self._spans(data))

    def text(self, text: str) -> str:
        """``text``, which UTF-8 can hold, masked."""
        return self.data(text.encode()).decode()

    def json(self, data: bytes) -> bytes:
        """A JSON document masked inside its texts, so that it stays one; a number that holds a secret becomes
        a text. Other bytes are masked as they are.
        """
        if not self._spans(data) and b"\\" not in data:
            return data
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.data(data)
        return _TOKEN.sub(lambda found: self._token(found[0]), data)

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of ``data`` can be shown now, masked; and its end, as it is, which may be the beginning of a
        secret and is to be looked at again with what follows. The end has at most ``longest`` bytes.
        """
        spans = self._spans(data)
        at = self._beginning(data, 0)
        for start, end in spans:
            if start <= at < end:
                # What is masked already may be the beginning of a longer one.
                at = start if len(data) - start <= self.longest else self._beginning(data, end)
        return _masked(data[:at], [span for span in spans if span[1] <= at]), data[at:]

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where secrets stand: begins and ends, in order, none overlapping the next."""
        found: list[tuple[int, int]] = []
        for form in self._forms:
            found += _occurrences(data, form)
        found.sort()
        spans: list[tuple[int, int]] = []
        for start, end in found:
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            else:
                spans.append((start, end))
        return spans

    def _beginning(self, data: bytes, at: int) -> int:
        """The first place, from ``at`` on, from which all is the beginning of a form; else the end."""
        return min((_beginning(data, form, at) for form in self._forms), default=len(data))

    def _token(self, token: bytes) -> bytes:
        if token[:1] != b'"':
            return b'"' + MASK + b'"' if self._spans(token) else token
        if b"\\" not in token:
            return b'"' + self.data(token[1:-1]) + b'"'
        text = msgspec.json.decode(token, type=str)
        masked = self.text(text)
        return token if masked == text else msgspec.json.encode(masked)


def _base64(data: bytes) -> Iterator[bytes]:
    """The characters that depend on ``data`` alone, for each of the three places at which it may begin."""
    for before, first in ((0, 0), (1, 2), (2, 3)):
        yield b64encode(bytes(before) + data)[first : (before + len(data)) * 8 // 6]


def _other_case(escape: bytes) -> bytes:
    return escape.lower() if escape[:1] == b"%" else escape[:2] + escape[2:].upper()


def _occurrences(data: bytes, form: bytes) -> Iterator[tuple[int, int]]:
    """Where ``form`` stands; what overlaps is one."""
    at = data.find(form)
    while at >= 0:
        start, end = at, at + len(form)
        while (at := data.find(form, at + 1)) >= 0 and at < end:
            end = at + len(form)
        yield start, end


def _beginning(data: bytes, form: bytes, at: int) -> int:
    at = max(at, len(data) - len(form) + 1)
    head = form[:_HEAD]
    found = data.find(head, at)
    while found >= 0:
        if form.startswith(data[found:]):
            return found
        found = data.find(head, found + 1)
    for place in range(max(at, len(data) - _HEAD + 1), len(data)):
        if form.startswith(data[place:]):
            return place
    return len(data)


def _masked(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    if not spans:
        return data
    parts: list[bytes] = []
    at = 0
    for start, end in spans:
        parts += (data[at:start], MASK)
        at = end
    return b"".join((*parts, data[at:]))
