//! `eventlet.event.Event`: one value, or one exception, for any number of waiters.
//!
//! What is sent travels with each wake-up, so a waiter gets what was sent to it even if the
//! event is reset before it runs. A waiter that is interrupted leaves the list and takes nothing
//! with it: there is nothing to pass on.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class::{self, Head};
use super::{wait_in, wait_one_turn};
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, boolean, given, named, no_argument, none, or_none};
use crate::greenlet::define::{Definition, create, fast, free, noargs, property, slot};
use crate::greenlet::errors::make_exception;
use crate::greenlet::{Inbound, errors, replace};
use crate::hub::{Parked, registry};
use crate::sched::WaiterList;

#[repr(C)]
struct Event {
    head: Head,
    /// Owned; NULL until something is sent.
    result: *mut PyObject,
    /// Owned or NULL: the tuple (type or instance[, value[, traceback]]) to raise.
    error: *mut PyObject,
    waiters: WaiterList<Parked>,
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
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
        ],
        methods: vec![
            fast(c"send", send, c"send($self, /, result=None, exc=None)\n--\n\nWake all waiters with a value, or with an exception to raise.\n\nThey run in order of arrival once the caller gives way; not a switch point.\nWho waits later gets the same at once.\n\nArgs:\n    result: What `wait` returns.\n    exc: What `wait` raises instead: an exception, a class, or a tuple as of\n        `sys.exc_info()`.\n\nRaises:\n    AssertionError: If something was sent already; see `reset`."),
            fast(c"send_exception", send_exception, c"send_exception($self, /, *args)\n--\n\nWake all waiters with an exception: an instance, or type, value and traceback."),
            fast(c"wait", wait, c"wait($self, /, timeout=None)\n--\n\nReturn what is sent, or raise it; wait for it if need be.\n\nA switch point unless something was sent. With a timeout of 0 everything\nthat is ready has one turn.\n\nReturns:\n    What was sent; None if `timeout` seconds pass before."),
            noargs(c"ready", ready, c"ready($self, /)\n--\n\nTell whether something was sent."),
            noargs(c"has_exception", has_exception, c"has_exception($self, /)\n--\n\nTell whether an exception was sent."),
            noargs(c"has_result", has_result, c"has_result($self, /)\n--\n\nTell whether a value was sent."),
            fast(c"poll", poll, c"poll($self, /, notready=None)\n--\n\nReturn or raise what was sent; `notready` if nothing was. Never a switch point."),
            fast(c"poll_exception", poll_exception, c"poll_exception($self, /, notready=None)\n--\n\nRaise the exception that was sent; return `notready` if none was."),
            fast(c"poll_result", poll_result, c"poll_result($self, /, notready=None)\n--\n\nReturn the value that was sent; `notready` if none was."),
            noargs(c"reset", reset, c"reset($self, /)\n--\n\nForget what was sent, so that something can be sent again.\n\nRaises:\n    AssertionError: If nothing was sent."),
        ],
        properties: vec![property(
            c"_waiters",
            get_waiters,
            None,
            c"The green threads that wait, in order of arrival.",
        )],
        ..class::headed(
            c"eventlet.event.Event",
            c"Event()\n--\n\nOne value, or one exception, for any number of waiters.\n\nUnlike a queue it is sent once, and whoever waits later gets it too.\nIt may be sent from any OS thread.",
            std::mem::size_of::<Event>(),
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
    // SAFETY: called by CPython; the memory is zeroed, which suits the pointers.
    unsafe {
        let me = ffi::PyType_GenericAlloc(kind, 0).cast::<Event>();
        if !me.is_null() {
            (&raw mut (*me).waiters).write(WaiterList::new());
        }
        me.cast()
    }
}

unsafe extern "C" fn initialize(
    _op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    // SAFETY: called by CPython; the format asks for nothing.
    let fine = unsafe { no_argument(args, kwargs, c":Event") };
    if fine { 0 } else { -1 }
}

/// What was sent: owned, or NULL with the exception set.
unsafe fn outcome(me: *mut Event) -> *mut PyObject {
    // SAFETY: contract of the callers: something was sent, the GIL is held.
    unsafe {
        if (*me).error.is_null() {
            return ffi::Py_NewRef((*me).result);
        }
        let error = error_of((*me).error);
        errors::raise(error);
        ptr::null_mut()
    }
}

