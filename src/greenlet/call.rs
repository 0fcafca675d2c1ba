//! Calls of application code, which an OS thread may not come back from.
//!
//! Once the interpreter shuts down, CPython before 3.14 ends a daemon thread where it next
//! asks for the GIL: with `pthread_exit()`, which unwinds the stack. A stack of ours begins
//! with Rust frames, through which a foreign unwinding may not go: the process would abort at
//! its end. So the call that the unwinding meets first stops the OS thread for good, as CPython
//! itself does from 3.14 on.

#![expect(clippy::mem_forget, reason = "the guard acts while unwinding only")]

use std::time::Duration;

use pyo3::ffi::{PyObject, PySendResult};

unsafe extern "C-unwind" {
    fn PyObject_Call(
        callable: *mut PyObject,
        args: *mut PyObject,
        kwargs: *mut PyObject,
    ) -> *mut PyObject;
    fn PyObject_CallNoArgs(callable: *mut PyObject) -> *mut PyObject;
    fn PyObject_CallFunctionObjArgs(callable: *mut PyObject, ...) -> *mut PyObject;
    fn PyObject_CallMethodObjArgs(object: *mut PyObject, name: *mut PyObject, ...)
    -> *mut PyObject;
    fn PyIter_Send(
        iterator: *mut PyObject,
        value: *mut PyObject,
        result: *mut *mut PyObject,
    ) -> PySendResult;
}

/// Stops the OS thread that unwinds through it.
struct Stop;

impl Drop for Stop {
    #[cold]
    fn drop(&mut self) {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}

/// `callable(*args, **kwargs)`.
///
/// # Safety
/// The GIL is held, no exception is set; `args` is a tuple, `kwargs` a dict or NULL, all
/// borrowed. Owned, or NULL with an exception set.
#[inline]
pub(crate) unsafe fn call(
    callable: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> *mut PyObject {
    let guard = Stop;
    // SAFETY: by contract.
    let result = unsafe { PyObject_Call(callable, args, kwargs) };
    std::mem::forget(guard);
    result
}

/// `callable()`.
///
/// # Safety
/// As for [`call`].
#[inline]
pub(crate) unsafe fn call_no_args(callable: *mut PyObject) -> *mut PyObject {
    let guard = Stop;
    // SAFETY: by contract.
    let result = unsafe { PyObject_CallNoArgs(callable) };
    std::mem::forget(guard);
    result
}

/// `callable(arg)`.
///
/// # Safety
/// As for [`call`]; `arg` is borrowed.
#[inline]
pub(crate) unsafe fn call_one_arg(callable: *mut PyObject, arg: *mut PyObject) -> *mut PyObject {
    let guard = Stop;
    // SAFETY: by contract; NULL ends the arguments.
    let result =
        unsafe { PyObject_CallFunctionObjArgs(callable, arg, std::ptr::null_mut::<PyObject>()) };
    std::mem::forget(guard);
    result
}

/// `object.name(arg)`, or `object.name()` if `arg` is NULL.
///
/// # Safety
/// As for [`call`]; `name` is a string, all are borrowed.
#[inline]
pub(crate) unsafe fn call_method(
    object: *mut PyObject,
    name: *mut PyObject,
    arg: *mut PyObject,
) -> *mut PyObject {
    let guard = Stop;
    // SAFETY: by contract; NULL ends the arguments.
    let result =
        unsafe { PyObject_CallMethodObjArgs(object, name, arg, std::ptr::null_mut::<PyObject>()) };
    std::mem::forget(guard);
    result
}

/// One step of a generator or coroutine: what it yields, returns or raises.
///
/// # Safety
/// As for [`call`]; `iterator` and `value` are borrowed, `result` is valid for a write.
#[inline]
pub(crate) unsafe fn send(
    iterator: *mut PyObject,
    value: *mut PyObject,
    result: *mut *mut PyObject,
) -> PySendResult {
    let guard = Stop;
    // SAFETY: by contract.
    let how = unsafe { PyIter_Send(iterator, value, result) };
    std::mem::forget(guard);
    how
}
