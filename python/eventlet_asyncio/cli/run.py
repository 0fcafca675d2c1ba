"""``run``: run a program on this implementation, without setting a variable."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import types
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eventlet_asyncio
from eventlet_asyncio._activate import coded

if TYPE_CHECKING:
    from collections.abc import Callable

LOOP_VARIABLE = "EVENTLET_ASYNCIO_LOOP"
_LOOPS = {"asyncio": None, "uvloop": "uvloop:new_event_loop"}


class _WrongUse(Exception):  # noqa: N818 - told, not handled
    """Ends the command with 2."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.usage = "eventlet-asyncio run [OPTION...] (SCRIPT | -m MODULE) [ARGUMENT...]"
    parser.description = (
        "Run a Python program as with EVENTLET_HUB=asyncio, which its children "
        "inherit. The exit status is the program's."
    )
    parser.add_argument(
        "--loop",
        metavar="LOOP",
        help="the hub's loop: asyncio, uvloop, or a factory as module:function",
    )
    parser.add_argument(
        "--evidence",
        metavar="FILE",
        help="record which lines switch, and write that to FILE at the end; forked "
        "children write FILE.PID",
    )
    parser.add_argument(
        "--trace-blocking",
        metavar="MS",
        type=float,
        help="show on standard error what runs for MS milliseconds without a switch",
    )
    parser.add_argument(
        "--console",
        metavar="SOCKET",
        help="offer a Python prompt inside the program on a new Unix socket that "
        "only this user may open",
    )
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, help="a module and its arguments"
    )
    parser.add_argument(
        "script", nargs=argparse.REMAINDER, help="a script and its arguments"
    )


def run(options: argparse.Namespace) -> int:
    """
    Run the program.

    Returns:
        0 at its end, 1 if it raised, 2 for wrong use. The program's own
        ``SystemExit`` passes.
    """
    try:
        start = _program(options)
        _choose_loop(options.loop)
        _activate()
        collectors = _collectors(options)
    except _WrongUse as error:
        sys.stderr.write(f"eventlet-asyncio run: {error}\n")
        return 2
    _new_main()
    for begin in collectors:
        begin()
    try:
        start()
    except Exception as error:  # noqa: BLE001 - shown as the interpreter shows it
        error.__traceback__ = _own_frames_removed(error)
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _activate() -> None:
    try:
        if not eventlet_asyncio.activate():
            raise _WrongUse(
                coded("EA503", "EVENTLET_ASYNCIO_DISABLE switches eventlet-asyncio off")
            )
    except ImportError as error:
        raise _WrongUse(str(error)) from None
    # Of an environment that says otherwise: this command is the later word.
    if os.environ.get("EVENTLET_HUB") != "asyncio":
        os.environ["EVENTLET_HUB"] = "asyncio"


def _choose_loop(name: str | None) -> None:
    if name is None:
        return
    factory = _LOOPS.get(name, name)
    if factory is None:
        os.environ.pop(LOOP_VARIABLE, None)
        return
    module, colon, attribute = factory.partition(":")
    try:
        found = getattr(import_module(module), attribute) if colon else None
    except (ImportError, AttributeError, ValueError) as error:
        raise _WrongUse(coded("EA501", f"--loop {name}: {error}")) from None
    if not callable(found):
        raise _WrongUse(
            coded("EA501", f"--loop {name}: no factory of loops (module:function)")
        )
    os.environ[LOOP_VARIABLE] = factory


# The program


def _program(options: argparse.Namespace) -> Callable[[], object]:
    """Return what runs the program, as the interpreter would."""
    if options.module is not None:
        arguments = options.module
        if not arguments:
            raise _WrongUse(coded("EA502", "-m needs the name of a module"))
        return lambda: _run_module(arguments)
    arguments = options.script[1:] if options.script[:1] == ["--"] else options.script
    if not arguments:
        raise _WrongUse(
            coded(
                "EA502",
                "run needs a program: eventlet-asyncio run SCRIPT, or -m MODULE",
            )
        )
    path = Path(arguments[0])
    if not path.exists():
        raise _WrongUse(coded("EA502", f"there is no {path}"))
    return lambda: _run_path(path, arguments)


