"""
The pytest plugin: its options, and what turns it on.

Loaded by every pytest run of an environment that has this distribution, so it imports
nothing and does nothing until the ini option ``green_mode`` or one of its flags is
given. What it does then is in the modules beside it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

HUBS = (
    "ours",
    "upstream:epolls",
    "upstream:poll",
    "upstream:selects",
    "upstream:asyncio",
    "none",
)

_FLAGS = (
    "green_hub",
    "green_compare",
    "green_shuffle",
    "green_shuffle_search",
    "green_evidence",
    "green_blocking",
)


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Declare flags and ini options."""
    group = parser.getgroup("green", "green threads (eventlet-asyncio)")
    group.addoption(
        "--green-hub",
        metavar="HUB",
        help="run on this hub, with all checks: " + ", ".join(HUBS),
    )
    group.addoption(
        "--green-compare",
        metavar="A,B",
        help="run each module on each of these hubs (or 'threads': no Eventlet), in"
        " fresh processes, and report what differs",
    )
    group.addoption(
        "--green-compare-json",
        metavar="FILE",
        help="write the differences as JSON, too",
    )
    group.addoption(
        "--green-shuffle",
        metavar="SEED",
        help="run ready green threads and tasks in the random order of this seed",
    )
    group.addoption(
        "--green-shuffle-search",
        metavar="N",
        type=int,
        help="run each test in up to N random orders, and reduce one that fails",
    )
    group.addoption(
        "--green-evidence",
        metavar="FILE",
        help="write where the tests switched, for scan and plan",
    )
    group.addoption(
        "--green-blocking",
        metavar="SECONDS",
        type=float,
        help="fail a test in which others cannot run for so long",
    )
    parser.addini(
        "green_mode", "turn the plugin and its checks on", "bool", default=False
    )
    parser.addini("green_tests", "'auto': run every test in a green thread", default="")
    parser.addini("green_timeout", "seconds that a test may take", default="")
    parser.addini("green_blocking", "as --green-blocking", default="")


def is_on(config: "pytest.Config") -> bool:
    """Tell whether anything asks for the plugin."""
    flags = any(config.getoption(flag, None) is not None for flag in _FLAGS)
    return flags or bool(config.getini("green_mode"))


def pytest_load_initial_conftests(early_config: "pytest.Config") -> "Iterator[None]":
    """Choose the hub before a conftest or a test can import Eventlet."""
    hub = early_config.known_args_namespace.green_hub
    if hub is not None:
        from eventlet_asyncio.testing._hubs import choose

        choose(hub)
    return (yield)


# pytest.hookimpl() without importing pytest, which has done so already.
pytest_load_initial_conftests.pytest_impl = {  # type: ignore[attr-defined]
    "wrapper": True,
    "hookwrapper": False,
    "tryfirst": True,
    "trylast": False,
    "optionalhook": False,
    "specname": None,
}


def pytest_configure(config: "pytest.Config") -> None:
    """Declare the markers, and put in what was turned on."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    if not is_on(config):
        return
    if config.getoption("green_compare") is not None:
        from eventlet_asyncio.testing._compare import Comparison

        config.pluginmanager.register(Comparison(config), "green-compare")
        return
    from eventlet_asyncio.testing._session import GreenSession

    config.pluginmanager.register(GreenSession(config), "green-session")


_MARKERS = (
    "green: run the test in a green thread, or as a coroutine that may block",
    "allow_leaks(*kinds): let the test leave these kinds of things behind, or all",
    "allow_blocking: let the test keep others from running",
    "allow_failures: let green threads of the test fail without anybody looking",
    "green_timeout(seconds): let the test take this long",
    "green_differs(reason, expect=None): accept that hubs differ, in these aspects",
)
