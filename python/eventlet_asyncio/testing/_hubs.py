"""The hubs that tests can be run on, by the names of ``--green-hub``."""

from __future__ import annotations

import os
import sys

from eventlet_asyncio._activate import (
    DISABLE_VARIABLE,
    HUB_VARIABLE,
    activate,
    is_ours,
    origin_of,
)
from eventlet_asyncio.testing.plugin import HUBS

#: Another name of ``none``, for what is to run on threads.
THREADS = "threads"


class UnknownHubError(Exception):
    """A hub that cannot be had; the message says why."""


def environment(hub: str) -> dict[str, str]:
    """
    Return the variables of a process that runs on this hub, from those of this one.

    Raises:
        UnknownHubError: If there is no such hub.
    """
    if hub not in HUBS and hub != THREADS:
        message = f"there is no hub {hub!r}: use one of {', '.join(HUBS)}"
        raise UnknownHubError(message)
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in {HUB_VARIABLE, DISABLE_VARIABLE}
    }
    if hub == "ours":
        variables[HUB_VARIABLE] = "asyncio"
    elif hub.startswith("upstream:"):
        variables[HUB_VARIABLE] = hub.partition(":")[2]
        variables[DISABLE_VARIABLE] = "1"
    return variables


def choose(hub: str) -> None:
    """
    Have this process run on a hub. Exits pytest, with the reason, if it cannot.
    """
    import pytest

    try:
        variables = environment(hub)
    except UnknownHubError as error:
        raise pytest.UsageError(f"--green-hub: {error}") from None
    loaded = [name for name in ("eventlet", "greenlet") if name in sys.modules]
    ours = hub == "ours"
    if any(is_ours(origin_of(name)) != ours for name in loaded):
        message = (
            f"--green-hub={hub} comes too late: {loaded[0]} is loaded already from"
            f" {origin_of(loaded[0])}; a plugin given with -p imports it"
        )
        raise pytest.UsageError(message)
    for name in (HUB_VARIABLE, DISABLE_VARIABLE):
        os.environ.pop(name, None)
        if name in variables:
            os.environ[name] = variables[name]
    if ours:
        activate()
    elif hub in {"none", THREADS}:
        from eventlet_asyncio.migration import guard

        # It is in force as long as the process lives.
        guard("error").__enter__()
    elif origin_of("eventlet") is None:
        message = f"--green-hub={hub}: upstream Eventlet is not installed here (pip install eventlet)"
        raise pytest.UsageError(message)
