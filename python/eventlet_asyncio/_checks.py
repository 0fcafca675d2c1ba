"""
What may stand in the way of this implementation, looked at from inside a process.

Each check says what was seen (evidence), what it does to a program (effect), and
what to do (fix). Nothing here imports eventlet or greenlet: the native module is
tried in a process of its own, so that the answer cannot depend on the asking and
a crash is an answer too.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from eventlet_asyncio import _activate

if TYPE_CHECKING:
    from collections.abc import Iterator

_HUBS = ("asyncio", "epolls", "poll", "selects", "kqueue")
_LOOP_VARIABLE = "EVENTLET_ASYNCIO_LOOP"
_PREFIX = "EVENTLET_ASYNCIO_"
# What docs/reference/environment.md lists; a test compares the two.
VARIABLES = (
    *("CONTEXT", "DISABLE", "GUARD", "HARNESS", "LOOKUPS", "LOOP", "PLAIN_TASKS"),
    *("PYTHONS", "STACK_GUARD", "STACK_SIZE", "VISIBLE_LOOP", "WHEEL"),
)

# Tries the native module: one switch there and back, and what eight stacks cost.
_TRIAL = """
import sys
sys.path.insert(0, sys.argv[1])
def mappings():
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)
from eventlet_asyncio import _core
assert _core.greenlet(lambda x: _core.getcurrent().parent.switch(x + 1)).switch(1) == 2
def wait():
    _core.getcurrent().parent.switch()
first = _core.greenlet(wait)
first.switch()
before = mappings()
others = [_core.greenlet(wait) for _ in range(8)]
for each in others:
    each.switch()
