//! What the classes of this layer share on CPython's C API: creation of a class, instances
//! with `__dict__` and weak references, arguments of fast calls.
//!
//! Not PyO3 classes: a green thread waits in the middle of a method, its call trampoline
//! costs as much as the rest of an uncontended acquire, and Timeout derives from BaseException.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use crate::greenlet::{self, class::slot};
use crate::hub::Parked;
use crate::reactor::now;
use crate::sched::{WaiterList, nanos_from_seconds};

/// Start of each instance: what upstream's classes, written in Python, offer to anybody.
#[repr(C)]
pub(super) struct Head {
    ob_base: PyObject,
    weakrefs: *mut PyObject,
    dict: *mut PyObject,
}

/// What a class is made of.
pub(super) struct Definition {
    pub(super) name: &'static CStr,
    pub(super) doc: &'static CStr,
    pub(super) size: usize,
    /// A class to derive from (borrowed), or NULL.
    pub(super) base: *mut ffi::PyTypeObject,
    /// Instances begin with a [`Head`].
    pub(super) headed: bool,
    pub(super) slots: Vec<ffi::PyType_Slot>,
    pub(super) methods: Vec<ffi::PyMethodDef>,
    pub(super) properties: Vec<ffi::PyGetSetDef>,
    pub(super) members: Vec<ffi::PyMemberDef>,
}

