"""What the build of the site does with the documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from mkdocs.config import load_config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files

from docs.tools import figures, pages
from tests.unit.documents.commands import ROOT


def test_a_document_that_is_not_as_its_source_gives_ends_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    pages.on_pre_build(MkDocsConfig())
    monkeypatch.setattr(figures, "differing", lambda: [Path("docs/deployment/README.md")])
    with pytest.raises(PluginError, match=r"README\.md; run: make figures"):
        pages.on_pre_build(MkDocsConfig())


def test_a_missing_run_ends_the_build_with_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[Path]:
        raise figures.Unrendered("sources/A.md.in:3: {{ nowhere: rate }}: there is no nowhere.json")

    monkeypatch.setattr(figures, "differing", missing)
    with pytest.raises(PluginError, match=r"A\.md\.in:3: .* there is no nowhere\.json"):
        pages.on_pre_build(MkDocsConfig())


def test_each_plain_text_is_a_page_too() -> None:
    config = load_config(str(ROOT / "mkdocs.yml"))
    files = config.plugins.on_files(Files([]), config=config)
    assert set(files.src_uris) == {"deployment/EXECUTIVE_SUMMARY.md", "deployment/DEPLOYMENT_SUMMARY.md"}
    for uri, page in files.src_uris.items():
        text = figures.DEPLOYMENT / Path(uri).with_suffix(".txt").name
        assert f"```text\n{text.read_text()}```" in page.content_string
        assert f"]({text.name})" in page.content_string
