"""
Follow the links of a site, some pages at a time, with the standard library's client.

Without an argument it crawls a site that it serves itself; with a URL it crawls that,
and stays on its host.
"""

from __future__ import annotations

# --- patch
import eventlet

eventlet.monkey_patch()

import re
import sys
from urllib.error import URLError
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.request import urlopen

from eventlet import wsgi

LINK = re.compile(r'href="([^"]+)"')


# --- fetch
def fetch(url: str) -> list[str]:
    """Return the addresses that a page links to; none if it cannot be read."""
    text = ""
    try:
        with eventlet.Timeout(10), urlopen(url) as answer:
            text = answer.read().decode(errors="replace")
    except (URLError, eventlet.Timeout) as error:
        print(f"{url}: {error}")
    return [urldefrag(urljoin(url, link)).url for link in LINK.findall(text)]


# --- crawl
def crawl(start: str, at_once: int = 10) -> set[str]:
    """Read every page of a host that can be reached, and return their addresses."""
    host = urlsplit(start).netloc
    seen = {start}
    pool = eventlet.GreenPool(at_once)
    found: eventlet.Queue[list[str]] = eventlet.Queue()

    def read(url: str) -> None:
        found.put(fetch(url))

    pool.spawn(read, start)
    while pool.running() or not found.empty():
        for url in found.get():
            if url not in seen and urlsplit(url).netloc == host:
                seen.add(url)
                # Waits for a place in the pool while ten pages are being read.
                pool.spawn(read, url)
        eventlet.sleep(0)
    return seen


# --- main
def site(environ: dict[str, str], start_response: object) -> list[bytes]:
    """Serve 31 pages, each of which links to two others."""
    number = int(environ["PATH_INFO"].strip("/") or 1)
    eventlet.sleep(0.05)
    links = [n for n in (2 * number, 2 * number + 1) if n < 32]
    start_response("200 OK", [("Content-Type", "text/html")])  # type: ignore[operator]
    return [f'<a href="/{link}">{link}</a>'.encode() for link in links]


def main() -> None:
    """Crawl what is asked for, or our own site."""
    if sys.argv[1:]:
        for url in sorted(crawl(sys.argv[1])):
            print(url)
        return
    listener = eventlet.listen(("127.0.0.1", 0))
    server = eventlet.spawn(wsgi.server, listener, site, log_output=False)
    pages = crawl(f"http://127.0.0.1:{listener.getsockname()[1]}/1")
    print(f"{len(pages)} pages")
    assert len(pages) == 31
    server.kill()


if __name__ == "__main__":
    main()
