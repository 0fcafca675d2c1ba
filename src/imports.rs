//! Python objects that are looked up once, and asyncio's idea of the running loop.
//!
//! Up to CPython 3.13 the running loop is a property of the OS thread, so a turn hides it
//! from the green threads it enters. From 3.14 on it lies in the thread state and is saved
//! with each stack (see `pystate`), so turns have nothing to hide: if it is to be visible,
//! stacks leave it alone.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

static mut EXPIRE: *mut PyObject = ptr::null_mut();
static mut GET_RUNNING_LOOP: *mut PyObject = ptr::null_mut();
#[cfg(not(Py_3_14))]
static mut SET_RUNNING_LOOP: *mut PyObject = ptr::null_mut();

/// Whether turns hide the running loop; see `EVENTLET_ASYNCIO_VISIBLE_LOOP`.
#[cfg(not(Py_3_14))]
static mut HIDING: bool = true;

/// Chooses whether turns hide the running loop.
#[cfg(not(Py_3_14))]
pub(crate) fn set_hiding(hiding: bool) {
    // SAFETY: called with the GIL held.
    unsafe {
        HIDING = hiding;
    }
}

/// Names of what is asked of event loops: made beforehand, since no allocation may fail there.
pub(crate) static mut LOOP: LoopNames = LoopNames {
    ready: ptr::null_mut(),
    scheduled: ptr::null_mut(),
    stopping: ptr::null_mut(),
};

/// See [`LOOP`].
pub(crate) struct LoopNames {
    pub(crate) ready: *mut PyObject,
    pub(crate) scheduled: *mut PyObject,
    pub(crate) stopping: *mut PyObject,
}

/// An attribute whose name is one of [`LOOP`]. Unlike PyO3's it never makes a name.
pub(crate) fn attribute<'py>(
    object: &Bound<'py, PyAny>,
    name: *mut PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are live; the GIL is held, as the object shows.
    unsafe {
        let value = ffi::PyObject_GetAttr(object.as_ptr(), name);
        Bound::from_owned_ptr_or_err(object.py(), value)
    }
}

/// `object.name`. Unlike PyO3's it raises where an allocation fails, and does not panic.
pub(crate) fn named<'py>(object: &Bound<'py, PyAny>, name: &CStr) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are live; the GIL is held, as the object shows.
    unsafe {
        let value = ffi::PyObject_GetAttrString(object.as_ptr(), name.as_ptr());
        Bound::from_owned_ptr_or_err(object.py(), value)
    }
}

