//! `RLock` of `eventlet.green.thread`: what `threading.RLock` is under `monkey_patch`.
//!
//! It belongs to the greenlet that took it, where the standard one belongs to an OS thread and
//! would let all green threads of that in together. Conditions, logging and much else of the
//! standard library stand on it.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::asking::{TIMEOUT_MAX, asked};
use super::class;
use super::semaphore::{Semaphore, forget_waiters, give, life, take};
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, boolean, none};
use crate::greenlet::define::{Definition, create, fast, noargs, slot};
use crate::greenlet::{self, thread};

#[repr(C)]
struct RLock {
    /// Free or taken, and who waits. First, since the functions of semaphores work on it.
    block: Semaphore,
    /// Address of the greenlet that holds the lock, which tells it from all others alive; 0
    /// while nobody does.
    owner: usize,
    /// How often the owner has taken it.
    depth: usize,
}

/// Creates the class; NULL with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held.
pub(super) unsafe fn init() -> *mut ffi::PyTypeObject {
    let class = Definition {
        slots: [
            life(),
            vec![
                slot(ffi::Py_tp_new, new as *mut c_void),
                slot(ffi::Py_tp_init, initialize as *mut c_void),
                slot(ffi::Py_tp_repr, repr as *mut c_void),
            ],
        ]
        .concat(),
        methods: vec![
            fast(c"acquire", acquire, c"acquire($self, /, blocking=True, timeout=-1)\n--\n\nTake the lock, once more if the caller holds it, waiting if somebody else does.\n\nA switch point only if somebody else does.\n\nArgs:\n    blocking: If false, return False instead of waiting.\n    timeout: How long to wait at most, in seconds; -1: without end.\n\nReturns:\n    Whether the lock was taken.\n\nRaises:\n    ValueError: If a timeout is given for a call that does not block, or a\n        negative one.\n    OverflowError: If the timeout is longer than `threading.TIMEOUT_MAX`."),
            noargs(c"release", release, c"release($self, /)\n--\n\nGive the lock back once. Not a switch point.\n\nRaises:\n    RuntimeError: If the caller does not hold it."),
            noargs(c"locked", locked, c"locked($self, /)\n--\n\nTell whether anybody holds the lock."),
            noargs(c"__enter__", enter, c"__enter__($self, /)\n--\n\nTake the lock."),
            fast(c"__exit__", exit, c"__exit__($self, typ, val, tb, /)\n--\n\nGive the lock back once."),
            noargs(c"_is_owned", is_owned, c"_is_owned($self, /)\n--\n\nTell whether the caller holds the lock."),
            noargs(c"_recursion_count", recursion_count, c"_recursion_count($self, /)\n--\n\nTell how often the caller has taken the lock."),
            noargs(c"_release_save", release_save, c"_release_save($self, /)\n--\n\nGive the lock back altogether; return what `_acquire_restore` needs."),
            fast(c"_acquire_restore", acquire_restore, c"_acquire_restore($self, state, /)\n--\n\nTake the lock as often as `_release_save` gave it back."),
            noargs(c"_at_fork_reinit", at_fork_reinit, c"_at_fork_reinit($self, /)\n--\n\nBecome a new, free lock: the standard library calls it in a forked child."),
        ],
        ..class::headed(
            c"eventlet.green.thread.RLock",
            c"RLock()\n--\n\nA lock that its owner, a green thread, may take again.\n\nOnly the owner may give it back, as often as it was taken.",
            std::mem::size_of::<RLock>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe { create(class) }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython; the memory is zeroed.
    unsafe {
        let op = ffi::PyType_GenericAlloc(kind, 0);
        if !op.is_null() {
            Semaphore::begin(op.cast());
        }
        op
    }
}

/// Does nothing, and takes any arguments, as the standard class does. It is there for those
/// that derive from this class and another one: `new` has made a complete lock.
unsafe extern "C" fn initialize(
    _op: *mut PyObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> c_int {
    0
}

/// What tells the caller from other green threads; None with an exception set.
unsafe fn me() -> Option<usize> {
    // SAFETY: contract of the callers: the GIL is held.
    unsafe {
        let mut thread = thread::existing();
        if thread.is_null() {
            thread = thread::this();
            if thread.is_null() {
                return None;
            }
        }
        // In a coroutine the task's own: many share the stack that serves their steps.
        let g = greenlet::identity(thread);
        (!g.is_null()).then_some(g as usize)
    }
}

/// Takes the lock for the first time. As [`take`].
///
/// # Switches
/// If somebody else holds it and `blocking`.
unsafe fn own(op: *mut PyObject, me: usize, blocking: bool, deadline: Option<u64>) -> c_int {
    let lock = op.cast::<RLock>();
    // SAFETY: contract of the callers: `op` is an RLock, the GIL is held.
    unsafe {
        ffi::Py_INCREF(op);
        let taken = take(op.cast(), blocking, deadline);
        if taken == 1 {
            (*lock).owner = me;
            (*lock).depth = 1;
        }
        ffi::Py_DECREF(op);
        taken
    }
}

/// # Switches
/// If somebody else holds the lock.
unsafe extern "C" fn acquire(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock.
    unsafe {
        let Some((blocking, deadline)) = asked(args, count, names, TIMEOUT_MAX) else {
            return ptr::null_mut();
        };
        let Some(me) = me() else {
            return ptr::null_mut();
        };
        if (*lock).owner == me {
            (*lock).depth += 1;
            return boolean(true);
        }
        match own(op, me, blocking, deadline) {
            -1 => ptr::null_mut(),
            taken => boolean(taken == 1),
        }
    }
}

/// # Switches
/// If somebody else holds the lock.
unsafe extern "C" fn enter(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on an RLock.
    unsafe { acquire(op, ptr::null(), 0, ptr::null_mut()) }
}

/// Whether the caller holds the lock; otherwise `RuntimeError` is set.
unsafe fn check_owned(lock: *mut RLock) -> bool {
    // SAFETY: contract of the callers: the GIL is held.
    unsafe {
        let Some(me) = me() else { return false };
        if (*lock).owner == me {
            return true;
        }
        raise_new(ffi::PyExc_RuntimeError, c"cannot release un-acquired lock");
        false
    }
}

unsafe extern "C" fn release(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock.
    unsafe {
        if !check_owned(lock) {
            return ptr::null_mut();
        }
        (*lock).depth -= 1;
        if (*lock).depth == 0 {
            (*lock).owner = 0;
            give(op.cast());
        }
        none()
    }
}

unsafe extern "C" fn exit(
    op: *mut PyObject,
    _args: *const *mut PyObject,
    _count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on an RLock.
    unsafe { release(op, ptr::null_mut()) }
}

unsafe extern "C" fn locked(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on an RLock.
    unsafe { boolean((*op.cast::<RLock>()).owner != 0) }
}

unsafe extern "C" fn is_owned(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on an RLock.
    unsafe {
        let Some(me) = me() else {
            return ptr::null_mut();
        };
        boolean((*op.cast::<RLock>()).owner == me)
    }
}

unsafe extern "C" fn recursion_count(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock.
    unsafe {
        let Some(me) = me() else {
            return ptr::null_mut();
        };
        let depth = if (*lock).owner == me {
            (*lock).depth
        } else {
            0
        };
        ffi::PyLong_FromSize_t(depth)
    }
}

unsafe extern "C" fn release_save(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock; the format matches its arguments.
    unsafe {
        if !check_owned(lock) {
            return ptr::null_mut();
        }
        loop {
            let (depth, owner) = ((*lock).depth, (*lock).owner);
            let state = ffi::Py_BuildValue(c"nn".as_ptr(), depth, owner);
            if state.is_null() {
                return state;
            }
            if ((*lock).depth, (*lock).owner) == (depth, owner) {
                (*lock).depth = 0;
                (*lock).owner = 0;
                give(op.cast());
                return state;
            }
            // Allocating may collect garbage (to CPython 3.11), and a finaliser may have
            // released the lock: what it gave back must not be given back again.
            ffi::Py_DECREF(state);
            if !check_owned(lock) {
                return ptr::null_mut();
            }
        }
    }
}

/// # Switches
/// If somebody else holds the lock.
unsafe extern "C" fn acquire_restore(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock; the format matches its arguments.
    unsafe {
        let Some([state]) = arguments(c"_acquire_restore", [c"state"], 1, args, count, names)
        else {
            return ptr::null_mut();
        };
        let (mut depth, mut owner) = (0_isize, 0_isize);
        let understood = ffi::PyArg_ParseTuple(
            state,
            c"nn:_acquire_restore".as_ptr(),
            &raw mut depth,
            &raw mut owner,
        );
        if understood == 0 || own(op, owner as usize, true, None) < 0 {
            return ptr::null_mut();
        }
        (*lock).depth = depth.max(1) as usize;
        none()
    }
}

unsafe extern "C" fn at_fork_reinit(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock.
    unsafe {
        (*lock).block.counter = 1;
        (*lock).owner = 0;
        (*lock).depth = 0;
        forget_waiters(op.cast());
        none()
    }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let lock = op.cast::<RLock>();
    // SAFETY: called by CPython on an RLock; the format matches its arguments.
    unsafe {
        let state = if (*lock).owner == 0 {
            c"unlocked"
        } else {
            c"locked"
        };
        ffi::PyUnicode_FromFormat(
            c"<%s %s object owner=%zu count=%zu at %p>".as_ptr(),
            state.as_ptr(),
            (*ffi::Py_TYPE(op)).tp_name,
            (*lock).owner,
            (*lock).depth,
            op,
        )
    }
}
