//! Entries for the tables that CPython's type specs and modules are made of.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

/// A method for a type or module table.
pub(crate) const fn method(
    name: &'static CStr,
    call: ffi::PyMethodDefPointer,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: call,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// Signature of a fast method with keywords.
pub(crate) type Fast = unsafe extern "C" fn(
    *mut PyObject,
    *const *mut PyObject,
    ffi::Py_ssize_t,
    *mut PyObject,
) -> *mut PyObject;

pub(crate) const fn fast(call: Fast) -> ffi::PyMethodDefPointer {
    ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: call,
    }
}

pub(crate) const fn noargs(
    call: unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject,
) -> ffi::PyMethodDefPointer {
    ffi::PyMethodDefPointer { PyCFunction: call }
}

pub(crate) const FAST: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

/// A property for a type table.
pub(crate) const fn property(
    name: &'static CStr,
    get: ffi::getter,
    set: Option<ffi::setter>,
    doc: &'static CStr,
) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set,
        doc: doc.as_ptr(),
        closure: ptr::null_mut(),
    }
}

pub(super) const END_METHOD: ffi::PyMethodDef = ffi::PyMethodDef::zeroed();

pub(super) const END_PROPERTY: ffi::PyGetSetDef = ffi::PyGetSetDef {
    name: ptr::null(),
    get: None,
    set: None,
    doc: ptr::null(),
    closure: ptr::null_mut(),
};

pub(crate) fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

pub(super) fn offset_member(name: &'static CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    }
}

pub(super) fn end_member() -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: ptr::null(),
        type_code: 0,
        offset: 0,
        flags: 0,
        doc: ptr::null(),
    }
}

/// The only argument of a constructor, by place or name; NULL if `format` makes it optional
/// and it was left out. None with `TypeError` set.
///
/// # Safety
/// Arguments as CPython passes them to `tp_init`; `format` asks for one object. Borrowed.
pub(crate) unsafe fn one_argument(
    args: *mut PyObject,
    kwargs: *mut PyObject,
    name: &CStr,
    format: &CStr,
) -> Option<*mut PyObject> {
    let mut found = ptr::null_mut::<PyObject>();
    let names = [name.as_ptr(), ptr::null()];
    // SAFETY: by contract.
    let fine = unsafe {
        ffi::PyArg_ParseTupleAndKeywords(
            args,
            kwargs,
            format.as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut found,
        )
    };
    (fine != 0).then_some(found)
}