print(mappings() - before)
"""


class Check(NamedTuple):
    """
    One thing that was looked at.

    Attributes:
        name: What.
        state: ``ok``; ``note`` for what is worth knowing; ``problem``.
        evidence: What was seen.
        effect: What that does to a program; empty if all is well.
        fix: What to do about it; empty if there is nothing to do.
        code: Of a problem or note, see ``docs/reference/errors.md``.
    """

    name: str
    state: Literal["ok", "note", "problem"]
    evidence: str
    effect: str = ""
    fix: str = ""
    code: str = ""


def diagnose() -> list[Check]:
    """
    Look at everything, in the order in which it is shown.

    In a program of its own, as ``eventlet-asyncio doctor`` is, or in yours: what
    is loaded and patched there is looked at too. Not a switch point.
    """
    return [
        *_selection(),
        *_variables(),
        *_set_too_late(),
        *_native(),
        *_loop(),
        *_policy(),
        *_companions(),
        *_late_patching(),
    ]


def _selection() -> Iterator[Check]:
    """Do the two packages belong together, and are they those asked for."""
    eventlet, greenlet = (
        _activate.is_ours(_activate.origin_of(name)) for name in _activate.NAMES
    )
    hub = os.environ.get(_activate.HUB_VARIABLE)
    selected = hub == "asyncio" and not _activate.is_disabled()
    position = _activate.position()
    if selected and position == "last":
        yield Check(
            "selection",
            "problem",
            f"{_activate.HUB_VARIABLE} is asyncio, but was not when Python started",
            "the start-up file had read it before; another eventlet that is "
            "installed is loaded in place of this one",
            "set the variable where the process is started, or call "
            "eventlet_asyncio.activate() before anything imports eventlet",
            "EA604",
        )
    elif selected and not (eventlet and greenlet):
        yield Check(
            "selection",
            "problem",
            "eventlet-asyncio is selected but does not load",
            "the program runs on another implementation, or not at all",
            "reinstall it, or call eventlet_asyncio.activate() where Python runs with -S",
            "EA602",
        )
    elif eventlet != greenlet:
        yield Check(
            "selection",
            "problem",
            "the two come from different distributions, which cannot be mixed",
            "the one that is imported second fails",
            "Set EVENTLET_HUB=asyncio, or install the other half of the pair",
            "EA601",
        )
    else:
        whose = "eventlet-asyncio" if eventlet else "another distribution"
        yield Check("selection", "ok", f"eventlet and greenlet both come from {whose}")


def _variables() -> Iterator[Check]:
    """Look for words that nobody reads."""
    from difflib import get_close_matches

    hub = os.environ.get(_activate.HUB_VARIABLE)
    if hub is not None and not _is_hub(hub):
        close = get_close_matches(hub, _HUBS, 1)
        yield Check(
            "hub",
            "problem",
            f"{_activate.HUB_VARIABLE} is {hub!r}, which is no hub and no module",
            "this implementation is not selected, and whichever eventlet loads "
            "fails at its first call",
            f"write {close[0]}"
            if close
            else "write asyncio, or unset it for the default",
            "EA603",
        )
    for name in os.environ:
        if name.startswith(_PREFIX) and name[len(_PREFIX) :] not in VARIABLES:
            close = get_close_matches(name[len(_PREFIX) :], VARIABLES, 1)
            yield Check(
                "variable",
                "problem",
                f"{name} is set, and nothing reads a variable of that name",
                "what was meant by it does not happen",
                f"write {_PREFIX}{close[0]}" if close else "unset it",
                "EA613",
            )
    mode = os.environ.get(f"{_PREFIX}GUARD", "")
    if mode not in ("", "error", "warn", "count"):
        yield Check(
            "guard",
            "problem",
            f"{_PREFIX}GUARD is {mode!r}, which is no mode",
            "it counts as error: imports of eventlet fail",
            "write error, warn or count",
            "EA201",
        )
    elif mode:
        effect = {
            "error": "imports of eventlet, monkey_patch() and switches are refused",
            "warn": "imports of eventlet, monkey_patch() and switches are warned of",
            "count": "imports of eventlet, monkey_patch() and switches are counted",
        }
        yield Check("guard", "note", f"{_PREFIX}GUARD is {mode}", effect[mode])


def _is_hub(name: str) -> bool:
    if name in _HUBS:
        return True
    module = name.partition(":")[0]
    if not module.strip():
        return False
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


_SETTING = re.compile(
    rb"^[^#\n]*(?:environ\s*\[\s*|environ\.setdefault\(\s*|putenv\(\s*)"
    rb"[\"']EVENTLET_HUB[\"']\s*(?:\]\s*=[^=]|,)",
    re.MULTILINE,
)
_FILES = 300


def _set_too_late() -> Iterator[Check]:
    """Look whether the program in this folder sets the variable itself."""
    if os.environ.get(_activate.HUB_VARIABLE) == "asyncio":
        return
    for path in _sources(Path.cwd()):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        found = _SETTING.search(text) if b"EVENTLET_HUB" in text else None
        if found and b"eventlet_asyncio" not in text:
            line = text.count(b"\n", 0, found.start()) + 1
            yield Check(
                "variable",
                "note",
                f"{path.name}:{line} sets {_activate.HUB_VARIABLE} in the program",
                "that is too late to select this implementation for the same "
                "process: the variable is read when Python starts",
                "set it where the process is started, or call "
                "eventlet_asyncio.activate() in that line's place",
                "EA604",
            )
            return


def _sources(folder: Path) -> Iterator[Path]:
    """Yield Python files of a folder and of the packages in it, not its tests."""
    left = _FILES
    try:
        folders = [
            folder,
            *(
                inner
                for inner in sorted(folder.iterdir())
                if (inner / "__init__.py").exists()
            ),
        ]
    except OSError:
        return
    for each in folders:
        if each.name in ("test", "tests"):
            continue
        for path in sorted(each.glob("*.py")):
            if left == 0:
                return
            left -= 1
            if not path.name.startswith(("test_", "conftest")):
                yield path


def _native() -> Iterator[Check]:
    """Load the native module and make a switch, in a process of its own."""
    import subprocess

    home = str(Path(__file__).parents[1])
    command = [sys.executable, "-S", "-c", _TRIAL, home]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield _native_fails(f"the trial did not end: {error}")
        return
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        how = f"with status {done.returncode}"
        if done.returncode < 0:
            import signal

            how = f"by {signal.Signals(-done.returncode).name}"
        yield _native_fails(f"a process that makes one switch ended {how}: {last[0]}")
        return
    release = platform.release()
    yield Check("native module", "ok", "it loads, and a switch works")
    each = int(done.stdout) / 8
    limit = _read_number("/proc/sys/vm/max_map_count")
    if each < 1:
        yield Check("stacks", "ok", f"their guards take no mappings (Linux {release})")
        return
    most = 0 if limit is None else int(limit / each)
    yield Check(
        "stacks",
        "note",
        f"a stack takes {each:g} mappings of the {limit} that vm.max_map_count "
        f"allows (Linux {release})",
        f"about {most} green threads at the same time; more raise a MemoryError",
        "raise vm.max_map_count, or use Linux 6.13 or later, if you need more",
        "EA606",
    )


def _native_fails(evidence: str) -> Check:
    return Check(
        "native module",
        "problem",
        evidence,
        "import eventlet fails or crashes where this implementation is selected",
        "install a wheel for this Python and this system, and report what is shown here",
        "EA605",
    )


def _read_number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _loop() -> Iterator[Check]:
    """Find the factory of the hub's loop."""
    factory = os.environ.get(_LOOP_VARIABLE)
    if not factory:
        yield Check("loop", "ok", "asyncio's policy makes the hub's loop")
        return
    module, colon, _ = factory.partition(":")
    reason = None
    try:
        if not colon:
            reason = "it is not of the form module:factory"
        elif find_spec(module) is None:
            reason = f"there is no module {module}"
    except (ImportError, ValueError) as error:
        reason = str(error)
    if reason is None:
        yield Check("loop", "ok", f"{factory} makes the hub's loop")
        return
    yield Check(
        "loop",
        "problem",
        f"{_LOOP_VARIABLE} is {factory!r}: {reason}",
        "the first green call fails",
        f"install {module}, or unset {_LOOP_VARIABLE}"
        if colon
        else "write it as module:factory, uvloop:new_event_loop for one",
        "EA607",
    )


