"""The website that the demo's job checks: this project's documentation, rendered, served on loopback.

Four of its links are broken on purpose and one page is slow. The server keeps an access log, which is the
witness at the end: it was written outside of the system under test.
"""

import contextlib
import html
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import markdown

from mvm_ci.testing.loopback import serving

BROKEN = {
    "/handbook.html": 404,
    "/concepts/quorum.html": 404,
    "/archive/2019.html": 410,
    "/status/feed.xml": 500,
}
_KINDS = {".json": "application/json", ".txt": "text/plain; charset=utf-8"}
SLOW = "/slow.html"
SLOW_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One line of the access log. ``at``: seconds of the monotonic clock when the request arrived."""

    at: float
    path: str
    status: int
    idempotency_key: str


class Site(ThreadingHTTPServer):
    """The server and its access log. ``arrived`` counts requests whose answer may still be under way."""

    daemon_threads = True

    def __init__(self, pages: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = pages
        self.hits: list[Hit] = []
        self.slow_begun = threading.Event()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def urls(self) -> int:
        """How many different URLs a crawl from the start page asks for."""
        return len(self.pages) + len(BROKEN)


class _Handler(BaseHTTPRequestHandler):
    server: Site
    timeout = 30

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        path = "/index.html" if path == "/" else path
        status = 200 if path in self.server.pages else BROKEN.get(path, 404)
        key = self.headers.get("Idempotency-Key", "")
        self.server.hits.append(Hit(at=time.monotonic(), path=path, status=status, idempotency_key=key))
        if path == SLOW:
            self.server.slow_begun.set()
            time.sleep(SLOW_SECONDS)
        body = self.server.pages.get(path, f"<h1>{status}</h1>".encode())
        # A worker that was killed cannot take its answer any more: nobody is there to be told.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            kind = _KINDS.get(Path(path).suffix, "text/html; charset=utf-8")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Says nothing: ``hits`` is the log."""


def _render(source: Path, root: Path) -> bytes:
    body = markdown.markdown(source.read_text(encoding="utf-8"), extensions=["tables", "fenced_code", "toc"])
    body = re.sub(r'href="(?!\w+:)([^"]+)\.md(#[^"]*)?"', r'href="\1.html\2"', body)
    title = html.escape(source.stem)
    home = "../" * (len(source.relative_to(root).parts) - 1) + "index.html"
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title} · MVM-CI</title></head>"
        f'<body><nav><a href="{home}">MVM-CI</a></nav><main>{body}</main></body></html>'
    ).encode()


def render(docs: Path) -> dict[str, bytes]:
    """The pages by path. The start page links to all of them, to the slow one and to the broken ones."""
    sources = sorted(docs.rglob("*.md"))
    pages = {f"/{path.relative_to(docs).with_suffix('.html')}": _render(path, docs) for path in sources}
    # Reports and texts that pages link to.
    for data in sorted(path for kind in (".html", *_KINDS) for path in docs.rglob(f"*{kind}")):
        pages[f"/{data.relative_to(docs)}"] = data.read_bytes()
    pages[SLOW] = b'<!doctype html><title>slow</title><p>Worth the wait. <a href="index.html">Home</a></p>'
    links = "".join(f'<li><a href="{path[1:]}">{path[1:]}</a></li>' for path in [*pages, *BROKEN])
    start = pages.get("/index.html", b"<main></main>")
    pages["/index.html"] = start.replace(b"</main>", f"<h2>All pages</h2><ul>{links}</ul></main>".encode())
    return pages


@contextlib.contextmanager
def serve(docs: Path) -> Iterator[Site]:
    """The site, served until the block ends."""
    site = Site(render(docs))
    with serving(site):
        yield site