/// A class that offers nothing yet.
pub(super) fn define(name: &'static CStr, doc: &'static CStr, size: usize) -> Definition {
    Definition {
        name,
        doc,
        size,
        base: ptr::null_mut(),
        headed: true,
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
pub(super) unsafe fn create(mut class: Definition) -> *mut ffi::PyTypeObject {
    if class.headed {
        class.members.push(offset(
            c"__weaklistoffset__",
            std::mem::offset_of!(Head, weakrefs),
        ));
        class
            .members
            .push(offset(c"__dictoffset__", std::mem::offset_of!(Head, dict)));
        class.properties.push(ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::PyObject_GenericGetDict),
            set: Some(ffi::PyObject_GenericSetDict),
            doc: c"Attributes of the instance.".as_ptr(),
            closure: ptr::null_mut(),
        });
    }
    class.methods.push(ffi::PyMethodDef::zeroed());
    class.properties.push(ffi::PyGetSetDef {
        name: ptr::null(),
        get: None,
        set: None,
        doc: ptr::null(),
        closure: ptr::null_mut(),
    });
    class.members.push(ffi::PyMemberDef {
        name: ptr::null(),
        type_code: 0,
        offset: 0,
        flags: 0,
        doc: ptr::null(),
    });
    let tables = [
        slot(ffi::Py_tp_doc, class.doc.as_ptr().cast_mut().cast()),
        slot(
            ffi::Py_tp_methods,
            Vec::leak(class.methods).as_mut_ptr().cast(),
        ),
        slot(
            ffi::Py_tp_getset,
            Vec::leak(class.properties).as_mut_ptr().cast(),
        ),
        slot(
            ffi::Py_tp_members,
            Vec::leak(class.members).as_mut_ptr().cast(),
        ),
        slot(0, ptr::null_mut()),
    ];
    class.slots.extend(tables);
    let mut spec = ffi::PyType_Spec {
        name: class.name.as_ptr(),
        basicsize: class.size as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_HAVE_GC)
            as c_uint,
        slots: Vec::leak(class.slots).as_mut_ptr(),
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

fn offset(name: &'static CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    }
}

/// A writable attribute that is an object field of the instance.
pub(super) fn object_member(
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

/// Visits the type, the attributes and `owned` (which may hold NULLs) of an instance.
///
/// # Safety
/// Called from a `tp_traverse` slot of a class that begins with [`Head`].
pub(super) unsafe fn traverse(
    op: *mut PyObject,
    owned: &[*mut PyObject],
    waiters: &WaiterList<Parked>,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: by contract.
    unsafe {
        let common = [ffi::Py_TYPE(op).cast(), (*op.cast::<Head>()).dict];
        let parked = waiters.iter().map(|parked| parked.greenlet().cast());
        for object in common
            .into_iter()
            .chain(owned.iter().copied())
            .chain(parked)
        {
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

/// Clears the attributes of an instance.
///
/// # Safety
/// Called from a `tp_clear` slot of a class that begins with [`Head`].
pub(super) unsafe fn clear(op: *mut PyObject) {
    // SAFETY: by contract.
    unsafe { greenlet::replace(&raw mut (*op.cast::<Head>()).dict, ptr::null_mut()) }
}

/// First steps of a `tp_dealloc` slot.
///
/// # Safety
/// The last reference to `op`, whose class begins with [`Head`], is gone.
pub(super) unsafe fn dying(op: *mut PyObject) {
    // SAFETY: by contract.
    unsafe {
        ffi::PyObject_GC_UnTrack(op.cast());
        if !(*op.cast::<Head>()).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(op);
        }
    }
}

/// Sorts the arguments of a fast call into `N` places, absent ones NULL; None with TypeError set.
///
/// # Safety
/// Arguments as CPython passes them to a fast function with keywords.
#[inline]
pub(super) unsafe fn arguments<const N: usize>(
    function: &CStr,
    parameters: [&CStr; N],
    required: usize,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<[*mut PyObject; N]> {
    let mut found = [ptr::null_mut(); N];
    let given = count as usize;
    // SAFETY: by contract.
    unsafe {
        if given <= N && names.is_null() {
            for (place, i) in found.iter_mut().zip(0..given) {
                *place = *args.add(i);
            }
            if given >= required {
                return Some(found);
            }
        }
        sort(
            function,
            &parameters,
            required,
            args,
            given,
            names,
            &mut found,
        )
        .then_some(found)
    }
}

#[cold]
unsafe fn sort(
    function: &CStr,
    parameters: &[&CStr],
    required: usize,
    args: *const *mut PyObject,
    given: usize,
    names: *mut PyObject,
    found: &mut [*mut PyObject],
) -> bool {
    // SAFETY: contract of `arguments`; the formats match their arguments.
    unsafe {
        if given > found.len() {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"%s() takes at most %zd arguments (%zd given)".as_ptr(),
                function.as_ptr(),
                found.len(),
                given,
            );
            return false;
        }
        for (i, place) in found.iter_mut().enumerate().take(given) {
            *place = *args.add(i);
        }
        let named = if names.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(names)
        };
        for i in 0..named {
            let name = ffi::PyTuple_GET_ITEM(names, i);
            let index = parameters
                .iter()
                .position(|p| ffi::PyUnicode_CompareWithASCIIString(name, p.as_ptr()) == 0);
            let Some(index) = index else {
                ffi::PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"%s() got an unexpected keyword argument '%U'".as_ptr(),
                    function.as_ptr(),
                    name,
                );
                return false;
            };
            if !found[index].is_null() {
                ffi::PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"%s() got multiple values for argument '%U'".as_ptr(),
                    function.as_ptr(),
                    name,
                );
                return false;
            }
            found[index] = *args.add(given + i as usize);
        }
        if let Some(missing) = found[..required].iter().position(|place| place.is_null()) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"%s() missing required argument '%s'".as_ptr(),
                function.as_ptr(),
                parameters[missing].as_ptr(),
            );
            return false;
        }
    }
    true
}

/// A new reference to what was given, or to None.
///
/// # Safety
/// `object` is live or NULL; the GIL is held.
#[inline]
pub(super) unsafe fn or_none(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        ffi::Py_NewRef(if object.is_null() {
            ffi::Py_None()
        } else {
            object
        })
    }
}

/// NULL and None count as not given.
pub(super) fn given(object: *mut PyObject) -> bool {
    // SAFETY: only the address of None is taken.
    !object.is_null() && object != unsafe { ffi::Py_None() }
}

