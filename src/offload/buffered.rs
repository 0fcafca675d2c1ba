//! Buffered files whose raw layer has nothing to wait with.
//!
//! CPython's buffers hold a lock of their OS thread while they call the raw layer, so a green
//! thread cannot be parked inside one. Here the raw layer says instead that it would block, upon
//! which the buffer gives what it has, or says how much it took; the rest is left to a method of
//! Python's, which may wait. What the buffer can do by itself costs one call of CPython's own code.
//!
//! Who waits for the rest has the field `_held` set, so that others do not come in between.

use std::ffi::{CStr, c_int, c_uint};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::greenlet::define::{Fast, fast, onearg, slot};

/// A method of CPython's buffer, and the one that does the rest, set in [`classes`].
struct Method {
    base: *mut PyObject,
    rest: *mut PyObject,
}

const NONE: Method = Method {
    base: ptr::null_mut(),
    rest: ptr::null_mut(),
};

static mut READ: Method = NONE;
static mut READ1: Method = NONE;
static mut PEEK: Method = NONE;
static mut READLINE: Method = NONE;
static mut READINTO: Method = NONE;
static mut READINTO1: Method = NONE;
static mut WRITE: Method = NONE;
/// Where `_held` is in an instance: behind what CPython has there.
static mut READER_HELD: usize = 0;
static mut WRITER_HELD: usize = 0;

/// Makes the classes `BufferedReader` and `BufferedWriter`.
pub(super) fn classes(py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    let io = py.import("io")?;
    let reader = io.getattr("BufferedReader")?;
    let writer = io.getattr("BufferedWriter")?;
    let method = |base: &Bound<'_, PyAny>, name: &str| -> PyResult<Method> {
        Ok(Method {
            base: base.getattr(name)?.into_ptr(),
            rest: pyo3::types::PyString::intern(py, &format!("_rest_of_{name}"))
                .into_any()
                .into_ptr(),
        })
    };
    let size = |base: &Bound<'_, PyAny>| base.getattr("__basicsize__")?.extract::<usize>();
    // SAFETY: the GIL is held; this runs once, before any instance exists. The objects are
    // kept for good.
    unsafe {
        READ = method(&reader, "read")?;
        READ1 = method(&reader, "read1")?;
        PEEK = method(&reader, "peek")?;
        READLINE = method(&reader, "readline")?;
        READINTO = method(&reader, "readinto")?;
        READINTO1 = method(&reader, "readinto1")?;
        WRITE = method(&writer, "write")?;
        READER_HELD = size(&reader)?;
        WRITER_HELD = size(&writer)?;
    }
    let reading = vec![
        fast(c"read", read as Fast, c"read($self, size=-1, /)\n--\n\nReturn `size` bytes, fewer at the end, everything if negative."),
        fast(c"read1", read1 as Fast, c"read1($self, size=-1, /)\n--\n\nReturn what is there, at most `size` bytes; waits while there is nothing."),
        fast(c"peek", peek as Fast, c"peek($self, size=0, /)\n--\n\nReturn what the next `read` would, without taking it."),
        fast(c"readline", readline as Fast, c"readline($self, size=-1, /)\n--\n\nReturn the next line, at most `size` bytes of it."),
        onearg(c"readinto", readinto, c"readinto($self, buffer, /)\n--\n\nFill `buffer`, less of it at the end, and return the number of bytes."),
        onearg(c"readinto1", readinto1, c"readinto1($self, buffer, /)\n--\n\nPut what is there into `buffer`; waits while there is nothing."),
    ];
    let writing = vec![onearg(
        c"write",
        write,
        c"write($self, buffer, /)\n--\n\nTake all of `buffer` and return its length.",
    )];
    let next = slot(ffi::Py_tp_iternext, next as *mut _);
    // SAFETY: as above.
    let (read_held, write_held) = unsafe { (READER_HELD, WRITER_HELD) };
    Ok((
        create(
            &reader,
            c"eventlet_asyncio._core.BufferedReader",
            read_held,
            reading,
            vec![next],
        )?,
        create(
            &writer,
            c"eventlet_asyncio._core.BufferedWriter",
            write_held,
            writing,
            vec![],
        )?,
    ))
}

