"""Files that become artifacts of jobs."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mvm_ci.domain.errors import BadInput

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import UploadView

_DIGEST: Final = "sha256:"


async def uploaded(client: "ApiClient", file: str) -> "UploadView":
    """Uploads a file, if need be. Raises ``BadInput``."""
    try:
        return await client.upload(Path(file))
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}") from None


async def digest_of(client: "ApiClient", given: str) -> str:
    """The digest of what ``--artifact`` names: ``sha256:DIGEST``, or a file, which is uploaded."""
    if given.startswith(_DIGEST):
        return given.removeprefix(_DIGEST).lower()
    return (await uploaded(client, given)).digest
