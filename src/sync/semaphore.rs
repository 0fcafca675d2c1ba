//! `Semaphore` and `BoundedSemaphore` of `eventlet.semaphore`.
//!
//! A unit that is given back while somebody waits goes to the one that has waited longest, not
//! to the counter: so nobody who comes later takes it, however busy the lock is, and `counter`
//! is positive only while nobody waits. One who was given a unit and is then interrupted
//! before it runs gives it back, to the next.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::asking::{asked, asks_release};
use super::class::{self, Head};
use super::{wait_in, wake};
use crate::error::raise_new;
use crate::greenlet::Inbound;
use crate::greenlet::arguments::{boolean, none, one_argument};
use crate::greenlet::define::{Definition, create, define, fast, free, noargs, property, slot};
use crate::hub::{Parked, registry};
use crate::sched::WaiterList;

static mut SEMAPHORE: *mut ffi::PyTypeObject = ptr::null_mut();
static mut BOUNDED: *mut ffi::PyTypeObject = ptr::null_mut();

#[repr(C)]
pub(super) struct Semaphore {
    head: Head,
    pub(super) counter: isize,
    /// What it began with: the most that a bounded one may hold.
    pub(super) original: isize,
    pub(super) waiters: WaiterList<Parked>,
}

impl Semaphore {
    /// Makes zeroed memory a semaphore of one unit that nobody waits for.
    ///
    /// # Safety
    /// `me` points to a new instance.
    pub(super) unsafe fn begin(me: *mut Self) {
        // SAFETY: by contract.
        unsafe {
            (*me).counter = 1;
            (*me).original = 1;
            (&raw mut (*me).waiters).write(WaiterList::new());
        }
    }
}

/// Creates the classes; NULLs with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held.
pub(super) unsafe fn init() -> (*mut ffi::PyTypeObject, *mut ffi::PyTypeObject) {
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
            fast(c"acquire", acquire, c"acquire($self, /, blocking=True, timeout=None)\n--\n\nTake one unit, waiting for it if need be.\n\nWaiters are served in order of arrival; a newcomer never overtakes them.\nA switch point only if no unit is free.\n\nArgs:\n    blocking: If false, return False instead of waiting.\n    timeout: How long to wait at most, in seconds; None or -1: without end.\n\nReturns:\n    Whether a unit was taken.\n\nRaises:\n    ValueError: If a timeout is given for a call that does not block, or a\n        negative one."),
            fast(c"release", release, c"release($self, /, blocking=True)\n--\n\nGive one unit back, to the one that has waited longest. Not a switch point.\n\nArgs:\n    blocking: Ignored; there for symmetry with `CappedSemaphore`."),
            noargs(c"locked", locked, c"locked($self, /)\n--\n\nTell whether `acquire` would have to wait."),
            noargs(c"bounded", bounded, c"bounded($self, /)\n--\n\nReturn False; there for symmetry with `CappedSemaphore`."),
            noargs(c"__enter__", enter, c"__enter__($self, /)\n--\n\nTake one unit."),
            fast(c"__exit__", exit, c"__exit__($self, typ, val, tb, /)\n--\n\nGive one unit back."),
        ],
        properties: vec![
            property(c"counter", get_counter, Some(set_counter), c"How many units are free."),
            property(c"balance", get_balance, None, c"How many units are free, less those that wait for one."),
            property(c"_waiters", get_waiters, None, c"The green threads that wait, in order of arrival."),
        ],
        ..class::headed(
            c"eventlet.semaphore.Semaphore",
            c"Semaphore(value=1)\n--\n\nA number of units, taken and given back; who finds none waits for one.\n\nIt may be released by anybody, also from another OS thread.\n\nArgs:\n    value: How many units there are at first.\n\nRaises:\n    ValueError: If `value` is negative.\n    TypeError: If it is no number.",
            std::mem::size_of::<Semaphore>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        SEMAPHORE = create(class);
        if SEMAPHORE.is_null() {
            return (ptr::null_mut(), ptr::null_mut());
        }
        let class = Definition {
            base: SEMAPHORE,
            slots: life(),
            methods: vec![fast(c"release", release_bounded, c"release($self, /, blocking=True)\n--\n\nGive one unit back, to the one that has waited longest. Not a switch point.\n\nRaises:\n    ValueError: If as many units are free as there were at first.")],
            ..define(
                c"eventlet.semaphore.BoundedSemaphore",
                c"BoundedSemaphore(value=1)\n--\n\nA semaphore that refuses to hold more units than it began with.\n\nA unit given back too often is a mistake of the program, found here.",
                std::mem::size_of::<Semaphore>(),
            )
        };
        BOUNDED = create(class);
        (SEMAPHORE, BOUNDED)
    }
}

