//! Arguments of functions and constructors on CPython's C API, and the simplest results.

use std::ffi::{CStr, c_char};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::Inbound;
use crate::error::raise_new;

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

/// Refuses arguments of a constructor: false with `TypeError` set if there are any.
///
/// # Safety
/// Arguments as CPython passes them to `tp_init`; `format` asks for nothing.
pub(crate) unsafe fn no_argument(
    args: *mut PyObject,
    kwargs: *mut PyObject,
    format: &CStr,
) -> bool {
    let names = [ptr::null::<c_char>()];
    // SAFETY: by contract.
    unsafe {
        ffi::PyArg_ParseTupleAndKeywords(
            args,
            kwargs,
            format.as_ptr(),
            names.as_ptr().cast_mut().cast(),
        ) != 0
    }
}

/// Sorts the arguments of a fast call into `N` places, absent ones NULL; None with TypeError set.
///
/// # Safety
/// Arguments as CPython passes them to a fast function with keywords.
#[inline]
pub(crate) unsafe fn arguments<const N: usize>(
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
        for i in 0..named(names) {
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

/// How many arguments of a fast call were given by name.
///
/// # Safety
/// `names` as CPython passes it to a fast function.
#[inline]
pub(crate) unsafe fn named(names: *mut PyObject) -> ffi::Py_ssize_t {
    if names.is_null() {
        return 0;
    }
    // SAFETY: by contract, a tuple.
    unsafe { ffi::PyTuple_GET_SIZE(names) }
}

/// Three arguments of a fast call that has at most three, absent ones NULL.
///
/// # Safety
/// `args` holds `count` objects.
pub(crate) unsafe fn up_to_three(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
) -> [*mut PyObject; 3] {
    [0, 1, 2].map(|i| {
        if i < count {
            // SAFETY: by contract.
            unsafe { *args.offset(i) }
        } else {
            ptr::null_mut()
        }
    })
}

/// Builds the tuple and dict for a call from fast-call arguments; None with an exception.
///
/// # Safety
/// Arguments as CPython passes them to a fast method with keywords.
pub(crate) unsafe fn collect(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<Inbound> {
    // SAFETY: by contract.
    unsafe {
        let tuple = ffi::PyTuple_New(count);
        if tuple.is_null() {
            return None;
        }
        for i in 0..count {
            ffi::PyTuple_SET_ITEM(tuple, i, ffi::Py_NewRef(*args.offset(i)));
        }
        let mut dict = ptr::null_mut();
        let named = named(names);
        if named > 0 {
            dict = ffi::PyDict_New();
            for i in 0..named {
                if dict.is_null()
                    || ffi::PyDict_SetItem(
                        dict,
                        ffi::PyTuple_GET_ITEM(names, i),
                        *args.offset(count + i),
                    ) < 0
                {
                    ffi::Py_DECREF(tuple);
                    ffi::Py_XDECREF(dict);
                    return None;
                }
            }
        }
        Some(Inbound::Call(tuple, dict))
    }
}

/// A new reference to what was given, or to None.
///
/// # Safety
/// `object` is live or NULL; the GIL is held.
#[inline]
pub(crate) unsafe fn or_none(object: *mut PyObject) -> *mut PyObject {
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
pub(crate) fn given(object: *mut PyObject) -> bool {
    // SAFETY: only the address of None is taken.
    !object.is_null() && object != unsafe { ffi::Py_None() }
}

/// An argument's truth, or the default where it was not given; None with an exception set.
///
/// # Safety
/// `object` is live or NULL; the GIL is held. May run Python code.
#[inline]
pub(crate) unsafe fn truth(object: *mut PyObject, default: bool) -> Option<bool> {
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
#[expect(clippy::cast_precision_loss, reason = "2^53 seconds are long enough")]
pub(crate) unsafe fn seconds(object: *mut PyObject) -> Option<f64> {
    // SAFETY: by contract.
    unsafe {
        if ffi::PyLong_CheckExact(object) != 0 {
            // Mostly the 0 of sleep(0): without a detour over a float object.
            let mut overflow = 0;
            let number = ffi::PyLong_AsLongAndOverflow(object, &raw mut overflow);
            if overflow == 0 {
                return Some(number as f64);
            }
        }
        let seconds = ffi::PyFloat_AsDouble(object);
        if seconds < 0.0 && !ffi::PyErr_Occurred().is_null() {
            return None;
        }
        if seconds.is_nan() {
            raise_new(
                ffi::PyExc_ValueError,
                c"a number of seconds must not be NaN",
            );
            return None;
        }
        Some(seconds)
    }
}

/// A new reference to True or False.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(crate) unsafe fn boolean(value: bool) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { ffi::PyBool_FromLong(value.into()) }
}

/// A new reference to None.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(crate) unsafe fn none() -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { ffi::Py_NewRef(ffi::Py_None()) }
}
