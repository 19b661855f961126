"""What is said between a load test and the process of its simulated workers: lines of JSON.

The first line on that process's stdin is a ``Simulation``, every further one a ``Wanted``. It prints a
``Standing`` whenever that changes, and ends, with its workers, when its stdin does.
"""

import msgspec


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """Which workers. ``directory``: where their state is kept; ``engine``: where theirs is: None: simulated
    in each, with jobs of ``service_ms``; ``p2p``: the control plane's; else its address, with
    ``engine_token_file``.
    """

    ticket_file: str
    join_token: str
    directory: str
    slots: int = 1
    engine: str | None = None
    engine_token_file: str = ""
    service_ms: float = 0.0

    def __repr__(self) -> str:
        # Ends up in tracebacks; the token must not.
        return f"Simulation(ticket_file={self.ticket_file!r}, engine={self.engine!r})"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are to be."""

    workers: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """``workers``: there are, coming and going ones included; ``connected``: of these have a session and an
    engine; ``ended``: so many ended by themselves so far; ``problem``: why the last of these did.
    """

    workers: int
    connected: int
    ended: int = 0
    problem: str = ""