/// Slots that a class made from a specification does not inherit.
pub(super) fn life() -> Vec<ffi::PyType_Slot> {
    vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
    ]
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython; the memory is zeroed.
    unsafe {
        let me = ffi::PyType_GenericAlloc(kind, 0).cast::<Semaphore>();
        if !me.is_null() {
            Semaphore::begin(me);
        }
        me.cast()
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    let me = op.cast::<Semaphore>();
    // SAFETY: called by CPython; the format names one optional object.
    unsafe {
        let Some(value) = one_argument(args, kwargs, c"value", c"|O:Semaphore") else {
            return -1;
        };
        let mut units = 1;
        if !value.is_null() {
            let Some(number) = whole(value) else {
                return -1;
            };
            units = number;
        }
        if units < 0 {
            raise_new(
                ffi::PyExc_ValueError,
                c"a semaphore cannot begin with a negative number of units",
            );
            return -1;
        }
        (*me).counter = units;
        (*me).original = units;
        // Called once more in a forked child.
        forget_waiters(me);
    }
    0
}

/// Drops waiters that only the parent of a forked child has.
pub(super) unsafe fn forget_waiters(me: *mut Semaphore) {
    // SAFETY: contract of `give`.
    unsafe {
        while let Some(parked) = (*me).waiters.pop_front() {
            parked.release();
        }
    }
}

/// A whole number of what was given, as `int()` makes it; None with TypeError or `OverflowError` set.
unsafe fn whole(value: *mut PyObject) -> Option<isize> {
    // SAFETY: contract of `initialize`: the GIL is held, `value` is live.
    unsafe {
        let number = ffi::PyNumber_Long(value);
        if number.is_null() {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_ValueError) != 0 {
                ffi::PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"a semaphore begins with a number of units, not with %R".as_ptr(),
                    value,
                );
            }
            return None;
        }
        let units = ffi::PyLong_AsSsize_t(number);
        ffi::Py_DECREF(number);
        (units != -1 || ffi::PyErr_Occurred().is_null()).then_some(units)
    }
}

/// Takes a unit. 1: taken, 0: none in time, -1 with an exception set.
///
/// # Switches
/// If no unit is free and `blocking`.
#[inline]
pub(super) unsafe fn take(me: *mut Semaphore, blocking: bool, deadline: Option<u64>) -> c_int {
    // SAFETY: contract of the callers: `me` is held by them, the GIL is held.
    unsafe {
        if (*me).counter > 0 {
            (*me).counter -= 1;
            return 1;
        }
        if !blocking {
            return 0;
        }
        take_later(me, deadline)
    }
}

unsafe fn take_later(me: *mut Semaphore, deadline: Option<u64>) -> c_int {
    // SAFETY: contract of `take`; one borrow per statement, none across the switch.
    unsafe {
        loop {
            // Asked for anew: the hub may have been replaced during the wait.
            let core = registry::existing();
            if core.is_null() {
                if registry::hub().is_null() {
                    return -1;
                }
                // Other OS threads ran while the hub was made: look again.
                return take(me, true, deadline);
            }
            let (inbound, served) = wait_in(&raw mut (*me).waiters, core, deadline);
            if matches!(inbound, Inbound::Error(_)) {
                if served {
                    give(me);
                }
                inbound.into_result();
                return -1;
            }
            inbound.discard();
            if served {
                return 1;
            }
            if class::passed(deadline) {
                return 0;
            }
            // Somebody switched here by hand: that is no reason to go on.
            if (*me).counter > 0 {
                (*me).counter -= 1;
                return 1;
            }
        }
    }
}

/// Gives a unit to the one that has waited longest, or to the counter.
#[inline]
pub(super) unsafe fn give(me: *mut Semaphore) {
    // SAFETY: contract of the callers: `me` is held by them, the GIL is held.
    unsafe {
        while let Some(parked) = (*me).waiters.pop_front() {
            if wake(parked) {
                return;
            }
        }
        (*me).counter = (*me).counter.saturating_add(1);
    }
}

unsafe extern "C" fn acquire(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore.
    unsafe {
        let Some((blocking, deadline)) = asked(args, count, names, f64::INFINITY) else {
            return ptr::null_mut();
        };
        acquire_until(op, blocking, deadline)
    }
}

