"""
Use aiohttp's client in an Eventlet application: a green WSGI service that asks others.

It serves a few requests to itself, and ends.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from aiohttp import ClientSession, ClientTimeout

import eventlet
import eventlet.asyncio
from eventlet import wsgi
from eventlet.green.urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterable


# --- client
class Client:
    """An aiohttp session that green code uses, opened once for all."""

    def __init__(self) -> None:
        self._session = eventlet.asyncio.run(self._open())

    async def _open(self) -> ClientSession:
        return ClientSession(timeout=ClientTimeout(total=5))

    async def _fetch(self, url: str) -> int:
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            return len(await answer.read())

    async def _fetch_all(self, urls: Iterable[str]) -> list[int]:
        return await asyncio.gather(*map(self._fetch, urls))

    def sizes(self, urls: Iterable[str]) -> list[int]:
        """Return the sizes of what the URLs give; a switch point."""
        return eventlet.asyncio.await_(self._fetch_all(urls))

    def close(self) -> None:
        """Close the connections that are kept."""
        eventlet.asyncio.await_(self._session.close())


# --- main
def main() -> None:
    """Serve pages, and a page that tells the sizes of others, fetched by aiohttp."""
    listener = eventlet.listen(("127.0.0.1", 0))
    root = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = Client()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"] != "/sizes":
            eventlet.sleep(0.05)
            return [b"x" * int(environ["PATH_INFO"][1:])]
        wanted = parse_qs(environ["QUERY_STRING"])["of"]
        sizes = client.sizes(f"{root}/{number}" for number in wanted)
        return [json.dumps(sizes).encode()]

    server = eventlet.spawn(wsgi.server, listener, application, log_output=False)
    sizes: list[int] = []
    with eventlet.Timeout(30), urlopen(f"{root}/sizes?of=1&of=22&of=333") as answer:
        sizes = json.load(answer)
    print(*sizes)
    assert sizes == [1, 22, 333]
    client.close()
    server.kill()


if __name__ == "__main__":
    main()
