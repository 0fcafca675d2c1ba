//! The Python class of the futures that tasks get for green threads.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::cancel;
use super::future::{
    Callback, GreenFuture, State, cancelled_error, next, no_loop, raise, release_callback,
    schedule, send,
};
use super::names::asyncio;
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, boolean, given, named, none, or_none};
use crate::greenlet::define::{
    Definition, create, define, fast, free, noargs, onearg, property, slot,
};
use crate::greenlet::{gc, replace, thread};

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();

/// The class.
///
/// # Safety
/// [`init`] has run.
pub(super) unsafe fn future_type() -> *mut ffi::PyTypeObject {
    // SAFETY: written once by `init`.
    unsafe { TYPE }
}

/// Tells whether `op` is one of these futures: the class has no subclasses.
///
/// # Safety
/// `op` is live.
pub(super) unsafe fn check(op: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe { ffi::Py_TYPE(op) == TYPE }
}

/// Creates the class.
///
/// # Safety
/// Called once with the GIL held.
pub(super) unsafe fn init() -> Result<(), ()> {
    let class = Definition {
        sealed: true,
        weakrefs: Some(std::mem::offset_of!(GreenFuture, weakrefs)),
        slots: vec![
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
            slot(ffi::Py_tp_iternext, next as *mut c_void),
            slot(ffi::Py_am_await, ffi::PyObject_SelfIter as *mut c_void),
            slot(ffi::Py_am_send, send as *mut c_void),
        ],
        methods: vec![
            fast(c"add_done_callback", add_done_callback, c"add_done_callback($self, fn, /, *, context=None)\n--\n\nHave the loop call fn(self) once the green thread has ended."),
            onearg(c"remove_done_callback", remove_done_callback, c"remove_done_callback($self, fn, /)\n--\n\nForget a callback; return how often it was found."),
            noargs(c"result", result, c"result($self, /)\n--\n\nReturn the green thread's value, or raise its exception."),
            noargs(c"exception", exception, c"exception($self, /)\n--\n\nReturn the green thread's exception, or None."),
            noargs(c"done", done, c"done($self, /)\n--\n\nTell whether the green thread has ended."),
            noargs(c"cancelled", cancelled, c"cancelled($self, /)\n--\n\nTell whether result() raises CancelledError."),
            fast(c"cancel", cancel_method, c"cancel($self, /, msg=None)\n--\n\nAsk for the green thread to be killed; False if it has ended.\n\nThe future stays pending until the green thread has cleaned up."),
            noargs(c"get_loop", get_loop, c"get_loop($self, /)\n--\n\nReturn the event loop that runs the callbacks."),
            noargs(c"_make_cancelled_error", make_cancelled_error, c"Return the CancelledError that result() raises."),
        ],
        properties: vec![
            property(c"_asyncio_future_blocking", get_blocking, Some(set_blocking), c"asyncio's sign that the future was awaited."),
            property(c"_loop", get_loop_property, None, c"The event loop that runs the callbacks."),
            property(c"_state", get_state, None, c"PENDING, FINISHED or CANCELLED."),
        ],
        ..define(
            c"eventlet_asyncio._core.GreenFuture",
            c"The outcome of a green thread, for asyncio.",
            std::mem::size_of::<GreenFuture>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        TYPE = create(class);
        if TYPE.is_null() { Err(()) } else { Ok(()) }
    }
}

unsafe extern "C" fn add_done_callback(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held; arguments as for a fast method.
    unsafe {
        let named = named(names);
        let is_context =
            |name| ffi::PyUnicode_CompareWithASCIIString(name, c"context".as_ptr()) == 0;
        if count != 1 || named > 1 || named == 1 && !is_context(ffi::PyTuple_GET_ITEM(names, 0)) {
            return raise_new(
                ffi::PyExc_TypeError,
                c"add_done_callback() takes a function and, by name, a context",
            );
        }
        if (*f).event_loop.is_null() {
            no_loop();
            return ptr::null_mut();
        }
        let given = if named == 1 {
            *args.add(1)
        } else {
            ffi::Py_None()
        };
        let context = if given == ffi::Py_None() {
            ffi::PyContext_CopyCurrent()
        } else {
            ffi::Py_NewRef(given)
        };
        if context.is_null() {
            return ptr::null_mut();
        }
        let callback = Callback {
            function: ffi::Py_NewRef(*args),
            context,
        };
        if (*f).state == State::Pending {
            (*f).callbacks.push(callback);
        } else {
            schedule(f, callback);
        }
        none()
    }
}

unsafe extern "C" fn remove_done_callback(
    op: *mut PyObject,
    function: *mut PyObject,
) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held; the list is taken out while comparisons
    // run Python code, and callbacks added meanwhile are put behind.
    unsafe {
        let mut removed: std::ffi::c_long = 0;
        let mut kept = Vec::new();
        let mut failed = false;
        for callback in std::mem::take(&mut (*f).callbacks) {
            let same = if failed {
                0
            } else {
                ffi::PyObject_RichCompareBool(callback.function, function, ffi::Py_EQ)
            };
            failed |= same < 0;
            if same == 1 {
                removed += 1;
                release_callback(callback);
            } else {
                kept.push(callback);
            }
        }
        kept.append(&mut (*f).callbacks);
        (*f).callbacks = kept;
        if failed {
            ptr::null_mut()
        } else {
            ffi::PyLong_FromLong(removed)
        }
    }
}

