//! Classes made from CPython's type specifications, and entries for the tables they consist of.
//!
//! Not PyO3 classes: a switch leaves a method in the middle, its call trampolines cost as much
//! as an uncontended acquire, and some slots are needed that it does not offer.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

/// What a class is made of.
pub(crate) struct Definition {
    pub(crate) name: &'static CStr,
    pub(crate) doc: &'static CStr,
    pub(crate) size: usize,
    /// A class to derive from (borrowed), or NULL.
    pub(crate) base: *mut ffi::PyTypeObject,
    /// Python code neither derives from the class nor calls it.
    pub(crate) sealed: bool,
    /// Where in an instance its weak references are; None: it has none, or inherits them.
    pub(crate) weakrefs: Option<usize>,
    /// Where its attributes are; None: as above.
    pub(crate) dict: Option<usize>,
    pub(crate) slots: Vec<ffi::PyType_Slot>,
    pub(crate) methods: Vec<ffi::PyMethodDef>,
    pub(crate) properties: Vec<ffi::PyGetSetDef>,
    pub(crate) members: Vec<ffi::PyMemberDef>,
}

/// A class that offers nothing yet.
pub(crate) fn define(name: &'static CStr, doc: &'static CStr, size: usize) -> Definition {
    Definition {
        name,
        doc,
        size,
        base: ptr::null_mut(),
        sealed: false,
        weakrefs: None,
        dict: None,
        slots: Vec::new(),
        methods: Vec::new(),
        properties: Vec::new(),
        members: Vec::new(),
    }
}

/// Creates the class. Its tables live as long as the process, as CPython expects.
///
/// # Safety
/// The GIL is held; slots and tables fit instances of `size` bytes. NULL with an exception
/// set on failure.
pub(crate) unsafe fn create(mut class: Definition) -> *mut ffi::PyTypeObject {
    if let Some(place) = class.weakrefs {
        class.members.push(offset(c"__weaklistoffset__", place));
    }
    if let Some(place) = class.dict {
        class.members.push(offset(c"__dictoffset__", place));
        class.properties.push(property(
            c"__dict__",
            ffi::PyObject_GenericGetDict,
            Some(ffi::PyObject_GenericSetDict),
            c"Attributes of the instance.",
        ));
    }
    class.methods.push(ffi::PyMethodDef::zeroed());
    class.properties.push(ffi::PyGetSetDef::default());
    class.members.push(ffi::PyMemberDef::default());
    class.slots.extend([
        slot(ffi::Py_tp_doc, class.doc.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_methods, leak(class.methods)),
        slot(ffi::Py_tp_getset, leak(class.properties)),
        slot(ffi::Py_tp_members, leak(class.members)),
        slot(0, ptr::null_mut()),
    ]);
    let access = if class.sealed {
        ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
    } else {
        ffi::Py_TPFLAGS_BASETYPE
    };
    let mut spec = ffi::PyType_Spec {
        name: class.name.as_ptr(),
        basicsize: class.size as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | access) as c_uint,
        slots: leak(class.slots).cast(),
    };
    // SAFETY: the spec and its tables are complete; the base is live.
    unsafe {
        if class.base.is_null() {
            return ffi::PyType_FromSpec(&raw mut spec).cast();
        }
        let bases = ffi::PyTuple_Pack(1, class.base.cast::<PyObject>());
        if bases.is_null() {
            return ptr::null_mut();
        }
        let made = ffi::PyType_FromSpecWithBases(&raw mut spec, bases);
        ffi::Py_DECREF(bases);
        made.cast()
    }
}

fn leak<T>(table: Vec<T>) -> *mut c_void {
    Vec::leak(table).as_mut_ptr().cast()
}

/// Gives the memory of an instance back.
///
/// # Safety
/// Last step of a `tp_dealloc` slot of a class made by [`create`].
pub(crate) unsafe fn free(op: *mut PyObject) {
    // SAFETY: by contract; instances of heap types own a reference to their type.
    unsafe {
        let kind = ffi::Py_TYPE(op);
        ffi::PyObject_GC_Del(op.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

pub(crate) fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

/// Signature of a function that gets its arguments as an array, and the names of the last ones.
pub(crate) type Fast = unsafe extern "C" fn(
    *mut PyObject,
    *const *mut PyObject,
    ffi::Py_ssize_t,
    *mut PyObject,
) -> *mut PyObject;

/// A method or module function of any arguments.
pub(crate) const fn fast(name: &'static CStr, call: Fast, doc: &'static CStr) -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: call,
    };
    method(name, call, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, doc)
}

/// One of no argument.
pub(crate) const fn noargs(
    name: &'static CStr,
    call: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer { PyCFunction: call };
    method(name, call, ffi::METH_NOARGS, doc)
}

/// One of a single argument without a name.
pub(crate) const fn onearg(
    name: &'static CStr,
    call: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer { PyCFunction: call };
    method(name, call, ffi::METH_O, doc)
}

/// `__class_getitem__` of a class that is generic for type checkers.
pub(crate) const fn generic() -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer {
        PyCFunction: ffi::Py_GenericAlias,
    };
    let flags = ffi::METH_O | ffi::METH_CLASS;
    method(c"__class_getitem__", call, flags, c"See PEP 585")
}

const fn method(
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

/// A writable attribute that is an object field of the instance.
pub(crate) fn object_member(
    name: &'static CStr,
    offset: usize,
    doc: &'static CStr,
) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_OBJECT_EX,
        offset: offset as ffi::Py_ssize_t,
        flags: 0,
        doc: doc.as_ptr(),
    }
}

fn offset(name: &'static CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    }
}
