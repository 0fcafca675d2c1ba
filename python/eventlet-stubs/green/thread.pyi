# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.thread import (
    LockType as LockType,
    RLock as RLock,
    allocate as allocate,
    allocate_lock as allocate_lock,
    exit as exit,
    exit_thread as exit_thread,
    get_ident as get_ident,
    interrupt_main as interrupt_main,
    lock as lock,
    stack_size as stack_size,
    start_joinable_thread as start_joinable_thread,
    start_new as start_new,
    start_new_thread as start_new_thread,
)
from _thread import *
from eventlet_asyncio._overlay.eventlet.green.thread import (
    LockType as LockType,
    RLock as RLock,
    allocate as allocate,
    allocate_lock as allocate_lock,
    exit as exit,
    exit_thread as exit_thread,
    get_ident as get_ident,
    interrupt_main as interrupt_main,
    lock as lock,
    stack_size as stack_size,
    start_joinable_thread as start_joinable_thread,
    start_new as start_new,
    start_new_thread as start_new_thread,
)
