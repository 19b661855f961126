"""Which relays a process may use: none, its operator's own, or the public ones of iroh's makers."""

from collections.abc import Sequence
from typing import Self

import iroh

from mvm_ci.adapters.iroh import failures
from mvm_ci.domain.errors import Misconfigured


class Relays:
    """The relays that may be used. Nothing is sent to any other, whatever a ticket says."""

    def __init__(self, mode: iroh.RelayMode, first: str | None) -> None:
        self.mode = mode
        self.first = first
        """The relay to name in a ticket before one was reached; None if there is no such choice."""
        self._map = mode.relay_map()

    @classmethod
    def none(cls) -> Self:
        """No relay: peers reach each other directly or not at all."""
        return cls(iroh.RelayMode.disabled(), None)

    @classmethod
    def own(cls, urls: Sequence[str]) -> Self:
        """These relays; none if there are none. Raises ``Misconfigured``."""
        if not urls:
            return cls.none()
        try:
            return cls(iroh.RelayMode.custom_from_urls(list(urls)), urls[0])
        except iroh.IrohError as error:
            raise Misconfigured(
                f"not an address of a relay among {', '.join(urls)}: {failures.cause(error)}"
            ) from None

    @classmethod
    def public(cls) -> Self:
        """Those that the makers of iroh run for everybody."""
        return cls(iroh.RelayMode.default_mode(), None)

    def __bool__(self) -> bool:
        return not self._map.is_empty()

    def allows(self, url: str) -> bool:
        """Whether ``url`` is one of them."""
        return self._map.contains(url)
