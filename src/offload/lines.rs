//! Lines of a buffered file whose raw layer has nothing to wait with.
//!
//! CPython's `BufferedReader` holds a lock of its OS thread while it asks the raw layer, so a
//! green thread cannot be parked inside it. Here the raw layer says instead that there is nothing
//! yet, upon which the reader gives what it has of the line; the rest is left to a method of
//! Python's, which may wait. A line that is in the buffer costs one call of CPython's own code.

use std::ffi::{c_char, c_uint};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::greenlet::define::{Fast, fast, slot};

/// `io.BufferedReader.readline`, and the name of the method that gets the rest of a line.
static mut READLINE: *mut PyObject = ptr::null_mut();
static mut REST_OF_LINE: *mut PyObject = ptr::null_mut();

/// Makes the class `LineReader`.
pub(super) fn class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let base = py.import("io")?.getattr("BufferedReader")?;
    let read_line = base.getattr("readline")?;
    let methods = Vec::leak(vec![
        fast(
            c"readline",
            readline as Fast,
            c"readline($self, size=-1, /)\n--\n\nReturn the next line, at most `size` bytes of it.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]);
    let slots = Vec::leak(vec![
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_iternext, next as *mut _),
        slot(
            ffi::Py_tp_doc,
            c"A buffered reader whose subclass gets the rest of a line that is not there yet."
                .as_ptr()
                .cast_mut()
                .cast(),
        ),
        slot(0, ptr::null_mut()),
    ]);
    let mut spec = ffi::PyType_Spec {
        name: c"eventlet_asyncio._core.LineReader".as_ptr(),
        // Instances, their traversal and their end are the base's.
        basicsize: 0,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the GIL is held; the tables live for good; this runs once, before any instance
    // exists. The objects are kept for good.
    unsafe {
        let bases = ffi::PyTuple_Pack(1, base.as_ptr());
        if bases.is_null() {
            return Err(PyErr::fetch(py));
        }
        let made = ffi::PyType_FromSpecWithBases(&raw mut spec, bases);
        ffi::Py_DECREF(bases);
        let made = Bound::from_owned_ptr_or_err(py, made)?;
        READLINE = read_line.into_ptr();
        REST_OF_LINE = ffi::PyUnicode_InternFromString(c"_rest_of_line".as_ptr());
        Ok(made)
    }
}

/// Whether there may be more to come of what the reader gave: owned and not NULL.
unsafe fn is_cut_off(line: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        if ffi::PyBytes_Check(line) == 0 {
            return false;
        }
        let length = ffi::PyBytes_Size(line);
        length == 0 || *ffi::PyBytes_AS_STRING(line).add(length as usize - 1) != b'\n' as c_char
    }
}

unsafe extern "C" fn readline(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; `args` holds `count` objects.
    unsafe {
        if count > 1 || !names.is_null() {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"readline() takes one argument, the size".as_ptr(),
            );
            return ptr::null_mut();
        }
        let size = if count == 1 { *args } else { ptr::null_mut() };
        let line =
            ffi::PyObject_CallFunctionObjArgs(READLINE, op, size, ptr::null_mut::<PyObject>());
        if line.is_null() || !is_cut_off(line) {
            return line;
        }
        rest(op, line, size)
    }
}

/// Has the rest of a line read. `line` is consumed; `size` is borrowed, or NULL.
#[cold]
unsafe fn rest(op: *mut PyObject, line: *mut PyObject, size: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of the callers, which are entries of the type.
    unsafe {
        let whole = ffi::PyObject_CallMethodObjArgs(
            op,
            REST_OF_LINE,
            line,
            size,
            ptr::null_mut::<PyObject>(),
        );
        ffi::Py_DECREF(line);
        whole
    }
}

unsafe extern "C" fn next(op: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let line = readline(op, ptr::null(), 0, ptr::null_mut());
        if !line.is_null() && ffi::PyBytes_Check(line) != 0 && ffi::PyBytes_Size(line) == 0 {
            ffi::Py_DECREF(line);
            return ptr::null_mut();
        }
        line
    }
}
