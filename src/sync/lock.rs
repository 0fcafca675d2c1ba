//! `Lock` of `eventlet.lock`: what `threading.Lock` is under `monkey_patch`.
//!
//! A semaphore of one unit that refuses to be released twice. It is a class of its own, and
//! not one derived in Python, because patched programs take and release locks all the time:
//! the standard library alone does several times for each item of a queue.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::asking::{TIMEOUT_MAX, asked, asks_release};
use super::semaphore::{Semaphore, acquire_until, forget_waiters, give, life};
use crate::error::raise_new;
use crate::greenlet::arguments::{boolean, no_argument, none};
use crate::greenlet::define::{Definition, create, define, fast, noargs, slot};

static mut LOCK: *mut ffi::PyTypeObject = ptr::null_mut();

/// Creates the class; NULL with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held; `base` is the class of semaphores.
pub(super) unsafe fn init(base: *mut ffi::PyTypeObject) -> *mut ffi::PyTypeObject {
    let class = Definition {
        base,
        slots: [
            life(),
            vec![
                slot(ffi::Py_tp_init, initialize as *mut c_void),
                slot(ffi::Py_tp_repr, repr as *mut c_void),
            ],
        ]
        .concat(),
        methods: vec![
            fast(c"acquire", acquire, c"acquire($self, /, blocking=True, timeout=None)\n--\n\nTake the lock, waiting for it if need be.\n\nWaiters are served in order of arrival; a newcomer never overtakes them.\nA switch point only if the lock is taken.\n\nArgs:\n    blocking: If false, return False instead of waiting.\n    timeout: How long to wait at most, in seconds; None or -1: without end.\n\nReturns:\n    Whether the lock was taken.\n\nRaises:\n    ValueError: If a timeout is given for a call that does not block, or a\n        negative one.\n    OverflowError: If the timeout is longer than `threading.TIMEOUT_MAX`."),
            fast(c"release", release, c"release($self, /, blocking=True)\n--\n\nUnlock; who has waited longest gets the lock. Never a switch point.\n\nAnybody may do so, also another OS thread.\n\nArgs:\n    blocking: Ignored; there for symmetry with `CappedSemaphore`.\n\nRaises:\n    RuntimeError: If the lock is not locked."),
            noargs(c"__enter__", enter, c"__enter__($self, /)\n--\n\nTake the lock."),
            fast(c"__exit__", exit, c"__exit__($self, typ, val, tb, /)\n--\n\nUnlock."),
            noargs(c"_at_fork_reinit", at_fork_reinit, c"_at_fork_reinit($self, /)\n--\n\nBecome a new, unlocked lock: the standard library calls it in a forked child."),
        ],
        ..define(
            c"eventlet.lock.Lock",
            c"Lock()\n--\n\nA `Semaphore` of one unit that refuses to be released twice.\n\nIt may be released by another green thread than the one that acquired it,\nas `threading.Lock` may.",
            std::mem::size_of::<Semaphore>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        LOCK = create(class);
        LOCK
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    // SAFETY: called by CPython; the format asks for nothing.
    unsafe {
        if !no_argument(args, kwargs, c":Lock") {
            return -1;
        }
        reset(op);
    }
    0
}

/// Makes the lock a free one that nobody waits for.
unsafe fn reset(op: *mut PyObject) {
    let me = op.cast::<Semaphore>();
    // SAFETY: contract of the callers: `op` is a Lock, the GIL is held.
    unsafe {
        (*me).counter = 1;
        (*me).original = 1;
        forget_waiters(me);
    }
}

unsafe extern "C" fn at_fork_reinit(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock.
    unsafe {
        reset(op);
        none()
    }
}

/// # Switches
/// If the lock is taken.
unsafe extern "C" fn acquire(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock.
    unsafe {
        let Some((blocking, deadline)) = asked(args, count, names, TIMEOUT_MAX) else {
            return ptr::null_mut();
        };
        acquire_until(op, blocking, deadline)
    }
}

unsafe extern "C" fn release(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock.
    unsafe {
        if !asks_release(args, count, names) || !unlock(op.cast()) {
            return ptr::null_mut();
        }
        boolean(true)
    }
}

unsafe fn unlock(me: *mut Semaphore) -> bool {
    // SAFETY: contract of `give`.
    unsafe {
        if (*me).counter > 0 {
            raise_new(ffi::PyExc_RuntimeError, c"release unlocked lock");
            return false;
        }
        give(me);
        true
    }
}

/// # Switches
/// If the lock is taken.
unsafe extern "C" fn enter(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock.
    unsafe {
        if ffi::Py_TYPE(op) == LOCK {
            return acquire_until(op, true, None);
        }
        // A subclass may have overridden it.
        ffi::PyObject_CallMethod(op, c"acquire".as_ptr(), ptr::null())
    }
}

unsafe extern "C" fn exit(
    op: *mut PyObject,
    _args: *const *mut PyObject,
    _count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock.
    unsafe {
        if ffi::Py_TYPE(op) == LOCK {
            if !unlock(op.cast()) {
                return ptr::null_mut();
            }
        } else {
            let result = ffi::PyObject_CallMethod(op, c"release".as_ptr(), ptr::null());
            if result.is_null() {
                return result;
            }
            ffi::Py_DECREF(result);
        }
        none()
    }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Semaphore>();
    // SAFETY: called by CPython on a Lock; the format matches its arguments.
    unsafe {
        let state = if (*me).counter > 0 {
            c"unlocked"
        } else {
            c"locked"
        };
        ffi::PyUnicode_FromFormat(
            c"<%s %s object at %p waiters=%zd>".as_ptr(),
            state.as_ptr(),
            (*ffi::Py_TYPE(op)).tp_name,
            op,
            (*me).waiters.len(),
        )
    }
}
