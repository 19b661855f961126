# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "link-checker"
# allow-hosts = ["*"]
# ///
"""Checks every link of a web site, politely, and survives the loss of the machine it runs on.

Ordinary Python: ``urllib.request`` and ``time.sleep`` are recorded as they happen, so after a crash the crawl goes on
where it was, without asking the site again for what it has answered.

Input: ``{"url": "http://…/", "delay_s": 1.0, "max_pages": 200}``.
"""

import collections
import html.parser
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 30


class LinkParser(html.parser.HTMLParser):
    """Collects the targets of ``<a href>``."""

    def __init__(self):
        super().__init__()
        self.targets = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def fetch(url):
    """Status, error text, final URL and HTML text (empty if it is none) of ``url``."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            text = ""
            if response.headers.get_content_type() == "text/html":
                charset = response.headers.get_content_charset("utf-8")
                try:
                    text = response.read().decode(charset, "replace")
                except LookupError:  # a charset nobody knows
                    text = response.read().decode("utf-8", "replace")
            return response.status, None, response.geturl(), text
    except urllib.error.HTTPError as error:
        return error.code, None, url, ""
    except urllib.error.URLError as error:
        return None, str(error.reason), url, ""
    except ValueError as error:
        return None, str(error), url, ""


def normalized(url):
    """``url`` without its fragment, with a path: one spelling for each target."""
    parts = urllib.parse.urlsplit(urllib.parse.urldefrag(url).url)
    return urllib.parse.urlunsplit(parts._replace(path=parts.path or "/"))


def links_of(base, text):
    """The distinct absolute targets in ``text`` without fragments, in their order."""
    parser = LinkParser()
    parser.feed(text)
    found = {}
    for target in parser.targets:
        try:
            url = normalized(urllib.parse.urljoin(base, target.strip()))
        except ValueError:
            found[target] = None  # not a URL at all: checked, and reported as broken
            continue
        if url.startswith(("http://", "https://")):
            found[url] = None
    return list(found)


class Crawl:
    """One crawl: what is known, what was checked, who links where."""

    def __init__(self, start, max_pages):
        self.start = normalized(start)
        self.host = urllib.parse.urlsplit(self.start).netloc
        self.max_pages = max_pages
        self.waiting = collections.deque([self.start])
        self.known = {self.start}
        self.linked_from = collections.defaultdict(list)
        self.external = {}
        self.broken = []
        self.checked = 0

    def check_next(self):
        url = self.waiting.popleft()
        status, error, final_url, text = fetch(url)
        self.checked += 1
        if error is not None:
            self.broken.append({"url": url, "error": error})
        elif status >= 400:
            self.broken.append({"url": url, "status": status})
        elif urllib.parse.urlsplit(final_url).netloc == self.host:
            for target in links_of(final_url, text):
                self.note(url, target)
        outcome = error if status is None else status
        path = url.split(self.host, 1)[-1]
        print(f"checked {self.checked} of {len(self.known)} known: {path} {outcome}")

    def note(self, page, target):
        self.linked_from[target].append(page)
        try:
            same_host = urllib.parse.urlsplit(target).netloc == self.host
        except ValueError:
            same_host = True
        if not same_host:
            self.external[target] = "not checked"
        elif target not in self.known:
            self.known.add(target)
            self.waiting.append(target)

    def report(self):
        return {
            "start": self.start,
            "pages": self.checked,
            "broken": [{**entry, "linked_from": self.linked_from[entry["url"]]} for entry in self.broken],
            "external": [
                {"url": url, "note": note, "linked_from": self.linked_from[url]} for url, note in self.external.items()
            ],
            "not_visited": list(self.waiting),
        }


def run(input):
    crawl = Crawl(input["url"], int(input.get("max_pages", 200)))
    delay = float(input.get("delay_s", 1.0))
    while crawl.waiting and crawl.checked < crawl.max_pages:
        if crawl.checked:
            time.sleep(delay)
        crawl.check_next()
    return crawl.report()
