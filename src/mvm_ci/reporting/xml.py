"""What XML, and with it a picture, can hold."""

import re
from typing import Final

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def allowed(text: str) -> str:
    """The text with a mark for each character that XML forbids, escaped or not."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
