//! What a task gets that awaits a green thread: asyncio's future protocol, natively.
//!
//! The object is the future and its own iterator: a task's step finds it done and takes the
//! result, or yields it and is called back by the loop of whoever awaits, in their OS thread.
//! It is pending until the green thread has ended, also after `cancel()`: that only asks the
//! green thread to end (see `cancel`).

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};
use pyo3::prelude::*;

use super::names::{NAMES, asyncio};
use super::{cancel, cycle};
use crate::greenlet::class::{FAST, fast, method, noargs, property, slot};
use crate::greenlet::{self, Thread, errors, replace, thread};
use crate::greenthread::{Awaiter, Fate, GreenThread, class};
use crate::hub::{registry, run};

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    Pending,
    Value,
    Error,
    Cancelled,
}

/// A done callback and the context it runs in. Pointers are owned; the context may be NULL.
struct Callback {
    function: *mut PyObject,
    context: *mut PyObject,
}

#[repr(C)]
pub(super) struct GreenFuture {
    ob_base: PyObject,
    weakrefs: *mut PyObject,
    /// Owned while pending.
    pub(super) green: *mut GreenThread,
    /// Owned; NULL if no loop ran where the future was made.
    event_loop: *mut PyObject,
    /// Counted reference: the OS thread of that loop.
    home: *mut Thread,
    callbacks: Vec<Callback>,
    /// Owned or NULL: value, exception, or the `CancelledError` once it has been made.
    outcome: *mut PyObject,
    /// Owned or NULL: what `cancel()` was given.
    message: *mut PyObject,
    state: State,
    /// asyncio's sign that the future was yielded by `await`.
    blocking: bool,
    /// A cancellation is on its way to the green thread.
    pub(super) asked: bool,
}

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

/// The green thread that a pending future waits for (borrowed), or NULL.
///
/// # Safety
/// `op` passed [`check`].
pub(super) unsafe fn green_of(op: *mut PyObject) -> *mut GreenThread {
    // SAFETY: by contract.
    unsafe { (*op.cast::<GreenFuture>()).green }
}

/// Creates the class.
///
/// # Safety
/// Called once with the GIL held.
pub(super) unsafe fn init() -> Result<(), ()> {
    let methods = Box::leak(Box::new([
        method(c"add_done_callback", fast(add_done_callback), FAST, c"add_done_callback($self, fn, /, *, context=None)\n--\n\nHave the loop call fn(self) once the green thread has ended."),
        method(c"remove_done_callback", ffi::PyMethodDefPointer { PyCFunction: remove_done_callback }, ffi::METH_O, c"remove_done_callback($self, fn, /)\n--\n\nForget a callback; return how often it was found."),
        method(c"result", noargs(result), ffi::METH_NOARGS, c"result($self, /)\n--\n\nReturn the green thread's value, or raise its exception."),
        method(c"exception", noargs(exception), ffi::METH_NOARGS, c"exception($self, /)\n--\n\nReturn the green thread's exception, or None."),
        method(c"done", noargs(done), ffi::METH_NOARGS, c"done($self, /)\n--\n\nTell whether the green thread has ended."),
        method(c"cancelled", noargs(cancelled), ffi::METH_NOARGS, c"cancelled($self, /)\n--\n\nTell whether result() raises CancelledError."),
        method(c"cancel", fast(cancel_method), FAST, c"cancel($self, /, msg=None)\n--\n\nAsk for the green thread to be killed; False if it has ended.\n\nThe future stays pending until the green thread has cleaned up."),
        method(c"get_loop", noargs(get_loop), ffi::METH_NOARGS, c"get_loop($self, /)\n--\n\nReturn the event loop that runs the callbacks."),
        method(c"_make_cancelled_error", noargs(make_cancelled_error), ffi::METH_NOARGS, c"Return the CancelledError that result() raises."),
        ffi::PyMethodDef::zeroed(),
    ]));
    let properties = Box::leak(Box::new([
        property(
            c"_asyncio_future_blocking",
            get_blocking,
            Some(set_blocking),
            c"asyncio's sign that the future was awaited.",
        ),
        property(
            c"_loop",
            get_loop_property,
            None,
            c"The event loop that runs the callbacks.",
        ),
        property(
            c"_state",
            get_state,
            None,
            c"PENDING, FINISHED or CANCELLED.",
        ),
        ffi::PyGetSetDef::default(),
    ]));
    let members = Box::leak(Box::new([
        ffi::PyMemberDef {
            name: c"__weaklistoffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: std::mem::offset_of!(GreenFuture, weakrefs) as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        },
        ffi::PyMemberDef::default(),
    ]));
    let slots = Box::leak(Box::new([
        slot(
            ffi::Py_tp_doc,
            c"The outcome of a green thread, for asyncio.".as_ptr() as *mut c_void,
        ),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_am_await, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_am_send, send as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, properties.as_mut_ptr().cast()),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ]));
    let mut spec = ffi::PyType_Spec {
        name: c"eventlet_asyncio._core.GreenFuture".as_ptr(),
        basicsize: std::mem::size_of::<GreenFuture>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the GIL is held; the spec and its tables are complete and never freed.
    unsafe {
        TYPE = ffi::PyType_FromSpec(&raw mut spec).cast();
        if TYPE.is_null() { Err(()) } else { Ok(()) }
    }
}

/// Module functions of this file.
pub(super) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![method(
        c"greenlet_to_future",
        ffi::PyMethodDefPointer { PyCFunction: greenlet_to_future },
        ffi::METH_O,
        c"greenlet_to_future($module, green_thread, /)\n--\n\nReturn a future with the outcome of a green thread.\n\nIt belongs to the running event loop, in green code to the hub's. Cancelling it kills the\ngreen thread. Not a switch point.",
    )]
}