def _policy() -> Iterator[Check]:
    """See whether somebody has set a policy of asyncio's."""
    events: Any = sys.modules.get("asyncio.events")
    policy = getattr(events, "_event_loop_policy", None)
    if policy is None or type(policy).__module__.startswith("asyncio."):
        return
    kind = f"{type(policy).__module__}.{type(policy).__qualname__}"
    yield Check(
        "policy",
        "note",
        f"asyncio's policy is {kind}",
        "the hub's loop is what this policy makes; policies go with Python 3.16",
        f"set {_LOOP_VARIABLE}=module:factory in its place",
        "EA610",
    )


def _companions() -> Iterator[Check]:
    """Look for packages that replace the same things."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and getattr(monkey, "saved", None):
        yield Check(
            "gevent",
            "problem",
            f"gevent has patched {', '.join(sorted(monkey.saved)[:4])} in this process",
            "two libraries replace the same modules: waits of one stop the other's hub",
            "let one of them patch; run the other in a process of its own",
            "EA608",
        )
    elif _installed("gevent"):
        yield Check(
            "gevent",
            "note",
            "gevent is installed",
            "none, unless a process patches with both",
            "",
            "EA608",
        )
    asyncio: Any = sys.modules.get("asyncio")
    if hasattr(asyncio, "_nest_patched"):
        yield Check(
            "nest_asyncio",
            "problem",
            "nest_asyncio.apply() was called in this process",
            "it replaces asyncio's tasks and loops by its own, and a coroutine may "
            "be entered while it runs",
            "leave it out: here asyncio.run() works in green threads, and a "
            "coroutine may await a green thread",
            "EA611",
        )
    elif _installed("nest_asyncio"):
        yield Check(
            "nest_asyncio",
            "note",
            "nest_asyncio is installed",
            "none, unless a program calls its apply()",
            "",
            "EA611",
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _late_patching() -> Iterator[Check]:
    """Find modules that took something from a module before it was patched."""
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is None or not getattr(patcher, "already_patched", None):
        return
    originals = {}
    for module, name in (
        ("time", "sleep"),
        ("select", "select"),
        ("_thread", "allocate_lock"),
        ("socket", "create_connection"),
    ):
        patched = getattr(sys.modules.get(module), name, None)
        original = getattr(patcher.original(module), name, None)
        if original is not None and original is not patched:
            originals[id(original)] = f"{module}.{name}"
    held = sorted(_holders(originals))
    if not held:
        return
    shown = ", ".join(f"{module} ({what})" for module, what in held[:5])
    more = f" and {len(held) - 5} more" if len(held) > 5 else ""
    yield Check(
        "patching",
        "problem",
        f"imported before monkey_patch(), and with the originals: {shown}{more}",
        "what these modules wait with stops all green threads",
        "call monkey_patch() in the first lines of the program, before other imports",
        "EA609",
    )


def _holders(originals: dict[int, str]) -> Iterator[tuple[str, str]]:
    for name, module in list(sys.modules.items()):
        top = name.split(".", 1)[0]
        if top in sys.stdlib_module_names or top in ("eventlet", "eventlet_asyncio"):
            continue
        if top.startswith("__original_module_"):
            continue
        for value in list(getattr(module, "__dict__", {}).values()):
            what = originals.get(id(value))
            if what is not None:
                yield name, what
