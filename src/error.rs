//! Exceptions as plain owned objects.
//!
//! Between stacks an exception travels as one normalised object with its traceback, the
//! form CPython itself uses from 3.12 on.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

/// Takes the exception being raised, as one normalised object that carries its traceback.
///
/// # Safety
/// The GIL is held. NULL is returned if nothing is being raised.
pub(crate) unsafe fn take_raised() -> *mut PyObject {
    #[cfg(Py_3_12)]
    {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_GetRaisedException() }
    }
    #[cfg(not(Py_3_12))]
    {
        let (mut kind, mut value, mut trace) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the GIL is held; the three pointers are valid for writes.
        unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut trace) };
        if kind.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the triple was just fetched.
        unsafe { join(kind, value, trace) }
    }
}

/// Makes one normalised exception of an owned (type, value, traceback) triple.
///
/// # Safety
/// The GIL is held; `kind` is not NULL; the references are owned and consumed.
#[cfg_attr(
    Py_3_12,
    expect(
        deprecated,
        reason = "throw() is given the parts, which nothing else joins"
    )
)]
pub(crate) unsafe fn join(
    mut kind: *mut PyObject,
    mut value: *mut PyObject,
    mut trace: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the triple is owned by contract; normalising keeps it owned.
    unsafe {
        ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut trace);
        if !trace.is_null() && !value.is_null() {
            ffi::PyException_SetTraceback(value, trace);
        }
        ffi::Py_XDECREF(kind);
        ffi::Py_XDECREF(trace);
    }
    value
}

/// Raises `error` as it is: no context is chained, unlike `PyErr_SetObject`.
///
/// # Safety
/// The GIL is held; `error` is an owned exception instance and is consumed.
pub(crate) unsafe fn raise(error: *mut PyObject) {
    #[cfg(Py_3_12)]
    {
        // SAFETY: by contract.
        unsafe { ffi::PyErr_SetRaisedException(error) }
    }
    #[cfg(not(Py_3_12))]
    {
        // SAFETY: by contract `error` is an exception instance.
        unsafe {
            let kind = ffi::Py_TYPE(error).cast::<PyObject>();
            ffi::Py_INCREF(kind);
            let trace = ffi::PyException_GetTraceback(error);
            ffi::PyErr_Restore(kind, error, trace);
        }
    }
}

/// Raises a new exception of a class, with a message; returns NULL, as functions that raise do.
///
/// # Safety
/// The GIL is held; `class` is an exception class.
#[cold]
pub(crate) unsafe fn raise_new(class: *mut PyObject, message: &CStr) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { ffi::PyErr_SetString(class, message.as_ptr()) };
    ptr::null_mut()
}