def _new_main() -> None:
    """Give the program a ``__main__`` of its own."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = import_module("builtins")
    sys.modules["__main__"] = main


def _run_module(arguments: list[str]) -> None:
    import runpy

    sys.argv = ["-m", *arguments[1:]]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as the interpreter does
    # What `python -m` itself calls.
    runpy._run_module_as_main(arguments[0])  # type: ignore[attr-defined]  # noqa: SLF001


def _run_path(path: Path, arguments: list[str]) -> None:
    sys.argv = list(arguments)
    if path.is_dir() or path.suffix in (".zip", ".pyz"):
        import runpy

        sys.path.insert(0, str(path))
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]  # noqa: SLF001
        return
    sys.path.insert(0, str(path.resolve().parent))
    main = sys.modules["__main__"]
    loader = SourceFileLoader("__main__", str(path))
    main.__dict__.update(
        __file__=str(path), __loader__=loader, __cached__=None, __spec__=None
    )
    code: Any = loader.source_to_code(path.read_bytes(), str(path))
    exec(code, main.__dict__)  # noqa: S102 - the user's program


def _own_frames_removed(error: BaseException) -> types.TracebackType | None:
    """Return the traceback from the program's first frame on."""
    trace = error.__traceback__
    while trace is not None and (
        trace.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>")
        or trace.tb_frame.f_globals.get("__name__") == "runpy"
    ):
        trace = trace.tb_next
    return trace or error.__traceback__


# What is collected


def _collectors(options: argparse.Namespace) -> list[Callable[[], object]]:
    """Prepare what the options ask for; return what starts it."""
    found: list[Callable[[], object]] = []
    if options.console is not None:
        found.append(_console(options.console))
    if options.evidence is not None:
        found.append(_evidence(options.evidence))
    if options.trace_blocking is not None:
        # Last, so that it ends first: writing the evidence is nobody's blocking.
        found.append(_blocking(options.trace_blocking))
    return found


def _evidence(path: str) -> Callable[[], object]:
    from eventlet_asyncio.evidence import Recorder, write

    target = Path(path).resolve()
    if not target.parent.is_dir() or target.is_dir():
        raise _WrongUse(coded("EA504", f"--evidence {path}: no file can be made there"))
    recorder = Recorder()
    first = os.getpid()

    def finish() -> None:
        mine = target
        if os.getpid() != first:
            mine = target.with_name(f"{target.name}.{os.getpid()}")
        recorder.stop()
        try:
            write(recorder.document(), mine)
        except OSError as error:
            told = coded("EA504", f"the evidence was not written: {error}")
            sys.stderr.write(f"eventlet-asyncio run: {told}\n")

    def begin() -> None:
        recorder.start()
        atexit.register(finish)

    return begin


def _blocking(milliseconds: float) -> Callable[[], object]:
    from eventlet_asyncio.migration._blocking import BlockingTrace

    if not milliseconds > 0:
        raise _WrongUse(
            coded("EA505", "--trace-blocking takes milliseconds, more than 0")
        )

    def tell(text: str) -> None:
        sys.stderr.write(f"eventlet-asyncio blocking: {text}\n")

    trace = BlockingTrace(milliseconds / 1000, tell)

    def finish() -> None:
        trace.stop()
        if trace.count:
            tell(
                f"{trace.count} times in all, {trace.longest * 1000:.0f} ms at the most"
            )

    def begin() -> None:
        trace.start()
        atexit.register(finish)

    return begin


def _console(path: str) -> Callable[[], object]:
    """Serve Eventlet's backdoor on a Unix socket, from the main thread's hub."""
    import socket

    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o077)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise _WrongUse(
            coded("EA506", f"--console {path}: {error.strerror or error}")
        ) from None
    finally:
        os.umask(mask)
    listener.listen(5)
    first = os.getpid()
    streams = (sys.stdin, sys.stdout, sys.stderr)

    def remove() -> None:
        # A console that is open at the end has its own in their place.
        sys.stdin, sys.stdout, sys.stderr = streams
        if os.getpid() == first:
            Path(path).unlink(missing_ok=True)

    def begin() -> None:
        import eventlet
        from eventlet import backdoor
        from eventlet.greenio import GreenSocket

        atexit.register(remove)
        eventlet.spawn_n(
            backdoor.backdoor_server,
            GreenSocket(listener),
            locals=sys.modules["__main__"].__dict__,
        )

    return begin
