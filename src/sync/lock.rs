//! `Lock` of `eventlet.lock`: what `threading.Lock` is under `monkey_patch`.
//!
//! A semaphore of one unit that refuses to be released twice. It is a class of its own, and
//! not one derived in Python, because patched programs take and release locks all the time:
//! the standard library alone does several times for each item of a queue.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class::{self, Definition, arguments, define, given};
use super::semaphore::{Semaphore, acquire, check_release, forget_waiters, give, life, take};
use crate::greenlet::class::{FAST, fast, method, noargs, slot};

static mut LOCK: *mut ffi::PyTypeObject = ptr::null_mut();

/// What the platform's own locks take for a timeout at most: `threading.TIMEOUT_MAX`, in seconds.
const LONGEST: f64 = 9_223_372_036.0;

/// Creates the class; NULL with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held; `base` is the class of semaphores.
pub(super) unsafe fn init(base: *mut ffi::PyTypeObject) -> *mut ffi::PyTypeObject {
    let class = Definition {
        base,
        headed: false,
        slots: vec![
            slot(ffi::Py_tp_init, initialize as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
        ]
        .into_iter()
        .chain(life())
        .collect(),
        methods: vec![
            method(c"acquire", fast(acquire_lock), FAST, c"acquire($self, /, blocking=True, timeout=None)\n--\n\nTake the lock, waiting for it if need be.\n\nWaiters are served in order of arrival; a newcomer never overtakes them.\nA switch point only if the lock is taken.\n\nArgs:\n    blocking: If false, return False instead of waiting.\n    timeout: How long to wait at most, in seconds; None or -1: without end.\n\nReturns:\n    Whether the lock was taken.\n\nRaises:\n    ValueError: If a timeout is given for a call that does not block, or a\n        negative one.\n    OverflowError: If the timeout is longer than `threading.TIMEOUT_MAX`."),
            method(c"release", fast(release), FAST, c"release($self, /, blocking=True)\n--\n\nUnlock; who has waited longest gets the lock. Never a switch point.\n\nAnybody may do so, also another OS thread.\n\nArgs:\n    blocking: Ignored; there for symmetry with `CappedSemaphore`.\n\nRaises:\n    RuntimeError: If the lock is not locked."),
            method(c"__enter__", noargs(enter), ffi::METH_NOARGS, c"__enter__($self, /)\n--\n\nTake the lock."),
            method(c"__exit__", fast(exit), FAST, c"__exit__($self, typ, val, tb, /)\n--\n\nUnlock."),
            method(c"_at_fork_reinit", noargs(at_fork_reinit), ffi::METH_NOARGS, c"_at_fork_reinit($self, /)\n--\n\nBecome a new, unlocked lock: the standard library calls it in a forked child."),
        ],
        ..define(
            c"eventlet.lock.Lock",
            c"Lock()\n--\n\nA `Semaphore` of one unit that refuses to be released twice.\n\nIt may be released by another green thread than the one that acquired it,\nas `threading.Lock` may.",
            std::mem::size_of::<Semaphore>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        LOCK = class::create(class);
        LOCK
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    // SAFETY: called by CPython; the format names no object.
    unsafe {
        let names = [ptr::null::<std::ffi::c_char>()];
        let ok = ffi::PyArg_ParseTupleAndKeywords(
            args,
            kwargs,
            c":Lock".as_ptr(),
            names.as_ptr().cast_mut().cast(),
        );
        if ok == 0 {
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
        class::none()
    }
}

/// # Switches
/// If the lock is taken.
unsafe extern "C" fn acquire_lock(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock.
    unsafe {
        let parameters = [c"blocking", c"timeout"];
        let Some([_, timeout]) = arguments(c"acquire", parameters, 0, args, count, names) else {
            return ptr::null_mut();
        };
        if given(timeout) && !fits(timeout) {
            return ptr::null_mut();
        }
        acquire(op, args, count, names)
    }
}

/// Whether a timeout is one that the platform's locks take; otherwise an exception is set.
#[cold]
pub(super) unsafe fn fits(timeout: *mut PyObject) -> bool {
    // SAFETY: contract of the callers: `timeout` is live, the GIL is held.
    unsafe {
        let Some(seconds) = class::seconds(timeout) else {
            return false;
        };
        if seconds > LONGEST {
            ffi::PyErr_SetString(
                ffi::PyExc_OverflowError,
                c"timeout value is too large: the most is threading.TIMEOUT_MAX".as_ptr(),
            );
            return false;
        }
        true
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
        if !check_release(args, count, names) || !unlock(op.cast()) {
            return ptr::null_mut();
        }
        class::boolean(true)
    }
}

unsafe fn unlock(me: *mut Semaphore) -> bool {
    // SAFETY: contract of `give`.
    unsafe {
        if (*me).counter > 0 {
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"release unlocked lock".as_ptr());
            return false;
        }
        give(me);
        true
    }
}

/// # Switches
/// If the lock is taken.
unsafe extern "C" fn enter(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Lock, which is held through the switch.
    unsafe {
        if ffi::Py_TYPE(op) == LOCK {
            ffi::Py_INCREF(op);
            let taken = take(op.cast(), true, None);
            ffi::Py_DECREF(op);
            return if taken < 0 {
                ptr::null_mut()
            } else {
                class::boolean(true)
            };
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
        class::none()
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
