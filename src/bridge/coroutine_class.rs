//! The Python class of green coroutines: what asyncio and inspection ask of a coroutine.
//!
//! Whatever is not answered here is asked of the coroutine inside.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};

use super::coroutine::{self, Coroutine, State};
use super::names::{NAMES, asyncio};
use crate::greenlet::class::{FAST, fast, make_exception, method, noargs, property, slot};
use crate::greenlet::{self, Inbound, errors, replace, thread};

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

/// A coroutine in which blocking green calls suspend its task alone: owned, or NULL with an
/// exception set.
///
/// # Safety
/// `inner` is a coroutine (borrowed); the GIL is held.
pub(super) unsafe fn wrap(inner: *mut PyObject) -> *mut Coroutine {
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

/// Tells whether `op` is a coroutine that can be wrapped; -1 with an exception set.
///
/// # Safety
/// `op` is live; the GIL is held. Runs Python code.
pub(super) unsafe fn can_wrap(op: *mut PyObject) -> c_int {
    // SAFETY: by contract.
    unsafe {
        if ffi::PyCoro_CheckExact(op) != 0 {
            return 1;
        }
        if check(op) {
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
    let methods = Box::leak(Box::new([
        method(c"send", ffi::PyMethodDefPointer { PyCFunction: send }, ffi::METH_O, c"send($self, value, /)\n--\n\nTake one step: return what is awaited, or raise StopIteration with the result."),
        method(c"throw", fast(throw), FAST, c"throw($self, typ, val=None, tb=None, /)\n--\n\nRaise an exception where the coroutine waits, and take one step."),
        method(c"close", noargs(close), ffi::METH_NOARGS, c"close($self, /)\n--\n\nRaise GeneratorExit where the coroutine waits."),
        ffi::PyMethodDef::zeroed(),
    ]));
    let properties = Box::leak(Box::new([
        property(
            c"cr_await",
            get_await,
            None,
            c"What is awaited: in a green call, a future of the event loop.",
        ),
        property(
            c"cr_running",
            get_running,
            None,
            c"Whether a step is in progress.",
        ),
        property(
            c"__wrapped__",
            get_inner,
            None,
            c"The coroutine that is stepped.",
        ),
        ffi::PyGetSetDef::default(),
    ]));
    let members = Box::leak(Box::new([
        ffi::PyMemberDef {
            name: c"__weaklistoffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: std::mem::offset_of!(Coroutine, weakrefs) as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        },
        ffi::PyMemberDef::default(),
    ]));
    let slots = Box::leak(Box::new([
        slot(
            ffi::Py_tp_doc,
            c"A coroutine in which blocking green calls suspend its task alone.".as_ptr()
                as *mut c_void,
        ),
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
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, properties.as_mut_ptr().cast()),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ]));
    let mut spec = ffi::PyType_Spec {
        name: c"eventlet_asyncio._core.GreenCoroutine".as_ptr(),
        basicsize: std::mem::size_of::<Coroutine>() as c_int,
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

unsafe extern "C" fn am_send(
    op: *mut PyObject,
    value: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: called by CPython with the GIL held; `out` is valid for a write.
    unsafe { coroutine::advance(op.cast(), value, ptr::null_mut(), out) }
}

/// The result of a step in the form of a method: a value, or NULL with an exception set.
unsafe fn as_method(status: PySendResult, out: *mut PyObject) -> *mut PyObject {
    // SAFETY: `out` is owned, or NULL with an exception set.
    unsafe {
        match status {
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
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"throw() takes an exception, or its type, value and traceback".as_ptr(),
            );
            return ptr::null_mut();
        }
        let arg = |i: isize| {
            if i < count {
                *args.offset(i)
            } else {
                ptr::null_mut()
            }
        };
        let error = make_exception(arg(0), arg(1), arg(2));
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
            ffi::Py_NewRef(ffi::Py_None())
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
        ffi::Py_NewRef(if (*w).blocker.is_null() {
            ffi::Py_None()
        } else {
            (*w).blocker
        })
    }
}

unsafe extern "C" fn get_running(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let running = (*op.cast::<Coroutine>()).state == State::Running;
        ffi::PyBool_FromLong(running.into())
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
        for object in owned.into_iter().chain((*w).thrown.iter().copied()) {
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
        replace(&raw mut (*w).inner, ffi::Py_NewRef(ffi::Py_None()));
        let parked = std::mem::replace(&mut (*w).parked, ptr::null_mut());
        if !parked.is_null() {
            (*parked).stepping = false;
            (*parked).step = ptr::null_mut();
            (*w).state = State::Done;
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
        ffi::PyObject_GC_UnTrack(op.cast());
        if !(*w).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(op);
        }
        clear(op);
        replace(&raw mut (*w).inner, ptr::null_mut());
        ptr::drop_in_place(&raw mut (*w).thrown);
        let kind = ffi::Py_TYPE(op);
        ffi::PyObject_GC_Del(op.cast());
        ffi::Py_DECREF(kind.cast());
    }
}
