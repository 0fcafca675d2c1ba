"""
Private copies of standard library modules that patching never reaches.

`original("threading")` is not `sys.modules["threading"]`: it is a second module with its
own classes and its own state, bound to originals in turn. `monkey_patch` changes the
standard modules in place, so what was taken out of them earlier may change behaviour;
what comes from here never does.

A few objects exist once for both: exceptions, so that an `except` clause catches what
either module raises, and `os.environ`.
"""

from __future__ import annotations

import _thread
import importlib
import os
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from eventlet._patch.copies import fresh_module, run_copy
from eventlet._patch.plan import GREEN_MODULES

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PREFIX = "__original_module_"

# Taken while nothing is patched: this module is imported before anything is.
_lock = _thread.RLock()
# The copies that are complete.
_made: dict[str, ModuleType] = {}
_allocate_lock = _thread.allocate_lock
real_get_ident = _thread.get_ident

_SHARED: dict[str, tuple[str, ...]] = {
    "os": ("environ", "environb"),
    "queue": ("Empty", "Full", "ShutDown"),
    "socket": (
        *("AddressFamily", "SocketKind", "MsgFlag", "AddressInfo"),
        "_GiveupOnSendfile",
    ),
    "ssl": ("TLSVersion", "Options", "VerifyMode", "VerifyFlags", "AlertDescription"),
    "subprocess": (
        "SubprocessError",
        "CalledProcessError",
        "TimeoutExpired",
        "CompletedProcess",
    ),
    "threading": ("BrokenBarrierError", "ExceptHookArgs"),
}


def _forget_incomplete() -> None:
    """Start anew in a forked child with what another OS thread was just making."""
    _lock._at_fork_reinit()
    for name in list(sys.modules):
        if name.startswith(PREFIX) and name[len(PREFIX) :] not in _made:
            del sys.modules[name]


os.register_at_fork(after_in_child=_forget_incomplete)


def original(modname: str) -> ModuleType:
    """
    Return an unpatched copy of the module `modname`.

    The copy is made at the first call and is the same one from then on. It works the
    same before and after `monkey_patch`. Any OS thread may call this at any time.
    Switch point only if it is the first import of the module.

    Raises:
        ImportError: If there is no such module.
    """
    module = _made.get(modname)
    if module is not None:
        # Tests of applications put stand-ins there, as upstream lets them.
        return sys.modules.get(PREFIX + modname, module)
    # Before the lock is taken: another OS thread may be importing it, and ask for an
    # original meanwhile.
    source = importlib.import_module(modname)
    with _lock:
        # What is in `sys.modules` alone is not complete, and of this OS thread's making.
        module = _made.get(modname) or sys.modules.get(PREFIX + modname)
        if module is None:
            module = _made[modname] = _make(source, modname)
        return module


def resolve_original(name: str) -> ModuleType | None:
    """
    Answer an import done by an original module.
    """
    return original(name) if name in GREEN_MODULES else None


def _make(source: ModuleType, modname: str) -> ModuleType:
    alias = PREFIX + modname
    if modname == "threading":
        copy = _make_threading(source, alias)
    else:
        copy = fresh_module(alias, source, resolve_original)
    for name in _SHARED.get(modname, ()):
        if hasattr(source, name):
            setattr(copy, name, getattr(source, name))
    return copy


def _make_threading(source: Any, alias: str) -> ModuleType:
    """
    Copy `threading`, whose import has effects on the thread that imports it.

    It takes the current thread for the main thread, and up to CPython 3.12 has the
    interpreter release a lock of its own when this OS thread ends. There is room for
    one such lock in a thread state, and the thread may need it for the `Thread` object
    that runs it, so the copy gets an ordinary lock here.
    """
    thread: Any = original("_thread")
    quiet = SimpleNamespace(**vars(thread))
    quiet._set_sentinel = _allocate_lock

    def resolve(name: str) -> Any:
        return quiet if name == "_thread" else resolve_original(name)

    copy: Any = type(sys)(alias, source.__doc__)
    sys.modules[alias] = copy
    try:
        run_copy(source, vars(copy), resolve)
    except BaseException:
        del sys.modules[alias]
        raise
    copy.__spec__ = None
    if hasattr(thread, "_set_sentinel"):
        copy._set_sentinel = thread._set_sentinel
    _correct_main_thread(copy)
    _follow_hooks(copy)
    # The interpreter ends by calling `threading._shutdown`. Threads started through
    # the copy, and what executors registered there, are waited for by its own.
    with suppress(RuntimeError):  # the interpreter is ending already
        source._register_atexit(_end_of(copy))
    return copy


def _follow_hooks(copy: Any) -> None:
    """
    Have threads started through a copy traced and profiled like all others.

    Coverage and profilers set their hooks in `sys.modules["threading"]`.
    """
    bootstrap = copy.Thread._bootstrap_inner

    def _bootstrap_inner(self: Any) -> None:
        hooks = sys.modules["threading"]
        copy._trace_hook, copy._profile_hook = hooks._trace_hook, hooks._profile_hook
        bootstrap(self)

    copy.Thread._bootstrap_inner = _bootstrap_inner


def _end_of(copy: Any) -> Callable[[], None]:
    """
    Return what ends a copy of `threading`.

    From CPython 3.13 on its `_shutdown` waits for all threads of the process, also for
    those of executors that are told to end later. The standard module's does that
    anyway, when all have been told.
    """
    if not hasattr(_thread, "_shutdown"):
        return copy._shutdown

    def end() -> None:
        copy._SHUTTING_DOWN = True
        for tell in reversed(copy._threading_atexits):
            tell()

    return end


def _correct_main_thread(copy: Any) -> None:
    main, ident = copy._main_thread, _main_ident()
    if main.ident != ident:
        del copy._active[main.ident]
        main._ident = ident
        copy._active[ident] = main


def _main_ident() -> int:
    """
    Return what `get_ident` gave, and gives unpatched, in the main thread.
    """
    get = getattr(_thread, "_get_main_thread_ident", None)
    if get is not None:
        return get()
    threading = sys.modules["threading"]
    return (
        threading._main_thread.__dict__.get("_os_ident") or threading._main_thread.ident
    )