/// Derives a class that adds the field `_held` behind the base's at `size`.
fn create<'py>(
    base: &Bound<'py, PyAny>,
    name: &'static CStr,
    size: usize,
    mut methods: Vec<ffi::PyMethodDef>,
    mut slots: Vec<ffi::PyType_Slot>,
) -> PyResult<Bound<'py, PyAny>> {
    methods.push(ffi::PyMethodDef::zeroed());
    let members = vec![
        ffi::PyMemberDef {
            name: c"_held".as_ptr(),
            type_code: ffi::Py_T_BOOL,
            offset: size as ffi::Py_ssize_t,
            flags: 0,
            doc: c"Whether somebody waits for the rest of what it began.".as_ptr(),
        },
        ffi::PyMemberDef::default(),
    ];
    slots.extend([
        slot(ffi::Py_tp_methods, Vec::leak(methods).as_mut_ptr().cast()),
        slot(ffi::Py_tp_members, Vec::leak(members).as_mut_ptr().cast()),
        slot(
            ffi::Py_tp_doc,
            c"A buffer whose subclass does the rest of what would block."
                .as_ptr()
                .cast_mut()
                .cast(),
        ),
        slot(0, ptr::null_mut()),
    ]);
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: (size + align_of::<usize>()) as c_int,
        itemsize: 0,
        // Instances, their traversal and their end are the base's.
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as c_uint,
        slots: Vec::leak(slots).as_mut_ptr(),
    };
    // SAFETY: the GIL is held; the tables live for good. The base's instances have `size`
    // bytes, and CPython zeroes what a subclass adds.
    unsafe {
        let bases = ffi::PyTuple_Pack(1, base.as_ptr());
        if bases.is_null() {
            return Err(PyErr::fetch(base.py()));
        }
        let made = ffi::PyType_FromSpecWithBases(&raw mut spec, bases);
        ffi::Py_DECREF(bases);
        Bound::from_owned_ptr_or_err(base.py(), made)
    }
}

/// Whether somebody is in the middle of something with the file.
unsafe fn held(op: *mut PyObject, field: usize) -> bool {
    // SAFETY: contract of the callers: `op` is an instance of the class whose field that is.
    unsafe { *op.cast::<u8>().add(field) != 0 }
}

/// Calls CPython's method with one argument, or none (NULL): owned, or NULL.
unsafe fn call(method: *const Method, op: *mut PyObject, argument: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of the callers: entries of the type's, called by CPython.
    unsafe {
        let stack = [op, argument];
        let count = if argument.is_null() { 1 } else { 2 };
        ffi::PyObject_Vectorcall((*method).base, stack.as_ptr(), count, ptr::null_mut())
    }
}

/// Has the rest done. `begun` is consumed, or NULL if nothing was tried; `argument` is
/// borrowed, or NULL.
#[cold]
unsafe fn rest(
    method: *const Method,
    op: *mut PyObject,
    argument: *mut PyObject,
    begun: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: contract of `call`.
    unsafe {
        let or_none = |value: *mut PyObject| {
            if value.is_null() {
                ffi::Py_None()
            } else {
                value
            }
        };
        let whole = ffi::PyObject_CallMethodObjArgs(
            op,
            (*method).rest,
            or_none(argument),
            or_none(begun),
            ptr::null_mut::<PyObject>(),
        );
        ffi::Py_XDECREF(begun);
        whole
    }
}

/// The only argument, or NULL if there is none; None with TypeError set.
unsafe fn optional(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<*mut PyObject> {
    // SAFETY: contract of the callers: `args` holds `count` objects.
    unsafe {
        if count > 1 || !names.is_null() {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"it takes one argument, the size, without its name".as_ptr(),
            );
            return None;
        }
        Some(if count == 1 { *args } else { ptr::null_mut() })
    }
}

/// The length of bytes, -1 for anything else.
unsafe fn length(data: *mut PyObject) -> ffi::Py_ssize_t {
    // SAFETY: `data` is live.
    unsafe {
        if ffi::PyBytes_Check(data) == 0 {
            -1
        } else {
            ffi::PyBytes_Size(data)
        }
    }
}

/// A size that is a number of bytes to wait for, -1 for anything else.
unsafe fn wanted(size: *mut PyObject) -> ffi::Py_ssize_t {
    // SAFETY: `size` is live or NULL.
    unsafe {
        if size.is_null() || ffi::PyLong_CheckExact(size) == 0 {
            return -1;
        }
        let number = ffi::PyLong_AsSsize_t(size);
        if number < 0 {
            ffi::PyErr_Clear();
            return -1;
        }
        number
    }
}