/// A normalised exception of what was sent: owned. Runs Python code if it names a class.
unsafe fn error_of(sent: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of the callers: `sent` is a tuple of one to three objects; it is held
    // while a constructor runs, which may reset the event.
    unsafe {
        let sent = ffi::Py_NewRef(sent);
        let count = ffi::PyTuple_GET_SIZE(sent);
        let part = |i| {
            if i < count {
                ffi::PyTuple_GET_ITEM(sent, i)
            } else {
                ptr::null_mut()
            }
        };
        let (kind, mut value) = (part(0), part(1));
        // exc_info() of an exception names both: the instance is what was raised.
        let instance = given(value) && ffi::PyExceptionInstance_Check(value) != 0;
        let kind = if instance {
            std::mem::replace(&mut value, ptr::null_mut())
        } else {
            kind
        };
        let error = make_exception([kind, value, part(2)]);
        ffi::Py_DECREF(sent);
        if error.is_null() {
            errors::take_raised()
        } else {
            error
        }
    }
}

unsafe extern "C" fn send(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe {
        let Some([result, exc]) = arguments(c"send", [c"result", c"exc"], 0, args, count, names)
        else {
            return ptr::null_mut();
        };
        let error = if !given(exc) {
            ptr::null_mut()
        } else if ffi::PyTuple_Check(exc) != 0 {
            ffi::Py_NewRef(exc)
        } else {
            let error = ffi::PyTuple_Pack(1, exc);
            if error.is_null() {
                return error;
            }
            error
        };
        deliver(op.cast(), result, error)
    }
}

unsafe extern "C" fn send_exception(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe {
        if named(names) > 0 {
            return raise_new(
                ffi::PyExc_TypeError,
                c"send_exception() takes no keyword arguments",
            );
        }
        let error = ffi::PyTuple_New(count);
        if error.is_null() {
            return error;
        }
        for i in 0..count {
            ffi::PyTuple_SET_ITEM(error, i, ffi::Py_NewRef(*args.offset(i)));
        }
        deliver(op.cast(), ptr::null_mut(), error)
    }
}

/// Stores what is sent (`result` borrowed or NULL, `error` an owned tuple or NULL) and wakes
/// those who wait.
unsafe fn deliver(me: *mut Event, result: *mut PyObject, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of the callers. Each waiter is taken off the list in a statement of its
    // own: making an exception for it may run Python code.
    unsafe {
        if !(*me).result.is_null() {
            ffi::Py_XDECREF(error);
            return raise_new(
                ffi::PyExc_AssertionError,
                c"this event was sent already: reset() it, or use a new one",
            );
        }
        if !error.is_null() && !may_be_raised(error) {
            ffi::Py_DECREF(error);
            return ptr::null_mut();
        }
        let result = if result.is_null() {
            ffi::Py_None()
        } else {
            result
        };
        (*me).result = ffi::Py_NewRef(result);
        (*me).error = error;
        // Held here: a constructor may reset the event.
        let (result, error) = (ffi::Py_NewRef(result), ffi::Py_XNewRef(error));
        while let Some(parked) = (*me).waiters.pop_front() {
            let sent = if error.is_null() {
                Inbound::Value(ffi::Py_NewRef(result))
            } else {
                Inbound::Error(error_of(error))
            };
            parked.wake(sent);
        }
        ffi::Py_DECREF(result);
        ffi::Py_XDECREF(error);
        none()
    }
}

/// Refuses what nobody could raise, while the sender is there to see it.
unsafe fn may_be_raised(error: *mut PyObject) -> bool {
    // SAFETY: contract of `deliver`: a tuple.
    unsafe {
        let count = ffi::PyTuple_GET_SIZE(error);
        if (1..=3).contains(&count) {
            let kind = ffi::PyTuple_GET_ITEM(error, 0);
            if ffi::PyExceptionClass_Check(kind) != 0 || ffi::PyExceptionInstance_Check(kind) != 0 {
                return true;
            }
        }
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"an event cannot raise %R: send an exception, an exception class, or (type, value, traceback)"
                .as_ptr(),
            error,
        );
        false
    }
}