/// An argument's truth, or the default where it was not given; None with an exception set.
///
/// # Safety
/// `object` is live or NULL; the GIL is held. May run Python code.
#[inline]
pub(super) unsafe fn truth(object: *mut PyObject, default: bool) -> Option<bool> {
    // SAFETY: by contract.
    unsafe {
        if object.is_null() {
            return Some(default);
        }
        if object == ffi::Py_True() {
            return Some(true);
        }
        match ffi::PyObject_IsTrue(object) {
            -1 => None,
            truth => Some(truth != 0),
        }
    }
}

/// A number of seconds; None with an exception set.
///
/// # Safety
/// `object` is live; the GIL is held. May run Python code.
#[inline]
pub(super) unsafe fn seconds(object: *mut PyObject) -> Option<f64> {
    // SAFETY: by contract.
    unsafe {
        let seconds = ffi::PyFloat_AsDouble(object);
        if seconds < 0.0 && !ffi::PyErr_Occurred().is_null() {
            return None;
        }
        if seconds.is_nan() {
            ffi::PyErr_SetString(
                ffi::PyExc_ValueError,
                c"a number of seconds must not be NaN".as_ptr(),
            );
            return None;
        }
        Some(seconds)
    }
}

/// When a wait of `timeout` seconds (NULL or None: without end) is over, in nanoseconds of the
/// monotonic clock. The outer None: an exception is set.
///
/// # Safety
/// `timeout` is live or NULL; the GIL is held. May run Python code.
#[inline]
#[expect(
    clippy::option_option,
    reason = "an error and an absent deadline differ"
)]
pub(super) unsafe fn deadline(timeout: *mut PyObject) -> Option<Option<u64>> {
    if !given(timeout) {
        return Some(None);
    }
    // SAFETY: by contract.
    let seconds = unsafe { seconds(timeout)? };
    Some(Some(now().saturating_add(nanos_from_seconds(seconds))))
}

/// A deadline that is over.
pub(super) fn passed(deadline: Option<u64>) -> bool {
    deadline.is_some_and(|deadline| deadline <= now())
}

/// Borrowed objects as a new list; NULL with an exception set. They are asked for when the
/// list exists: to make it may run a collection, and that anything.
///
/// # Safety
/// The objects are live; the GIL is held.
pub(super) unsafe fn list_of<I: Iterator<Item = *mut PyObject>>(
    objects: impl FnOnce() -> I,
) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let list = ffi::PyList_New(0);
        if list.is_null() {
            return list;
        }
        for object in objects() {
            if ffi::PyList_Append(list, object) < 0 {
                ffi::Py_DECREF(list);
                return ptr::null_mut();
            }
        }
        list
    }
}

/// The greenlets of those who wait, as a new list; NULL with an exception set.
///
/// # Safety
/// `waiters` is part of a live object; the GIL is held.
pub(super) unsafe fn greenlets_of(waiters: *const WaiterList<Parked>) -> *mut PyObject {
    // SAFETY: by contract; nothing runs while the list is read.
    unsafe { list_of(|| (*waiters).iter().map(|parked| parked.greenlet().cast())) }
}

/// A new reference to True or False.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn boolean(value: bool) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { ffi::PyBool_FromLong(value.into()) }
}

/// A new reference to None.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn none() -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { ffi::Py_NewRef(ffi::Py_None()) }
}

/// The bare name of an object's class: `tp_name` holds the module of one made in C.
///
/// # Safety
/// `op` is live; the pointer is good as long as its class is.
pub(super) unsafe fn name(op: *mut PyObject) -> *const std::ffi::c_char {
    // SAFETY: `tp_name` is a C string that lives as long as the type.
    unsafe {
        let name = (*ffi::Py_TYPE(op)).tp_name;
        let bytes = CStr::from_ptr(name).to_bytes();
        name.add(
            bytes
                .iter()
                .rposition(|byte| *byte == b'.')
                .map_or(0, |dot| dot + 1),
        )
    }
}
