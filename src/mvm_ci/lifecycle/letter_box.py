"""The mail of one placement that came and is not taken."""

from collections.abc import Iterable, Sequence

from mvm_ci.domain.mail import Mail


class LetterBox:
    """Pieces wait here in the order of their arrival until the guest asks for their topics."""

    __slots__ = ("_known", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[Mail] = []
        self._known: set[int] = set()

    def find(self, topics: Sequence[str]) -> Mail | None:
        """The first piece about one of ``topics``."""
        wanted = frozenset(topics)
        return next((mail for mail in self._waiting if mail.topic in wanted), None)

    def add(self, arrived: Iterable[Mail]) -> None:
        """These came; what came before, for another wait, is passed over."""
        for mail in arrived:
            if mail.number not in self._known:
                self._known.add(mail.number)
                self._waiting.append(mail)

    def took(self, mail: Mail) -> None:
        """The guest has it."""
        self._waiting.remove(mail)
