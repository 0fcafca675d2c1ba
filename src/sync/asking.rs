//! What `acquire()` and `release()` of semaphores and locks are given.

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class;
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, given, seconds, truth};

/// What the platform's own locks take for a timeout at most: `threading.TIMEOUT_MAX`, in seconds.
pub(super) const TIMEOUT_MAX: f64 = 9_223_372_036.0;

/// Whether `acquire()` is to wait, and until when. None with an exception set; a timeout is
/// refused above `longest` seconds.
///
/// # Safety
/// Arguments as CPython passes them to a fast method; the GIL is held. May run Python code.
#[inline]
pub(super) unsafe fn asked(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
    longest: f64,
) -> Option<(bool, Option<u64>)> {
    // SAFETY: by contract.
    unsafe {
        let parameters = [c"blocking", c"timeout"];
        let [blocking, timeout] = arguments(c"acquire", parameters, 0, args, count, names)?;
        let blocking = truth(blocking, true)?;
        let deadline = if given(timeout) {
            deadline(blocking, timeout, longest)?
        } else {
            None
        };
        Some((blocking, deadline))
    }
}

/// The deadline of a timeout as `threading.Lock.acquire` takes it: -1 stands for none.
#[cold]
#[expect(
    clippy::option_option,
    reason = "an error and an absent deadline differ"
)]
unsafe fn deadline(blocking: bool, timeout: *mut PyObject, longest: f64) -> Option<Option<u64>> {
    // SAFETY: contract of `asked`.
    unsafe {
        let seconds = seconds(timeout)?;
        #[expect(clippy::float_cmp, reason = "only -1 itself stands for no timeout")]
        if seconds == -1.0 {
            return Some(None);
        }
        let (kind, wrong) = if !blocking {
            (
                ffi::PyExc_ValueError,
                c"a timeout makes no sense with blocking=False: leave one of them out",
            )
        } else if seconds < 0.0 {
            (
                ffi::PyExc_ValueError,
                c"a timeout must not be negative, except for -1: no timeout",
            )
        } else if seconds > longest {
            (
                ffi::PyExc_OverflowError,
                c"timeout value is too large: the most is threading.TIMEOUT_MAX",
            )
        } else {
            return Some(Some(class::after(seconds)));
        };
        raise_new(kind, wrong);
        None
    }
}

/// Whether `release()` is called as it may be; otherwise `TypeError` is set.
///
/// # Safety
/// Arguments as CPython passes them to a fast method; the GIL is held.
pub(super) unsafe fn asks_release(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> bool {
    // SAFETY: by contract.
    unsafe { arguments(c"release", [c"blocking"], 0, args, count, names).is_some() }
}
