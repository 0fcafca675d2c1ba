"""A headless Chromium that a test opens a page in, and asks about it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess

FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
    ),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--remote-allow-origins=*", "--remote-debugging-port=0"),
)


def find():
    """Return the browser's path, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """An open page: `ask` evaluates an expression in it."""

    def __init__(self, connection):
        self._connection = connection
        self._number = 0
        self.messages = []

    def call(self, method, **parameters):
        """Call a method of the DevTools protocol; keep the console's messages."""
        self._number += 1
        self._connection.send(
            json.dumps({"id": self._number, "method": method, "params": parameters})
        )
        while True:
            message = json.loads(self._connection.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.messages.append(message["params"])

    def ask(self, expression):
        """Return the value of a JavaScript expression."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")


@contextlib.contextmanager
def opened(path, folder, *, width=1280, dark=False):
    """Open a file in a browser of its own, without a network."""
    import urllib.request

    import websocket

    command = [find(), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser,
        contextlib.ExitStack() as stack,
    ):
        try:
            for line in browser.stderr:
                if "DevTools listening on" in line:
                    port = line.split("ws://")[1].split("/")[0]
                    break
            with urllib.request.urlopen(f"http://{port}/json") as answer:
                (tab,) = [t for t in json.load(answer) if t["type"] == "page"]
            connection = websocket.create_connection(
                tab["webSocketDebuggerUrl"], timeout=30
            )
            stack.callback(connection.close)
            page = Page(connection)
            for domain in ("Log", "Runtime", "Page"):
                page.call(f"{domain}.enable")
            page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=900, deviceScaleFactor=1, mobile=False,
            )  # fmt: skip
            scheme = "dark" if dark else "light"
            page.call(
                "Emulation.setEmulatedMedia",
                features=[{"name": "prefers-color-scheme", "value": scheme}],
            )
            page.call("Page.navigate", url=path.as_uri())
            while page.ask("document.readyState") != "complete":
                pass
            yield page
        finally:
            browser.kill()
