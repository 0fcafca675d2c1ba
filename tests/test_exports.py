"""Public names are upstream's: each module of the overlay against the recorded list."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import pytest

RECORD = Path(__file__).parent / "data" / "upstream_names.txt"
OVERLAY = (
    Path(__file__).parents[1] / "python" / "eventlet_asyncio" / "_overlay" / "eventlet"
)

# Names that are deliberately not offered, with the reason.
LEFT_OUT = {
    "eventlet.green.http.cookiejar": {
        "vals_sorted_by_key": "a helper that http.cookiejar has up to Python 3.10",
    },
    "eventlet.green.http.cookies": {
        "error": "a leftover of upstream's own copy of http.cookies",
    },
    "eventlet.green.ssl": {
        "PY33": "upstream's import for its own use",
        "contextmanager": "upstream's import for its own use",
    },
    "eventlet.green.urllib2": {"error": "upstream's import for its own use"},
    "eventlet.support.greendns": {"pkg": "upstream's loop variable"},
}

# Green modules whose twin has another name, or is a package to install.
TWINS = {
    "BaseHTTPServer": "http.server",
    "CGIHTTPServer": "http.server",
    "Queue": "queue",
    "SimpleHTTPServer": "http.server",
    "SocketServer": "socketserver",
    "builtin": "builtins",
    "httplib": "http.client",
    "thread": "_thread",
    "urllib2": "urllib.request",
}
# Green modules that offer a part of their twin, as upstream's do.
PARTS = {
    "CGIHTTPServer": "what the old module of this name had",
    "SimpleHTTPServer": "what the old module of this name had",
    "select": "polls of other kinds would block",
    "selectors": "selectors of other kinds would block",
}
TO_INSTALL = {"MySQLdb", "OpenSSL", "psycopg2", "zmq"}


# Names that upstream keeps for itself and libraries use all the same: see the page on
# compatibility.
PRIVATE = {
    "eventlet.green.http.client": ("_UNKNOWN",),
    "eventlet.patcher": (
        *("_green_MySQLdb", "_green_builtins", "_green_os_modules"),
        *("_green_select_modules", "_green_socket_modules"),
        *("_green_subprocess_modules", "_green_thread_modules", "_green_time_modules"),
    ),
    "eventlet.tpool": ("_nthreads", "_threads"),
    "greenlet._greenlet": ("getcurrent", "gettrace", "greenlet", "settrace"),
}


def read_record():
    """Read the recorded names: those of each module, and of each class."""
    names = {}
    for line in RECORD.read_text().splitlines():
        if line.startswith("["):
            found = names.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            found += line.split()
    return names


NAMES = read_record()
MODULES = [entry for entry in NAMES if ":" not in entry]
CLASSES = [entry for entry in NAMES if ":" in entry]


def green_modules():
    """List the green modules by the name behind ``eventlet.green.``."""
    for path in sorted((OVERLAY / "green").rglob("*.py")):
        parts = path.relative_to(OVERLAY / "green").with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        private = any(part.startswith("_") for part in name.split("."))
        if name and not private and name not in PARTS and parts[0] not in TO_INSTALL:
            yield name


def load(name):
    """Import a module; skip the test where it stands on something not installed."""
    parts = name.split(".")
    if parts[:2] == ["eventlet", "green"] and parts[2] in TO_INSTALL:
        pytest.importorskip(parts[2], reason=f"{parts[2]} is not installed")
    with warnings.catch_warnings():
        # Twins that later versions of Python are going to remove.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_module_offers_upstreams_names(name):
    """A program finds the names that it imports from upstream."""
    left_out = LEFT_OUT.get(name, {})
    module = load(name)
    assert [
        n for n in NAMES[name] if not hasattr(module, n) and n not in left_out
    ] == []


@pytest.mark.parametrize("entry", CLASSES)
def test_class_offers_upstreams_members(entry):
    """A program finds the methods and attributes that it uses of upstream's classes."""
    name, class_name = entry.split(":")
    offered = getattr(load(name), class_name)
    missing = {n for n in NAMES[entry] if not hasattr(offered, n)}
    if sys.version_info < (3, 11):
        # New in socketserver.
        missing.discard("allow_reuse_port")
    assert missing == set()


@pytest.mark.parametrize("name", list(green_modules()))
def test_green_module_offers_the_names_of_its_twin(name):
    """Whoever imports the green module misses nothing that the standard one has."""
    standard = TWINS.get(name, name)
    if standard in {"asynchat", "asyncore", "smtpd"} and sys.version_info >= (3, 12):
        pytest.skip("Python 3.12 removed the twin")
    twin, green = load(standard), load(f"eventlet.green.{name}")
    public = getattr(twin, "__all__", [n for n in dir(twin) if not n.startswith("_")])
    assert [n for n in public if hasattr(twin, n) and not hasattr(green, n)] == []


def in_twin(name, attribute):
    """Say whether the standard twin of a green module has the attribute here."""
    _, green, standard = name.partition("eventlet.green.")
    return bool(green) and hasattr(load(TWINS.get(standard, standard)), attribute)


def test_names_left_out_are_upstreams_and_missing():
    """The list of exceptions holds no name that is offered, and none unknown."""
    assert {
        (name, left_out)
        for name, entries in LEFT_OUT.items()
        for left_out in entries
        if left_out not in NAMES[name]
        or (hasattr(load(name), left_out) and not in_twin(name, left_out))
    } == set()


def test_submodules_are_attributes_without_an_import_of_their_own(run_isolated):
    """`import eventlet` is enough to write `eventlet.wsgi.server`."""
    names = sorted(
        path.stem
        for path in [
            *OVERLAY.glob("*.py"),
            *(p.parent for p in OVERLAY.glob("*/__init__.py")),
        ]
        if not path.stem.startswith("_")
    )
    assert "wsgi" in names
    program = "import eventlet, sys\nassert 'eventlet.wsgi' not in sys.modules\n"
    program += "".join(f"eventlet.{name}\n" for name in names)
    program += "print(callable(eventlet.wsgi.server))\n"
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert done.stdout == "True\n"


@pytest.mark.parametrize("name", PRIVATE)
def test_private_names_that_libraries_use_are_there(name):
    """They are listed on the page on compatibility, and each is there."""
    module = importlib.import_module(name)
    page = (Path(__file__).parents[1] / "docs/reference/compatibility.md").read_text()
    for private in PRIVATE[name]:
        assert hasattr(module, private)
        assert f"`{private}`" in page