unsafe extern "C" fn result(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if raise(f) < 0 {
            ptr::null_mut()
        } else {
            ffi::Py_NewRef((*f).outcome)
        }
    }
}

unsafe extern "C" fn exception(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        match (*f).state {
            State::Value => none(),
            State::Error => ffi::Py_NewRef((*f).outcome),
            State::Pending | State::Cancelled => {
                raise(f);
                ptr::null_mut()
            }
        }
    }
}

unsafe extern "C" fn make_cancelled_error(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if (*f).state == State::Cancelled {
            return ffi::Py_XNewRef(cancelled_error(f));
        }
        asyncio().map_or(ptr::null_mut(), |a| {
            ffi::PyObject_CallNoArgs(a.cancelled_error.as_ptr())
        })
    }
}

unsafe extern "C" fn done(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { boolean((*op.cast::<GreenFuture>()).state != State::Pending) }
}

unsafe extern "C" fn cancelled(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { boolean((*op.cast::<GreenFuture>()).state == State::Cancelled) }
}

unsafe extern "C" fn cancel_method(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held; arguments as for a fast method.
    unsafe {
        let Some([msg]) = arguments(c"cancel", [c"msg"], 0, args, count, names) else {
            return ptr::null_mut();
        };
        if (*f).state != State::Pending {
            return boolean(false);
        }
        let message = if given(msg) {
            ffi::Py_NewRef(msg)
        } else {
            ptr::null_mut()
        };
        replace(&raw mut (*f).message, message);
        if cancel::request(f) {
            boolean(true)
        } else {
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn get_loop(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let event_loop = (*op.cast::<GreenFuture>()).event_loop;
        if event_loop.is_null() {
            no_loop();
            return ptr::null_mut();
        }
        ffi::Py_NewRef(event_loop)
    }
}

unsafe extern "C" fn get_loop_property(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { or_none((*op.cast::<GreenFuture>()).event_loop) }
}

unsafe extern "C" fn get_blocking(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { boolean((*op.cast::<GreenFuture>()).blocking) }
}

unsafe extern "C" fn set_blocking(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    // SAFETY: called by CPython with the GIL held; NULL means deletion.
    unsafe {
        if value.is_null() {
            raise_new(ffi::PyExc_AttributeError, c"cannot delete attribute");
            return -1;
        }
        let truth = ffi::PyObject_IsTrue(value);
        if truth >= 0 {
            (*op.cast::<GreenFuture>()).blocking = truth == 1;
        }
        truth.min(0)
    }
}

unsafe extern "C" fn get_state(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { ffi::PyUnicode_FromString(state_name((*op.cast::<GreenFuture>()).state).as_ptr()) }
}

fn state_name(state: State) -> &'static std::ffi::CStr {
    match state {
        State::Pending => c"PENDING",
        State::Value | State::Error => c"FINISHED",
        State::Cancelled => c"CANCELLED",
    }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held; the format matches its arguments.
    unsafe {
        let state = state_name((*f).state).as_ptr();
        if (*f).green.is_null() {
            return ffi::PyUnicode_FromFormat(c"<GreenFuture %s>".as_ptr(), state);
        }
        ffi::PyUnicode_FromFormat(c"<GreenFuture %s of %R>".as_ptr(), state, (*f).green)
    }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by the collector on a live instance; pointers are owned or NULL.
    unsafe {
        let owned = [
            ffi::Py_TYPE(op).cast(),
            (*f).green.cast::<PyObject>(),
            (*f).event_loop,
            (*f).outcome,
            (*f).message,
        ];
        let callbacks = (*f).callbacks.iter().flat_map(|c| [c.function, c.context]);
        gc::visit_all(owned.into_iter().chain(callbacks), visit, arg)
    }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by the collector or by `dealloc`; pointers are taken out first.
    unsafe {
        let green = std::mem::replace(&mut (*f).green, ptr::null_mut());
        // Its outcome goes, too: whoever still sees it finds it cancelled.
        (*f).state = State::Cancelled;
        ffi::Py_XDECREF(green.cast());
        replace(&raw mut (*f).outcome, ptr::null_mut());
        replace(&raw mut (*f).message, ptr::null_mut());
        for callback in std::mem::take(&mut (*f).callbacks) {
            release_callback(callback);
        }
    }
    0
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython when the last reference is gone.
    unsafe {
        gc::dying(op, (*f).weakrefs);
        clear(op);
        replace(&raw mut (*f).event_loop, ptr::null_mut());
        ptr::drop_in_place(&raw mut (*f).callbacks);
        thread::release((*f).home);
        free(op);
    }
}
