# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "unpack"
# ///
"""Unpacks an archive, walks what was in it, and packs a report: ordinary Python on files."""

import base64
import os
import shutil
import tempfile
import time
import zipfile
from pathlib import Path


def run(input):
    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory, "given.zip")
        archive.write_bytes(base64.b64decode(input["archive"]))
        with zipfile.ZipFile(archive) as given:
            given.extractall("unpacked")
    lines = []
    for where, directories, names in os.walk("unpacked"):
        for name in names:
            path = Path(where, name)
            lines.append(f"{path.relative_to('unpacked')}: {path.stat().st_size} bytes")
    time.sleep(input.get("pause", 0))
    Path("unpacked", "REPORT").write_text("\n".join([*lines, ""]))
    shutil.make_archive("report", "zip", "unpacked")
    return {"lines": lines, "report": base64.b64encode(Path("report.zip").read_bytes()).decode()}
