"""
The module `threading` on green threads.

Once `monkey_patch` has made the standard module green, this one shows its contents:
there is one registry of threads then. Otherwise it is a green copy.
"""

from eventlet.patcher import is_monkey_patched as _is_monkey_patched

if _is_monkey_patched("thread"):
    import threading as _threading

    globals().update(
        {n: v for n, v in vars(_threading).items() if not n.startswith("__")}
    )
    __all__ = list(_threading.__all__)
else:
    from eventlet._patch.copies import derive as _derive

    _derive(globals(), "threading", keep=("BrokenBarrierError", "ExceptHookArgs"))
    from eventlet._patch.threads import install as _install

    _install(globals())

if "currentThread" in globals():
    __all__.append("currentThread")  # noqa: PYI056
__patched__ = [
    "Thread",
    "current_thread",
    "currentThread",
    "_start_new_thread",
    "_start_joinable_thread",
    "_allocate_lock",
    "_sleep",
    "local",
    "stack_size",
    "Lock",
    "get_ident",
    "_CRLock",
    "_LockType",
    "_ThreadHandle",
    "_make_thread_handle",
    "_set_name",
    "_set_sentinel",
]
