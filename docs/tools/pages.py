"""What the build of the site does beside Markdown: it refuses documents whose figures are not those of the
runs, and shows each document in plain text as a page.
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs.tools import figures


def on_pre_build(config: MkDocsConfig) -> None:  # noqa: ARG001 - it is called by name
    """Raises ``PluginError``."""
    try:
        differing = figures.differing()
    except figures.Unrendered as why:
        raise PluginError(str(why)) from None
    if differing:
        names = ", ".join(path.name for path in differing)
        raise PluginError(f"not as their sources and the runs give: {names}; run: make figures")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """A page beside each ``deployment/NAME.txt``."""
    for text in sorted(figures.DEPLOYMENT.glob("*.txt")):
        title = text.stem.replace("_", " ").capitalize()
        content = (
            f"# {title}\n\n[The same as plain text]({text.name})\n\n```text\n{text.read_text('utf-8')}```\n"
        )
        files.append(File.generated(config, f"deployment/{text.stem}.md", content=content))