unsafe extern "C" fn read(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held on an instance of the class.
    unsafe {
        let Some(size) = optional(args, count, names) else {
            return ptr::null_mut();
        };
        let number = wanted(size);
        if number < 0 || held(op, READER_HELD) {
            return rest(&raw const READ, op, size, ptr::null_mut());
        }
        let data = call(&raw const READ, op, size);
        if data.is_null() || length(data) == number {
            return data;
        }
        rest(&raw const READ, op, size, data)
    }
}

/// `read1` and `peek`: done if there is something.
unsafe fn some(
    method: *const Method,
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe {
        let Some(size) = optional(args, count, names) else {
            return ptr::null_mut();
        };
        if held(op, READER_HELD) {
            return rest(method, op, size, ptr::null_mut());
        }
        let data = call(method, op, size);
        if data.is_null() || length(data) > 0 {
            return data;
        }
        rest(method, op, size, data)
    }
}

unsafe extern "C" fn read1(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe { some(&raw const READ1, op, args, count, names) }
}

unsafe extern "C" fn peek(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe { some(&raw const PEEK, op, args, count, names) }
}

unsafe extern "C" fn readline(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe {
        match optional(args, count, names) {
            Some(size) => line(op, size),
            None => ptr::null_mut(),
        }
    }
}

unsafe fn line(op: *mut PyObject, size: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `read`; `size` is borrowed or NULL.
    unsafe {
        if held(op, READER_HELD) {
            return rest(&raw const READLINE, op, size, ptr::null_mut());
        }
        let line = call(&raw const READLINE, op, size);
        if line.is_null() {
            return line;
        }
        let length = length(line);
        if length > 0
            && *ffi::PyBytes_AS_STRING(line).add(length as usize - 1) == b'\n' as std::ffi::c_char
        {
            return line;
        }
        rest(&raw const READLINE, op, size, line)
    }
}

unsafe extern "C" fn next(op: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe {
        let line = line(op, ptr::null_mut());
        if !line.is_null() && length(line) == 0 {
            ffi::Py_DECREF(line);
            return ptr::null_mut();
        }
        line
    }
}

/// The size of a buffer in bytes, -1 with no exception set if it is none.
unsafe fn size_of_buffer(buffer: *mut PyObject) -> ffi::Py_ssize_t {
    // SAFETY: `buffer` is live; the view is released before this returns.
    unsafe {
        let mut view = std::mem::zeroed::<ffi::Py_buffer>();
        if ffi::PyObject_GetBuffer(buffer, &raw mut view, ffi::PyBUF_SIMPLE) < 0 {
            ffi::PyErr_Clear();
            return -1;
        }
        let size = view.len;
        ffi::PyBuffer_Release(&raw mut view);
        size
    }
}

unsafe extern "C" fn readinto(op: *mut PyObject, buffer: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe {
        if held(op, READER_HELD) {
            return rest(&raw const READINTO, op, buffer, ptr::null_mut());
        }
        let count = call(&raw const READINTO, op, buffer);
        if count.is_null() || wanted(count) == size_of_buffer(buffer) {
            return count;
        }
        rest(&raw const READINTO, op, buffer, count)
    }
}

unsafe extern "C" fn readinto1(op: *mut PyObject, buffer: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `read`.
    unsafe {
        if held(op, READER_HELD) {
            return rest(&raw const READINTO1, op, buffer, ptr::null_mut());
        }
        let count = call(&raw const READINTO1, op, buffer);
        if count.is_null() || wanted(count) > 0 {
            return count;
        }
        rest(&raw const READINTO1, op, buffer, count)
    }
}

unsafe extern "C" fn write(op: *mut PyObject, data: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `read`, on an instance of the other class.
    unsafe {
        if held(op, WRITER_HELD) {
            return rest(&raw const WRITE, op, data, ptr::null_mut());
        }
        let count = call(&raw const WRITE, op, data);
        if !count.is_null() || ffi::PyErr_ExceptionMatches(ffi::PyExc_BlockingIOError) == 0 {
            return count;
        }
        let error = crate::error::take_raised();
        rest(&raw const WRITE, op, data, error)
    }
}