/// The body of `acquire()`.
///
/// # Safety
/// `op` is a Semaphore; the GIL is held.
///
/// # Switches
/// If no unit is free and `blocking`.
pub(super) unsafe fn acquire_until(
    op: *mut PyObject,
    blocking: bool,
    deadline: Option<u64>,
) -> *mut PyObject {
    // SAFETY: by contract; the semaphore is held through the switch.
    unsafe {
        ffi::Py_INCREF(op);
        let taken = take(op.cast(), blocking, deadline);
        ffi::Py_DECREF(op);
        if taken < 0 {
            ptr::null_mut()
        } else {
            boolean(taken == 1)
        }
    }
}

unsafe extern "C" fn release(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore.
    unsafe {
        if !asks_release(args, count, names) {
            return ptr::null_mut();
        }
        give(op.cast());
        boolean(true)
    }
}

unsafe extern "C" fn release_bounded(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a BoundedSemaphore.
    unsafe {
        if !asks_release(args, count, names) || !give_bounded(op.cast()) {
            return ptr::null_mut();
        }
        boolean(true)
    }
}

unsafe fn give_bounded(me: *mut Semaphore) -> bool {
    // SAFETY: contract of `give`.
    unsafe {
        if (*me).counter >= (*me).original {
            raise_new(ffi::PyExc_ValueError, c"Semaphore released too many times");
            return false;
        }
        give(me);
        true
    }
}

unsafe extern "C" fn locked(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore.
    unsafe { boolean((*op.cast::<Semaphore>()).counter <= 0) }
}

unsafe extern "C" fn bounded(_op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { boolean(false) }
}

unsafe extern "C" fn enter(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore, which is held through the switch.
    unsafe {
        let kind = ffi::Py_TYPE(op);
        if kind == SEMAPHORE || kind == BOUNDED {
            ffi::Py_INCREF(op);
            let taken = take(op.cast(), true, None);
            if taken < 0 {
                ffi::Py_DECREF(op);
                return ptr::null_mut();
            }
            return op;
        }
        // A subclass may have overridden it.
        let result = ffi::PyObject_CallMethod(op, c"acquire".as_ptr(), ptr::null());
        if result.is_null() {
            return result;
        }
        ffi::Py_DECREF(result);
        ffi::Py_NewRef(op)
    }
}

unsafe extern "C" fn exit(
    op: *mut PyObject,
    _args: *const *mut PyObject,
    _count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore.
    unsafe {
        let kind = ffi::Py_TYPE(op);
        if kind == SEMAPHORE {
            give(op.cast());
        } else if kind == BOUNDED {
            if !give_bounded(op.cast()) {
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

unsafe extern "C" fn get_counter(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore.
    unsafe { ffi::PyLong_FromSsize_t((*op.cast::<Semaphore>()).counter) }
}

unsafe extern "C" fn set_counter(op: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: called by CPython on a Semaphore.
    unsafe {
        if value.is_null() {
            raise_new(
                ffi::PyExc_AttributeError,
                c"the counter of a semaphore cannot be deleted",
            );
            return -1;
        }
        let Some(units) = whole(value) else { return -1 };
        (*op.cast::<Semaphore>()).counter = units;
    }
    0
}

unsafe extern "C" fn get_balance(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let me = op.cast::<Semaphore>();
    // SAFETY: called by CPython on a Semaphore.
    unsafe { ffi::PyLong_FromSsize_t((*me).counter.saturating_sub_unsigned((*me).waiters.len())) }
}

unsafe extern "C" fn get_waiters(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a Semaphore.
    unsafe { class::greenlets_of(&raw const (*op.cast::<Semaphore>()).waiters) }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Semaphore>();
    // SAFETY: called by CPython on a Semaphore; the format matches its arguments.
    unsafe {
        ffi::PyUnicode_FromFormat(
            c"<%s at %p counter=%zd, waiters=%zd>".as_ptr(),
            class::name(op),
            op,
            (*me).counter,
            (*me).waiters.len(),
        )
    }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: called by the collector on a live instance.
    unsafe { class::traverse(op, &[], &(*op.cast::<Semaphore>()).waiters, visit, arg) }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    // SAFETY: called by the collector or by `dealloc`. A waiter holds the semaphore, so
    // there is none.
    unsafe { class::clear(op) };
    0
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    // SAFETY: called by CPython when the last reference is gone, hence with no waiters.
    unsafe {
        class::dying(op);
        clear(op);
        ptr::drop_in_place(&raw mut (*op.cast::<Semaphore>()).waiters);
        free(op);
    }
}