unsafe extern "C" fn wait(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let me = op.cast::<Event>();
    // SAFETY: called by CPython on an Event. Nothing is borrowed across the switch; the
    // event is held through it.
    unsafe {
        let Some([timeout]) = arguments(c"wait", [c"timeout"], 0, args, count, names) else {
            return ptr::null_mut();
        };
        if !(*me).result.is_null() {
            return outcome(me);
        }
        let Some(limit) = class::limit(timeout) else {
            return ptr::null_mut();
        };
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        if !(*me).result.is_null() {
            // Sent by another OS thread while the hub was made.
            return outcome(me);
        }
        ffi::Py_INCREF(op);
        let brief = matches!(limit, Some(seconds) if seconds <= 0.0);
        let (inbound, served) = if brief {
            wait_one_turn(&raw mut (*me).waiters, core)
        } else {
            wait_in(&raw mut (*me).waiters, core, limit.map(class::after))
        };
        let late =
            served && !brief && matches!(inbound, Inbound::Nothing) && !(*me).result.is_null();
        let result = if late {
            // The time ran out and something was sent before the green thread ran: it counts.
            outcome(me)
        } else {
            inbound.into_result()
        };
        ffi::Py_DECREF(op);
        result
    }
}

unsafe extern "C" fn ready(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe { boolean(!(*op.cast::<Event>()).result.is_null()) }
}

unsafe extern "C" fn has_exception(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe { boolean(!(*op.cast::<Event>()).error.is_null()) }
}

unsafe extern "C" fn has_result(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Event>();
    // SAFETY: called by CPython on an Event.
    unsafe { boolean(!(*me).result.is_null() && (*me).error.is_null()) }
}

/// The body of the three polls: `fits` tells whether what was sent is asked for.
unsafe fn polled(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
    fits: impl Fn(&Event) -> bool,
) -> *mut PyObject {
    let me = op.cast::<Event>();
    // SAFETY: called by CPython on an Event.
    unsafe {
        let Some([notready]) = arguments(c"poll", [c"notready"], 0, args, count, names) else {
            return ptr::null_mut();
        };
        if !(*me).result.is_null() && fits(&*me) {
            return outcome(me);
        }
        or_none(notready)
    }
}

unsafe extern "C" fn poll(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe { polled(op, args, count, names, |_| true) }
}

unsafe extern "C" fn poll_exception(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe { polled(op, args, count, names, |me| !me.error.is_null()) }
}

unsafe extern "C" fn poll_result(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe { polled(op, args, count, names, |me| me.error.is_null()) }
}

unsafe extern "C" fn reset(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Event>();
    // SAFETY: called by CPython on an Event.
    unsafe {
        if (*me).result.is_null() {
            return raise_new(
                ffi::PyExc_AssertionError,
                c"nothing was sent through this event, so there is nothing to reset",
            );
        }
        forget(me);
        none()
    }
}

unsafe fn forget(me: *mut Event) {
    // SAFETY: contract of the callers; both are taken out before either is released.
    unsafe {
        let error = std::mem::replace(&mut (*me).error, ptr::null_mut());
        replace(&raw mut (*me).result, ptr::null_mut());
        ffi::Py_XDECREF(error);
    }
}

unsafe extern "C" fn get_waiters(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on an Event.
    unsafe { class::greenlets_of(&raw const (*op.cast::<Event>()).waiters) }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Event>();
    // SAFETY: called by CPython on an Event; the formats match their arguments. What is shown
    // is held: showing it runs Python code.
    unsafe {
        let name = class::name(op);
        if (*me).result.is_null() {
            return ffi::PyUnicode_FromFormat(
                c"<%s at %p not sent, waiters=%zd>".as_ptr(),
                name,
                op,
                (*me).waiters.len(),
            );
        }
        let (label, shown) = if (*me).error.is_null() {
            (c"result", (*me).result)
        } else {
            (c"exc", (*me).error)
        };
        let shown = ffi::Py_NewRef(shown);
        let text = ffi::PyUnicode_FromFormat(
            c"<%s at %p %s=%R>".as_ptr(),
            name,
            op,
            label.as_ptr(),
            shown,
        );
        ffi::Py_DECREF(shown);
        text
    }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let me = op.cast::<Event>();
    // SAFETY: called by the collector on a live instance.
    unsafe { class::traverse(op, &[(*me).result, (*me).error], &(*me).waiters, visit, arg) }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    // SAFETY: called by the collector or by `dealloc`. A waiter holds the event, so there is
    // none.
    unsafe {
        forget(op.cast());
        class::clear(op);
    }
    0
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    // SAFETY: called by CPython when the last reference is gone, hence with no waiters.
    unsafe {
        class::dying(op);
        clear(op);
        ptr::drop_in_place(&raw mut (*op.cast::<Event>()).waiters);
        free(op);
    }
}