/// A future for `g`, on `event_loop` (owned, may be NULL). NULL with an exception set.
///
/// # Safety
/// `g` is live; the GIL is held.
unsafe fn make(g: *mut GreenThread, event_loop: *mut PyObject) -> *mut GreenFuture {
    // SAFETY: by contract. The allocator zeroes; what zero does not express is written before
    // other code can see the object.
    unsafe {
        let home = thread::this();
        if home.is_null() || asyncio().is_none() {
            ffi::Py_XDECREF(event_loop);
            return ptr::null_mut();
        }
        let f = ffi::PyType_GenericAlloc(TYPE, 0).cast::<GreenFuture>();
        if f.is_null() {
            ffi::Py_XDECREF(event_loop);
            return ptr::null_mut();
        }
        (&raw mut (*f).callbacks).write(Vec::new());
        (&raw mut (*f).state).write(State::Pending);
        (*f).event_loop = event_loop;
        thread::retain(home);
        (*f).home = home;
        greenlet::incref(g.cast());
        (*f).green = g;
        (*g).unclaimed = false;
        if matches!((*g).fate, Fate::Pending) {
            let object = ffi::Py_NewRef(f.cast());
            (*g).awaiters.push(Awaiter {
                object,
                notify: ended,
            });
        } else {
            finish(f);
        }
        f
    }
}

/// `__await__` of GreenThread.
pub(super) unsafe extern "C" fn await_green_thread(op: *mut PyObject) -> *mut PyObject {
    let g = op.cast::<GreenThread>();
    // SAFETY: called by CPython with the GIL held on a live instance.
    unsafe {
        let f = make(g, crate::imports::visible_loop());
        if f.is_null() {
            return ptr::null_mut();
        }
        // Only a green thread that waits itself can wait for its own awaiter.
        if (*f).state == State::Pending
            && (!(*g).waits_for.is_null() || !super::awaiting::work_of(g).is_null())
            && awaits_itself(g)
        {
            drop_awaiter(g, f);
            ffi::Py_DECREF(f.cast());
            ffi::PyErr_SetString(
                ffi::PyExc_RuntimeError,
                c"a green thread cannot await itself through a coroutine: it would wait for ever"
                    .as_ptr(),
            );
            return ptr::null_mut();
        }
        f.cast()
    }
}

unsafe fn awaits_itself(g: *mut GreenThread) -> bool {
    // SAFETY: contract of `await_green_thread`.
    unsafe {
        let Some(asyncio) = asyncio() else {
            return false;
        };
        let task = ffi::PyObject_CallNoArgs(asyncio.current_task.as_ptr());
        if task.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        let found = task != ffi::Py_None() && cycle::leads_to(g, task, ptr::null_mut());
        ffi::Py_DECREF(task);
        found
    }
}

unsafe fn drop_awaiter(g: *mut GreenThread, f: *mut GreenFuture) {
    // SAFETY: contract of `await_green_thread`; the caller holds a reference of its own.
    unsafe {
        let position = (*g).awaiters.iter().position(|a| a.object == f.cast());
        if let Some(position) = position {
            let awaiter = (*g).awaiters.remove(position);
            ffi::Py_DECREF(awaiter.object);
        }
    }
}

unsafe extern "C" fn greenlet_to_future(_: *mut PyObject, op: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if !class::check(op) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"expected a GreenThread as returned by spawn(), not %s: other greenlets keep no outcome"
                    .as_ptr(),
                (*ffi::Py_TYPE(op)).tp_name,
            );
            return ptr::null_mut();
        }
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        Python::attach(|py| match run::event_loop(py, core) {
            Ok(Some(found)) => make(op.cast(), found.into_ptr()).cast(),
            Ok(None) => {
                super::awaiting::set_hub_error();
                ptr::null_mut()
            }
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        })
    }
}

