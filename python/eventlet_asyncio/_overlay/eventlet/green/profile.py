"""
The module `profile`, for programs that switch between green threads.

The standard profiler keeps one stack of frames and insists that the frame that returns
is on top of it. Here each green thread has a stack of its own, and the time that others
ran is not counted for it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from eventlet._patch.copies import borrow as _borrow
from eventlet._patch.originals import original as _original
from eventlet.support.greenlets import getcurrent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Profile", "run", "runctx"]
__patched__ = ["Profile", "run", "runctx"]

_profile: Any = _original("profile")
_Standard: Any = _profile.Profile
# What the standard profiler gives for the file of such a function.
_WRITTEN_IN_C = ""


def ContextWrap(f: Callable[..., Any]) -> Callable[..., Any]:
    """
    Return the event handler `f` with a look first at which green thread runs.
    """

    @functools.wraps(f)
    def handler(self: Profile, arg: Any, t: float) -> Any:
        current = getcurrent()
        if current is not self.current_tasklet:
            self.SwitchTasklet(self.current_tasklet, current, t)
            t = 0.0
        return f(self, arg, t)

    return handler


class Profile(_Standard):
    """
    A profiler that follows green threads.

    Args:
        timer: Returns the time; the standard profiler's by default.
        bias: The time that measuring itself takes, per event.
    """

    base = _Standard
    cur: Any
    timings: Any

    def __init__(self, timer: Any = None, bias: Any = None) -> None:
        self.current_tasklet = getcurrent()
        # The stacks of the green threads that do not run now.
        self.tasklets: dict[Any, Any] = {}
        if bias is None:
            bias = self.bias
        super().__init__(timer, bias)

    def __call__(self, *args: Any) -> Any:
        """
        Profile one call: `profiler(function, *arguments)`.
        """
        return self.runcall(*args)

    def start(self, name: str = "start") -> None:
        """
        Begin to profile all green threads of this OS thread.
        """
        import sys

        self.simulate_call(name)
        sys.setprofile(self.dispatcher)

    def stop(self) -> None:
        """
        Cease to profile, and count the time of the calls that are not over.
        """
        import sys

        sys.setprofile(None)
        self.TallyTimings()

    def runctx(self, cmd: str, globals: Any, locals: Any) -> Profile:
        """
        Profile the statement `cmd`, run in the given namespaces.
        """
        try:
            super().runctx(cmd, globals, locals)
        finally:
            self.TallyTimings()
        return self

    def runcall(self, func: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """
        Profile one call of `func` and return its result.
        """
        try:
            return super().runcall(func, *args, **kw)
        finally:
            self.TallyTimings()

    def trace_dispatch_call_extend_back(self, frame: Any, t: float) -> Any:
        """
        Enter `frame`, after leaving those that ended without an event.
        """
        if self.cur is None:
            if isinstance(frame, _Standard.fake_frame):
                return self.base.trace_dispatch_call(self, frame, t)
            self._begin_stack()
        while (
            self.cur[-1] is not None
            and not isinstance(self.cur[-2], _Standard.fake_frame)
            and self.cur[-2] is not frame.f_back
        ):
            self.base.trace_dispatch_return(self, self.cur[-2], t)
            t = 0.0
        return self.base.trace_dispatch_call(self, frame, t)

    def trace_dispatch_return_extend_back(self, frame: Any, t: float) -> Any:
        """
        Leave `frame` and whatever is above it; nothing if it was never entered.
        """
        if not self._entered(frame):
            return 0
        while self.cur[-2] is not frame:
            self.base.trace_dispatch_return(self, self.cur[-2], t)
            t = 0.0
        return self.base.trace_dispatch_return(self, frame, t)

    def trace_dispatch_c_return_extend_back(self, frame: Any, t: float) -> Any:
        """
        Leave a function written in C that `frame` called.
        """
        if self.cur is None or self.cur[-1] is None:
            return 0
        if self.cur[-2] is not frame or self.cur[-3][0] != _WRITTEN_IN_C:
            return 0
        return self.base.trace_dispatch_return(self, self.cur[-2], t)

    def _entered(self, frame: Any) -> bool:
        cur = self.cur
        while cur is not None and cur[-1] is not None:
            if cur[-2] is frame:
                return True
            cur = cur[-1]
        return False

    def _begin_stack(self) -> None:
        code = self.fake_code("profile", 0, "green thread")
        frame = self.fake_frame(code, None)
        self.base.trace_dispatch_call(self, frame, 0.0)

    def SwitchTasklet(self, t0: Any, t1: Any, t: float) -> None:
        """
        Note that green thread `t1` runs in place of `t0`, which ran `t` seconds more.
        """
        if self.cur is not None:
            pt, it, et, fn, frame, rcur = self.cur
            self.tasklets[t0] = (pt, it + t, et, fn, frame, rcur)
        self.current_tasklet = t1
        self.cur = self.tasklets.pop(t1, None)
        if self.cur is None:
            self._begin_stack()

    def Unwind(self, cur: Any, timings: Any) -> Any:
        """
        Count into `timings` the frames of the stack `cur`, as if they returned now.

        Returns:
            What is left of the stack: its outermost frame.
        """
        kept = self.cur, self.timings
        self.cur, self.timings = cur, timings
        try:
            while self.cur is not None and self.cur[-1] is not None:
                self.base.trace_dispatch_return(self, self.cur[-2], 0.0)
            return self.cur
        finally:
            self.cur, self.timings = kept

    def TallyTimings(self) -> None:
        """
        Count the time of the calls that are not over, in all green threads.
        """
        for cur in self.tasklets.values():
            self.Unwind(cur, self.timings)
        self.tasklets.clear()
        self.cur = self.Unwind(self.cur, self.timings)

    dispatch = {  # noqa: RUF012 - the standard class has it the same way
        "call": ContextWrap(trace_dispatch_call_extend_back),
        "return": ContextWrap(trace_dispatch_return_extend_back),
        "exception": ContextWrap(lambda _self, _frame, _t: 0),
        "c_call": ContextWrap(_Standard.trace_dispatch_c_call),
        "c_return": ContextWrap(trace_dispatch_c_return_extend_back),
        "c_exception": ContextWrap(trace_dispatch_c_return_extend_back),
    }


def run(statement: str, filename: str | None = None, sort: Any = -1) -> None:
    """
    Profile `statement` in `__main__`, and print or save the result.
    """
    _profile._Utils(Profile).run(statement, filename, sort)


def runctx(
    statement: str,
    globals: Any,
    locals: Any,
    filename: str | None = None,
    sort: Any = -1,
) -> None:
    """
    Profile `statement` in the given namespaces, and print or save the result.
    """
    _profile._Utils(Profile).runctx(statement, globals, locals, filename, sort)


_borrow(globals(), "profile")
