//! `RLock` of `eventlet.green.thread`: what `threading.RLock` is under `monkey_patch`.
//!
//! It belongs to the greenlet that took it, where the standard one belongs to an OS thread and
//! would let all green threads of that in together. Conditions, logging and much else of the
//! standard library stand on it.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class::{self, Definition, arguments, define, given};
use super::lock::fits;
use super::semaphore::{Semaphore, checked, forget_waiters, give, life, take};
use crate::greenlet::class::{FAST, fast, method, noargs, slot};
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
        slots: vec![
            slot(ffi::Py_tp_new, new as *mut c_void),
            slot(ffi::Py_tp_init, initialize as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
        ]
        .into_iter()
        .chain(life())
        .collect(),
        methods: vec![
            method(c"acquire", fast(acquire), FAST, c"acquire($self, /, blocking=True, timeout=-1)\n--\n\nTake the lock, once more if the caller holds it, waiting if somebody else does.\n\nA switch point only if somebody else does.\n\nArgs:\n    blocking: If false, return False instead of waiting.\n    timeout: How long to wait at most, in seconds; -1: without end.\n\nReturns:\n    Whether the lock was taken.\n\nRaises:\n    ValueError: If a timeout is given for a call that does not block, or a\n        negative one.\n    OverflowError: If the timeout is longer than `threading.TIMEOUT_MAX`."),
            method(c"release", noargs(release), ffi::METH_NOARGS, c"release($self, /)\n--\n\nGive the lock back once. Not a switch point.\n\nRaises:\n    RuntimeError: If the caller does not hold it."),
            method(c"locked", noargs(locked), ffi::METH_NOARGS, c"locked($self, /)\n--\n\nTell whether anybody holds the lock."),
            method(c"__enter__", noargs(enter), ffi::METH_NOARGS, c"__enter__($self, /)\n--\n\nTake the lock."),
            method(c"__exit__", fast(exit), FAST, c"__exit__($self, typ, val, tb, /)\n--\n\nGive the lock back once."),
            method(c"_is_owned", noargs(is_owned), ffi::METH_NOARGS, c"_is_owned($self, /)\n--\n\nTell whether the caller holds the lock."),
            method(c"_recursion_count", noargs(recursion_count), ffi::METH_NOARGS, c"_recursion_count($self, /)\n--\n\nTell how often the caller has taken the lock."),
            method(c"_release_save", noargs(release_save), ffi::METH_NOARGS, c"_release_save($self, /)\n--\n\nGive the lock back altogether; return what `_acquire_restore` needs."),
            method(c"_acquire_restore", fast(acquire_restore), FAST, c"_acquire_restore($self, state, /)\n--\n\nTake the lock as often as `_release_save` gave it back."),
            method(c"_at_fork_reinit", noargs(at_fork_reinit), ffi::METH_NOARGS, c"_at_fork_reinit($self, /)\n--\n\nBecome a new, free lock: the standard library calls it in a forked child."),
        ],
        ..define(
            c"eventlet.green.thread.RLock",
            c"RLock()\n--\n\nA lock that its owner, a green thread, may take again.\n\nOnly the owner may give it back, as often as it was taken.",
            std::mem::size_of::<RLock>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe { class::create(class) }
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
        let parameters = [c"blocking", c"timeout"];
        let Some([blocking, timeout]) = arguments(c"acquire", parameters, 0, args, count, names)
        else {
            return ptr::null_mut();
        };
        let Some(blocking) = class::truth(blocking, true) else {
            return ptr::null_mut();
        };
        let mut deadline = None;
        if given(timeout) {
            let Some(checked) = checked(blocking, timeout) else {
                return ptr::null_mut();
            };
            if !fits(timeout) {
                return ptr::null_mut();
            }
            deadline = checked;
        }
        let Some(me) = me() else {
            return ptr::null_mut();
        };
        if (*lock).owner == me {
            (*lock).depth += 1;
            return class::boolean(true);
        }
        match own(op, me, blocking, deadline) {
            -1 => ptr::null_mut(),
            taken => class::boolean(taken == 1),
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
        ffi::PyErr_SetString(
            ffi::PyExc_RuntimeError,
            c"cannot release un-acquired lock".as_ptr(),
        );
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
        class::none()
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
    unsafe { class::boolean((*op.cast::<RLock>()).owner != 0) }
}

unsafe extern "C" fn is_owned(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on an RLock.
    unsafe {
        let Some(me) = me() else {
            return ptr::null_mut();
        };
        class::boolean((*op.cast::<RLock>()).owner == me)
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
        class::none()
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
        class::none()
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
