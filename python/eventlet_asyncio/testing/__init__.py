"""
Tools for tests of green code, with and without pytest.

Time, order and colour can be taken into a test's own hands, and what a test leaves
behind is found. pytest users get the same through a plugin; see
``docs/howto/test-a-service.md``.

Names are looked up on first use, so that importing this package loads nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventlet_asyncio.testing._checks import GreenChecks
    from eventlet_asyncio.testing._clock import VirtualClock, virtual_clock
    from eventlet_asyncio.testing._idle import wait_until_idle
    from eventlet_asyncio.testing._sequence import Sequencer
    from eventlet_asyncio.testing._shuffle import shuffled
    from eventlet_asyncio.testing._switches import (
        assert_no_switch,
        assert_switches,
        expect_colour,
    )

__all__ = [
    "GreenChecks",
    "Sequencer",
    "VirtualClock",
    "assert_no_switch",
    "assert_switches",
    "expect_colour",
    "shuffled",
    "virtual_clock",
    "wait_until_idle",
]

_HOMES = {
    "GreenChecks": "_checks",
    "Sequencer": "_sequence",
    "VirtualClock": "_clock",
    "assert_no_switch": "_switches",
    "assert_switches": "_switches",
    "expect_colour": "_switches",
    "shuffled": "_shuffle",
    "virtual_clock": "_clock",
    "wait_until_idle": "_idle",
}


def __getattr__(name: str) -> object:
    """Load what is asked for."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, including those not looked up yet."""
    return sorted({*globals(), *__all__})