/// `object.name = value`; see [`named`].
pub(crate) fn set(
    object: &Bound<'_, PyAny>,
    name: &CStr,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: all are live; the GIL is held, as the object shows.
    let result =
        unsafe { ffi::PyObject_SetAttrString(object.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if result < 0 {
        return Err(PyErr::fetch(object.py()));
    }
    Ok(())
}

/// `object.name()`; see [`named`].
pub(crate) fn call<'py>(object: &Bound<'py, PyAny>, name: &CStr) -> PyResult<Bound<'py, PyAny>> {
    let method = named(object, name)?;
    // SAFETY: the method is live; the GIL is held, as the object shows.
    unsafe {
        let result = ffi::PyObject_CallNoArgs(method.as_ptr());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// `object.name(…)`; see [`named`].
pub(crate) fn call_with<'py, const N: usize>(
    object: &Bound<'py, PyAny>,
    name: &CStr,
    arguments: [&Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    let method = named(object, name)?;
    let arguments = arguments.map(Bound::as_ptr);
    // SAFETY: the method and its arguments are live; the GIL is held, as the object shows.
    unsafe {
        let result =
            ffi::PyObject_Vectorcall(method.as_ptr(), arguments.as_ptr(), N, ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// The module of that name, imported if need be; see [`named`].
pub(crate) fn module<'py>(py: Python<'py>, name: &CStr) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the GIL is held, as the token shows.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyImport_ImportModule(name.as_ptr())) }
}

/// Prepares the names that are always needed; asyncio is looked up by [`use_asyncio`].
pub(crate) fn init() {
    // SAFETY: called once with the GIL held, when the module is initialised.
    unsafe {
        EXPIRE = ffi::PyUnicode_InternFromString(c"_expire".as_ptr());
        LOOP.ready = ffi::PyUnicode_InternFromString(c"_ready".as_ptr());
        LOOP.scheduled = ffi::PyUnicode_InternFromString(c"_scheduled".as_ptr());
        LOOP.stopping = ffi::PyUnicode_InternFromString(c"_stopping".as_ptr());
    }
}

/// The name of the method that tells what a timeout raises, and where.
pub(crate) fn expire_name() -> *mut PyObject {
    // SAFETY: written once by `init`.
    unsafe { EXPIRE }
}

/// Looks asyncio's functions up; called when the first hub with an asyncio loop is made.
pub(crate) fn use_asyncio(py: Python<'_>) -> PyResult<()> {
    let events = py.import("asyncio.events")?;
    let get = events.getattr("_get_running_loop")?;
    // SAFETY: the GIL is held; the references are kept for the life of the process.
    unsafe {
        GET_RUNNING_LOOP = get.into_ptr();
    }
    #[cfg(not(Py_3_14))]
    {
        let set = events.getattr("_set_running_loop")?;
        // SAFETY: as above.
        unsafe {
            SET_RUNNING_LOOP = set.into_ptr();
        }
    }
    Ok(())
}

/// The loop that asyncio says is running here: a new reference, or NULL.
///
/// # Safety
/// The GIL is held.
pub(crate) unsafe fn visible_loop() -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        if GET_RUNNING_LOOP.is_null() {
            return ptr::null_mut();
        }
        let running = ffi::PyObject_CallNoArgs(GET_RUNNING_LOOP);
        if running.is_null() {
            ffi::PyErr_Clear();
        } else if running == ffi::Py_None() {
            ffi::Py_DECREF(running);
            return ptr::null_mut();
        }
        running
    }
}

/// Hides the running loop from the stacks entered next; returns it (owned) or NULL.
///
/// # Safety
/// The GIL is held.
pub(crate) unsafe fn hide_loop() -> *mut PyObject {
    #[cfg(not(Py_3_14))]
    // SAFETY: by contract.
    unsafe {
        if !HIDING {
            return ptr::null_mut();
        }
        let running = visible_loop();
        if !running.is_null() {
            set_loop(ffi::Py_None());
        }
        running
    }
    #[cfg(Py_3_14)]
    ptr::null_mut()
}

/// Undoes [`hide_loop`], whose result it consumes. An exception that is set stays set.
///
/// # Safety
/// The GIL is held.
pub(crate) unsafe fn show_loop(hidden: *mut PyObject) {
    #[cfg(not(Py_3_14))]
    // SAFETY: by contract.
    unsafe {
        if !hidden.is_null() {
            let pending = crate::error::take_raised();
            set_loop(hidden);
            ffi::Py_DECREF(hidden);
            if !pending.is_null() {
                crate::error::raise(pending);
            }
        }
    }
    #[cfg(Py_3_14)]
    let _ = hidden;
}

/// How often asyncio is told which loop runs: it allocates its note of that, which may fail, and
/// a loop that stays hidden is of no use to its tasks any more.
#[cfg(not(Py_3_14))]
const ATTEMPTS: usize = 100;

#[cfg(not(Py_3_14))]
unsafe fn set_loop(value: *mut PyObject) {
    // SAFETY: contract of the callers.
    unsafe {
        for _ in 1..ATTEMPTS {
            let result = ffi::PyObject_CallOneArg(SET_RUNNING_LOOP, value);
            if !result.is_null() {
                ffi::Py_DECREF(result);
                return;
            }
            ffi::PyErr_Clear();
        }
        let result = ffi::PyObject_CallOneArg(SET_RUNNING_LOOP, value);
        if result.is_null() {
            ffi::PyErr_WriteUnraisable(SET_RUNNING_LOOP);
        } else {
            ffi::Py_DECREF(result);
        }
    }
}
