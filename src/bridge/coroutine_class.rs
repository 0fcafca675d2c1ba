//! The Python class of green coroutines: what asyncio and inspection ask of a coroutine.
//!
//! Whatever is not answered here is asked of the coroutine inside.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};

use super::coroutine::{self, Coroutine, State};
use super::future::as_method;
use super::names::{NAMES, asyncio};
use super::records;
use crate::error::raise_new;
use crate::greenlet::arguments::{boolean, none, or_none, up_to_three};
use crate::greenlet::define::{
    Definition, create, define, fast, free, noargs, onearg, property, slot,
};
use crate::greenlet::errors::make_exception;
use crate::greenlet::{self, Inbound, errors, gc, replace, thread};

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();

/// The class.
///
/// # Safety
/// [`init`] has run.
pub(super) unsafe fn coroutine_type() -> *mut ffi::PyTypeObject {
    // SAFETY: written once by `init`.
    unsafe { TYPE }
}

/// Tells whether `op` is one of these: the class has no subclasses.
///
/// # Safety
/// `op` is live.
pub(super) unsafe fn check(op: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe { ffi::Py_TYPE(op) == TYPE }
}

/// What steps a coroutine so that blocking green calls suspend its task alone: owned, or NULL
/// with an exception set.
///
/// # Safety
/// `inner` is a coroutine (borrowed); the GIL is held.
pub(super) unsafe fn make(inner: *mut PyObject) -> *mut Coroutine {
    // SAFETY: by contract. The allocator zeroes; what zero does not express is written before
    // other code can see the object.
    unsafe {
        let w = ffi::PyType_GenericAlloc(TYPE, 0).cast::<Coroutine>();
        if !w.is_null() {
            (&raw mut (*w).inbound).write(Inbound::Nothing);
            (&raw mut (*w).thrown).write(Vec::new());
            (&raw mut (*w).state).write(State::Idle);
            (*w).inner = ffi::Py_NewRef(inner);
        }
        w
    }
}

/// Tells whether `op` is a coroutine of a kind that has to be wrapped: CPython's own has not; -1 with an exception set.
///
/// # Safety
/// `op` is live; the GIL is held. Runs Python code.
pub(super) unsafe fn can_wrap(op: *mut PyObject) -> c_int {
    // SAFETY: by contract.
    unsafe {
        if ffi::PyCoro_CheckExact(op) != 0 || check(op) {
            return 0;
        }
        let Some(asyncio) = asyncio() else {
            return -1;
        };
        let answer = ffi::PyObject_CallOneArg(asyncio.is_coroutine.as_ptr(), op);
        if answer.is_null() {
            return -1;
        }
        ffi::Py_DECREF(answer);
        c_int::from(answer == ffi::Py_True())
    }
}

/// Creates the class.
///
/// # Safety
/// Called once with the GIL held.
pub(super) unsafe fn init() -> Result<(), ()> {
    let class = Definition {
        sealed: true,
        weakrefs: Some(std::mem::offset_of!(Coroutine, weakrefs)),
        slots: vec![
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(ffi::Py_tp_finalize, finalize as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_tp_getattro, get_attribute as *mut c_void),
            slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
            slot(ffi::Py_tp_iternext, next as *mut c_void),
            slot(ffi::Py_am_await, ffi::PyObject_SelfIter as *mut c_void),
            slot(ffi::Py_am_send, am_send as *mut c_void),
        ],
        methods: vec![
            onearg(c"send", send, c"send($self, value, /)\n--\n\nTake one step: return what is awaited, or raise StopIteration with the result."),
            fast(c"throw", throw, c"throw($self, typ, val=None, tb=None, /)\n--\n\nRaise an exception where the coroutine waits, and take one step."),
            noargs(c"close", close, c"close($self, /)\n--\n\nRaise GeneratorExit where the coroutine waits."),
        ],
        properties: vec![
            property(c"cr_await", get_await, None, c"What is awaited: in a green call, a future of the event loop."),
            property(c"cr_running", get_running, None, c"Whether a step is in progress."),
            property(c"__wrapped__", get_inner, None, c"The coroutine that is stepped."),
        ],
        ..define(
            c"eventlet_asyncio._core.GreenCoroutine",
            c"A coroutine in which blocking green calls suspend its task alone.",
            std::mem::size_of::<Coroutine>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        TYPE = create(class);
        if TYPE.is_null() { Err(()) } else { Ok(()) }
    }
}

unsafe extern "C" fn am_send(
    op: *mut PyObject,
    value: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: called by CPython with the GIL held; `out` is valid for a write.
    unsafe { coroutine::advance(op.cast(), value, ptr::null_mut(), out) }
}

unsafe extern "C" fn send(op: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    let mut out = ptr::null_mut();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let status = coroutine::advance(op.cast(), value, ptr::null_mut(), &raw mut out);
        as_method(status, out)
    }
}

unsafe extern "C" fn next(op: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { send(op, ffi::Py_None()) }
}

