"""What the commands on backups print."""

from pathlib import Path

import click

from mvm_ci.cli import output
from mvm_ci.control_plane.archive import Manifest


def show(file: Path, manifest: Manifest, *, as_json: bool, **more: object) -> None:
    """What a backup holds; on stderr, what is missing from it."""
    blobs = sum(entry.name.startswith("blobs/") for entry in manifest.files)
    size = sum(entry.size for entry in manifest.files)
    if as_json:
        output.print_json(
            {
                "file": str(file),
                "created_ms": manifest.created_ms,
                "version": manifest.version,
                "schema": manifest.schema,
                "blobs": blobs,
                "bytes": size,
                "damaged": manifest.damaged,
                **more,
            }
        )
    else:
        made = output.when(manifest.created_ms)
        click.echo(
            output.safe_line(
                f"{file}: {output.size(size)}, {blobs} blobs, schema {manifest.schema}, made {made}"
            )
        )
    for digest in manifest.damaged:
        output.note(f"blob {digest} was damaged when the backup was made and is not in it")
