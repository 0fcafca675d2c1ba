//! Calls that block an OS thread, made on threads of tokio's so that green threads go on.
//!
//! Here run name resolution ([`dns`]), reads of files that are not in memory ([`file`]), and
//! waits for children that no poller serves ([`children`]); [`buffered`] is what does not block of
//! pipes. Python code does not: it is called by threads of `eventlet.tpool`, which keep their thread state; [`calls`] leads there and back.
//!
//! Invariants:
//! - O1: a job runs without the interpreter: plain data in, plain data out. So a thread that is
//!   stuck in one holds up neither the interpreter's end nor anybody's GIL.
//! - O2: the outcome lies in the job; the inbox of the waiter's hub carries the wake-up alone.
//!   Threads of tokio's never enter a green thread, and never wait for the GIL to wake one.
//! - O3: who waits may leave at any time. A job that nobody waits for any more is not begun;
//!   one that has been begun ends by itself, and its outcome is dropped.
//! - O4: a forked child has no threads of its parent. It makes a pool of its own, and its
//!   green threads that were waiting give their job to that.
//!
//! The one place where a thread of tokio's takes the GIL is the [`awaitable`] form, which has
//! to call the event loop; it passes a gate that the interpreter's end closes.

mod awaitable;
mod buffered;
mod calls;
mod children;
mod dns;
mod file;
mod fork;
mod job;
mod pool;

use std::io;

use pyo3::prelude::*;
use pyo3::wrap_pyfunction;

use crate::hub::io::set_os_error;

pub(crate) use pool::after_fork_in_child;

/// The OSError for an error of the system's, with its number: PyO3's conversion leaves it out.
fn os_error(py: Python<'_>, error: &io::Error) -> PyErr {
    // SAFETY: the GIL is held, as the token shows.
    unsafe { set_os_error(error.raw_os_error().unwrap_or(libc::EIO)) };
    PyErr::fetch(py)
}

/// Adds the functions of this layer to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<calls::CallQueue>()?;
    let (reader, writer) = buffered::classes(module.py())?;
    module.add("BufferedReader", reader)?;
    module.add("BufferedWriter", writer)?;
    module.add_function(wrap_pyfunction!(dns::getaddrinfo, module)?)?;
    module.add_function(wrap_pyfunction!(dns::gethostbyname, module)?)?;
    module.add_function(wrap_pyfunction!(dns::gethostbyname_ex, module)?)?;
    module.add_function(wrap_pyfunction!(dns::gethostbyaddr, module)?)?;
    module.add_function(wrap_pyfunction!(dns::getnameinfo, module)?)?;
    module.add_function(wrap_pyfunction!(dns::await_getaddrinfo, module)?)?;
    module.add_function(wrap_pyfunction!(dns::await_getnameinfo, module)?)?;
    module.add_function(wrap_pyfunction!(fork::_before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(fork::_after_fork_in_parent, module)?)?;
    module.add_function(wrap_pyfunction!(file::read_now, module)?)?;
    module.add_function(wrap_pyfunction!(children::await_child, module)?)?;
    module.add_function(wrap_pyfunction!(awaitable::_close_offload, module)?)
}