unsafe extern "C" fn throw(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    let mut out = ptr::null_mut();
    // SAFETY: called by CPython with the GIL held; `args` holds `count` objects.
    unsafe {
        if !(1..=3).contains(&count) {
            return raise_new(
                ffi::PyExc_TypeError,
                c"throw() takes an exception, or its type, value and traceback",
            );
        }
        let error = make_exception(up_to_three(args, count));
        if error.is_null() {
            return ptr::null_mut();
        }
        let status = coroutine::advance(op.cast(), ffi::Py_None(), error, &raw mut out);
        as_method(status, out)
    }
}

unsafe extern "C" fn close(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if coroutine::close(op.cast()) {
            none()
        } else {
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn get_await(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let w = op.cast::<Coroutine>();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if (*w).state != State::Parked {
            return ffi::PyObject_GetAttr((*w).inner, NAMES.cr_await);
        }
        or_none((*w).blocker)
    }
}

unsafe extern "C" fn get_running(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let running = (*op.cast::<Coroutine>()).state == State::Running;
        boolean(running)
    }
}

unsafe extern "C" fn get_inner(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { ffi::Py_NewRef((*op.cast::<Coroutine>()).inner) }
}

/// Attributes of a coroutine come from the one inside: name, code, frame, origin.
unsafe extern "C" fn get_attribute(op: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if name == NAMES.name || name == NAMES.qualname {
            return ffi::PyObject_GetAttr((*op.cast::<Coroutine>()).inner, name);
        }
        let found = ffi::PyObject_GenericGetAttr(op, name);
        if !found.is_null() || ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) == 0 {
            return found;
        }
        ffi::PyErr_Clear();
        ffi::PyObject_GetAttr((*op.cast::<Coroutine>()).inner, name)
    }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the format takes one object.
    unsafe { ffi::PyUnicode_FromFormat(c"<green %R>".as_ptr(), (*op.cast::<Coroutine>()).inner) }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let w = op.cast::<Coroutine>();
    // SAFETY: called by the collector on a live instance; pointers are owned or NULL.
    unsafe {
        let sent = match (*w).inbound {
            Inbound::Value(object) | Inbound::Error(object) => object,
            Inbound::Nothing | Inbound::Call(..) => ptr::null_mut(),
        };
        let owned = [
            ffi::Py_TYPE(op).cast(),
            (*w).inner,
            (*w).stepper.cast(),
            (*w).parked.cast(),
            (*w).blocker,
            (*w).face.cast(),
            (*w).task,
            sent,
        ];
        gc::visit_all(
            owned.into_iter().chain((*w).thrown.iter().copied()),
            visit,
            arg,
        )
    }
}

/// A task that was dropped in the middle of a green call: its coroutine is closed.
unsafe extern "C" fn finalize(op: *mut PyObject) {
    let w = op.cast::<Coroutine>();
    // SAFETY: called by CPython on a live instance.
    unsafe {
        if (*w).state != State::Parked
            || crate::pystate::in_finalization()
            || !thread::same((*w).parked, thread::existing())
        {
            return;
        }
        let pending = errors::take_raised();
        if !coroutine::close(w) {
            ffi::PyErr_WriteUnraisable(op);
        }
        if !pending.is_null() {
            errors::raise(pending);
        }
    }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let w = op.cast::<Coroutine>();
    // SAFETY: called by the collector or by `dealloc`; pointers are taken out first. What is
    // on a stack stays with it: the greenlets do not name us any more.
    unsafe {
        records::unlist(w);
        let face = std::mem::replace(&mut (*w).face, ptr::null_mut());
        if !face.is_null() {
            replace(&raw mut (*face).base.callee, ptr::null_mut());
            greenlet::decref(face.cast());
        }
        replace(&raw mut (*w).task, ptr::null_mut());
        replace(&raw mut (*w).blocker, ptr::null_mut());
        (*w).inbound.take().discard();
        for late in std::mem::take(&mut (*w).thrown) {
            ffi::Py_DECREF(late);
        }
        // Attributes are still looked up there.
        replace(&raw mut (*w).inner, none());
        let parked = std::mem::replace(&mut (*w).parked, ptr::null_mut());
        if !parked.is_null() {
            (*parked).stepping = false;
            (*parked).step = ptr::null_mut();
            (*w).state = State::Done;
            replace(&raw mut (*parked).keeps, ptr::null_mut());
            greenlet::decref(parked);
        }
        let stepper = std::mem::replace(&mut (*w).stepper, ptr::null_mut());
        if !stepper.is_null() {
            greenlet::decref(stepper);
        }
    }
    0
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    let w = op.cast::<Coroutine>();
    // SAFETY: called by CPython when the last reference is gone; the finalizer may revive
    // the object, and then nothing is released.
    unsafe {
        if ffi::PyObject_CallFinalizerFromDealloc(op) < 0 {
            return;
        }
        gc::dying(op, (*w).weakrefs);
        clear(op);
        replace(&raw mut (*w).inner, ptr::null_mut());
        ptr::drop_in_place(&raw mut (*w).thrown);
        free(op);
    }
}