/// The green thread has ended.
unsafe fn ended(object: *mut PyObject, _: *mut GreenThread) {
    // SAFETY: called by the green thread, which holds both, with the GIL held.
    unsafe { finish(object.cast()) }
}

/// Takes over the outcome and has the loop call the callbacks.
///
/// # Safety
/// `f` is live, and its green thread too, until the caller returns. Runs Python code.
pub(super) unsafe fn finish(f: *mut GreenFuture) {
    // SAFETY: by contract; callbacks are taken out before they are used.
    unsafe {
        if (*f).state != State::Pending {
            return;
        }
        let g = std::mem::replace(&mut (*f).green, ptr::null_mut());
        let (state, outcome) = if std::mem::take(&mut (*f).asked) {
            // It ended before it was told of the cancellation.
            (State::Cancelled, ptr::null_mut())
        } else {
            cancel::outcome_for_awaiter(g)
        };
        (*f).state = state;
        (*f).outcome = outcome;
        for callback in std::mem::take(&mut (*f).callbacks) {
            schedule(f, callback);
        }
        greenlet::decref(g.cast());
    }
}

/// Has the loop make one call. A closed loop makes none: nobody is there any more.
unsafe fn schedule(f: *mut GreenFuture, callback: Callback) {
    // SAFETY: `f` is live; the callback is owned and given back here.
    unsafe {
        let Callback { function, context } = callback;
        let Some(asyncio) = asyncio() else {
            ffi::PyErr_Clear();
            return;
        };
        let name = if (*f).home == thread::existing() {
            NAMES.call_soon
        } else {
            NAMES.call_soon_threadsafe
        };
        let names = if context.is_null() {
            ptr::null_mut()
        } else {
            asyncio.context_name.as_ptr()
        };
        let args = [(*f).event_loop, function, f.cast(), context];
        let result = ffi::PyObject_VectorcallMethod(name, args.as_ptr(), 3, names);
        if result.is_null() {
            loop_failed((*f).event_loop, function);
        } else {
            ffi::Py_DECREF(result);
        }
        ffi::Py_DECREF(function);
        ffi::Py_XDECREF(context);
    }
}

#[cold]
unsafe fn loop_failed(event_loop: *mut PyObject, function: *mut PyObject) {
    // SAFETY: an exception is set; the objects are live.
    unsafe {
        let error = errors::take_raised();
        let closed = ffi::PyObject_CallMethodNoArgs(event_loop, NAMES.is_closed);
        if closed.is_null() {
            ffi::PyErr_Clear();
        }
        if closed == ffi::Py_True() {
            ffi::Py_DECREF(error);
        } else {
            errors::raise(error);
            ffi::PyErr_WriteUnraisable(function);
        }
        ffi::Py_XDECREF(closed);
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
        let named = if names.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(names)
        };
        let is_context =
            |name| ffi::PyUnicode_CompareWithASCIIString(name, c"context".as_ptr()) == 0;
        if count != 1 || named > 1 || named == 1 && !is_context(ffi::PyTuple_GET_ITEM(names, 0)) {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"add_done_callback() takes a function and, by name, a context".as_ptr(),
            );
            return ptr::null_mut();
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
        ffi::Py_NewRef(ffi::Py_None())
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

unsafe fn release_callback(callback: Callback) {
    // SAFETY: owned.
    unsafe {
        ffi::Py_DECREF(callback.function);
        ffi::Py_XDECREF(callback.context);
    }
}

/// The `CancelledError` of a cancelled future (borrowed), made when it is first needed.
unsafe fn cancelled_error(f: *mut GreenFuture) -> *mut PyObject {
    // SAFETY: `f` is live and Cancelled; the GIL is held.
    unsafe {
        if (*f).outcome.is_null()
            && let Some(asyncio) = asyncio()
        {
            let class = asyncio.cancelled_error.as_ptr();
            (*f).outcome = if (*f).message.is_null() {
                ffi::PyObject_CallNoArgs(class)
            } else {
                ffi::PyObject_CallOneArg(class, (*f).message)
            };
        }
        (*f).outcome
    }
}

/// Raises what `result()` raises; returns -1, or 0 if the future holds a value.
unsafe fn raise(f: *mut GreenFuture) -> c_int {
    // SAFETY: `f` is live; the GIL is held.
    unsafe {
        match (*f).state {
            State::Value => return 0,
            State::Pending => not_done(),
            State::Error => errors::raise(ffi::Py_NewRef((*f).outcome)),
            State::Cancelled => {
                let error = cancelled_error(f);
                if !error.is_null() {
                    errors::raise(ffi::Py_NewRef(error));
                }
            }
        }
        -1
    }
}

unsafe fn not_done() {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        if let Some(asyncio) = asyncio() {
            ffi::PyErr_SetString(
                asyncio.invalid_state.as_ptr(),
                c"the green thread has not ended".as_ptr(),
            );
        }
    }
}

