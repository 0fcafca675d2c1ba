"""Servers for the applications, one of each kind for the whole run."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from tests.apps.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give a function that starts a server by name, once, and returns its address."""
    addresses: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def start(name: str) -> str:
            if name not in addresses:
                # A run by hand may have them already: see the end of servers.py.
                given = os.environ.get(f"APPS_{name.upper()}")
                folder = tmp_path_factory.mktemp(name)
                addresses[name] = given or stack.enter_context(SERVERS[name](folder))
            return addresses[name]

        yield start
