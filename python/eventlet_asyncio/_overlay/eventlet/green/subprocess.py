"""
The module `subprocess` with pipes and waits that let other green threads run.

It is the interpreter's own module, bound to green modules. Exceptions are those of the
standard module.

`monkey_patch` binds the standard module itself to green modules, so that what programs
replace in it keeps its effect; from then on this module shows what that one holds.
"""

from __future__ import annotations

from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING, Any

from eventlet._patch.copies import run_copy as _run_copy
from eventlet._patch.plan import green_module as _green_module
from eventlet.greenio.py3 import raw_of as _raw_of
from eventlet.patcher import is_monkey_patched as _is_monkey_patched

__patched__ = ["Popen"]


def _green_io() -> _ModuleType:
    """Return a module `io` that opens pipes green."""
    import io

    from eventlet.greenio.py3 import GreenPipe

    green: Any = _ModuleType("io")
    vars(green).update(vars(io))
    green.open = GreenPipe
    return green


def _resolve(name: str) -> _ModuleType | None:
    return _green_io() if name == "io" else _green_module(name)


def _derive() -> None:
    import subprocess as standard

    document = __doc__
    _run_copy(standard, globals(), _resolve)
    globals()["__doc__"] = document
    for name in (
        "SubprocessError",
        "CalledProcessError",
        "TimeoutExpired",
        "CompletedProcess",
    ):
        globals()[name] = getattr(standard, name)


if TYPE_CHECKING:
    from subprocess import Popen as _Base
else:
    _Base = object


class _GreenPopen(_Base):  # type: ignore[type-arg]
    def __init__(self, args: Any, bufsize: int = -1, *argss: Any, **kwds: Any) -> None:
        for file in (*argss[1:4], *map(kwds.get, ("stdin", "stdout", "stderr"))):
            raw = None if isinstance(file, int) else _raw_of(file)
            if raw is not None:
                raw.share()
        super().__init__(args, bufsize, *argss, **kwds)

    def wait(self, timeout: float | None = None, check_interval: float = 0.01) -> int:
        """
        Wait until the child ends and return its exit status. Switch point.

        Args:
            check_interval: How often to look, in seconds, where the system has no way
                to wait for a process by a descriptor.

        Raises:
            TimeoutExpired: If the child still runs after `timeout` seconds.
        """
        if self.returncode is not None:
            return self.returncode
        if timeout is None:
            return super().wait()
        clock: Any = _green_module("time")
        end = clock.monotonic() + timeout
        while (status := self.poll()) is None:
            left = end - clock.monotonic()
            if left <= 0:
                raise globals()["TimeoutExpired"](self.args, timeout)
            _pause(self.pid, left, min(check_interval, left))
        status: int = self.returncode
        return status


def _pause(pid: int, left: float, interval: float) -> None:
    """Wait for the end of a process, `left` seconds at most, or for `interval`."""
    from eventlet import hubs
    from eventlet.green import os, time

    try:
        watch = os.pidfd_open(pid)
    except (AttributeError, OSError):
        time.sleep(interval)
        return
    try:
        hubs.trampoline(watch, read=True, timeout=left, timeout_exc=TimeoutError)
    except TimeoutError:
        pass
    finally:
        hubs.notify_close(watch)
        os.close(watch)


def _green_class(standard: Any) -> Any:
    made = type("Popen", (_GreenPopen, standard), {"__doc__": standard.__doc__})
    made.__module__ = standard.__module__
    return made


# What the module uses: the green twin's name, and the option that makes the standard
# module do as well.
_USED = {
    "os": "os",
    "select": "select",
    "selectors": "select",
    "threading": "thread",
    "time": "time",
}


def _install(namespace: dict[str, Any]) -> None:
    """
    Make the standard module, whose globals are `namespace`, green.
    """
    for name, option in _USED.items():
        if name in namespace and not _is_monkey_patched(option):
            namespace[name] = _green_module(name)
    namespace["io"] = _green_io()
    namespace["_PopenSelector"] = globals()["_PopenSelector"]
    namespace["Popen"] = _green_class(namespace["Popen"])
    globals().update({n: v for n, v in namespace.items() if not n.startswith("__")})


_derive()
Popen: Any = _green_class(globals()["Popen"])