unsafe fn no_loop() {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        ffi::PyErr_SetString(
            ffi::PyExc_RuntimeError,
            c"no running event loop: await a green thread in a coroutine, wait() for it elsewhere"
                .as_ptr(),
        );
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
            State::Value => ffi::Py_NewRef(ffi::Py_None()),
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
    unsafe { ffi::PyBool_FromLong(((*op.cast::<GreenFuture>()).state != State::Pending).into()) }
}

unsafe extern "C" fn cancelled(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { ffi::PyBool_FromLong(((*op.cast::<GreenFuture>()).state == State::Cancelled).into()) }
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
        let named = if names.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(names)
        };
        let is_msg = |name| ffi::PyUnicode_CompareWithASCIIString(name, c"msg".as_ptr()) == 0;
        if count + named > 1 || named == 1 && !is_msg(ffi::PyTuple_GET_ITEM(names, 0)) {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"cancel() takes one argument, msg".as_ptr(),
            );
            return ptr::null_mut();
        }
        if (*f).state != State::Pending {
            return ffi::Py_NewRef(ffi::Py_False());
        }
        let given = if count + named == 1 {
            *args
        } else {
            ffi::Py_None()
        };
        let message = if given == ffi::Py_None() {
            ptr::null_mut()
        } else {
            ffi::Py_NewRef(given)
        };
        replace(&raw mut (*f).message, message);
        if cancel::request(f) {
            ffi::Py_NewRef(ffi::Py_True())
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
    unsafe {
        let event_loop = (*op.cast::<GreenFuture>()).event_loop;
        ffi::Py_NewRef(if event_loop.is_null() {
            ffi::Py_None()
        } else {
            event_loop
        })
    }
}

unsafe extern "C" fn get_blocking(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { ffi::PyBool_FromLong((*op.cast::<GreenFuture>()).blocking.into()) }
}

unsafe extern "C" fn set_blocking(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    // SAFETY: called by CPython with the GIL held; NULL means deletion.
    unsafe {
        if value.is_null() {
            ffi::PyErr_SetString(
                ffi::PyExc_AttributeError,
                c"cannot delete attribute".as_ptr(),
            );
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

/// One step of `await`: the value, an exception, or the future itself.
unsafe extern "C" fn send(
    op: *mut PyObject,
    _: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held; `out` is valid for a write.
    unsafe {
        if (*f).state == State::Pending {
            (*f).blocking = true;
            *out = ffi::Py_NewRef(op);
            return PySendResult::PYGEN_NEXT;
        }
        if raise(f) < 0 {
            *out = ptr::null_mut();
            return PySendResult::PYGEN_ERROR;
        }
        *out = ffi::Py_NewRef((*f).outcome);
        PySendResult::PYGEN_RETURN
    }
}

unsafe extern "C" fn next(op: *mut PyObject) -> *mut PyObject {
    let mut out = ptr::null_mut();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        match send(op, ptr::null_mut(), &raw mut out) {
            PySendResult::PYGEN_NEXT => out,
            PySendResult::PYGEN_ERROR => ptr::null_mut(),
            PySendResult::PYGEN_RETURN => {
                // Made by hand: a tuple or an exception as value would be unpacked.
                let stop = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, out);
                ffi::Py_DECREF(out);
                if !stop.is_null() {
                    errors::raise(stop);
                }
                ptr::null_mut()
            }
        }
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
        for object in owned.into_iter().chain(callbacks) {
            if !object.is_null() {
                let stop = visit(object, arg);
                if stop != 0 {
                    return stop;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by the collector or by `dealloc`; pointers are taken out first.
    unsafe {
        let green = std::mem::replace(&mut (*f).green, ptr::null_mut());
        if (*f).state == State::Pending {
            (*f).state = State::Cancelled;
        }
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
        ffi::PyObject_GC_UnTrack(op.cast());
        if !(*f).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(op);
        }
        clear(op);
        replace(&raw mut (*f).event_loop, ptr::null_mut());
        ptr::drop_in_place(&raw mut (*f).callbacks);
        thread::release((*f).home);
        let kind = ffi::Py_TYPE(op);
        ffi::PyObject_GC_Del(op.cast());
        ffi::Py_DECREF(kind.cast());
    }
}
