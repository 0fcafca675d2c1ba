//! Waits for child processes that no descriptor stands for: any child, or a group of them.
//!
//! A thread waits without reaping, so nothing is lost if the green thread has gone meanwhile.
//! The thread then stays until some child ends; there is a limit to how many may.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::prelude::*;

use super::job::{self, Work};
use super::pool::{Lane, pool};

/// Wait until `os.waitpid(pid, options)` has something to tell. Switch point.
///
/// Return False if no thread is free for that.
#[pyfunction]
#[pyo3(signature = (pid, options, /))]
pub(super) fn await_child(py: Python<'_>, pid: c_int, options: c_int) -> PyResult<bool> {
    let pool = pool(py)?;
    // SAFETY: pools live as long as the process; the GIL is held.
    if unsafe { !(*pool).has_room(Lane::Children) } {
        return Ok(false);
    }
    let (kind, id) = match pid {
        -1 => (libc::P_ALL, 0),
        // SAFETY: a plain system call that cannot fail.
        0 => (libc::P_PGID, unsafe { libc::getpgrp() }),
        1.. => (libc::P_PID, pid),
        group => (libc::P_PGID, group.saturating_neg()),
    };
    let flags = libc::WEXITED | libc::WNOWAIT | options & (libc::WSTOPPED | libc::WCONTINUED);
    let work: Work<()> = Arc::new(move || wait(kind, id as libc::id_t, flags));
    // SAFETY: no exception is set.
    unsafe { job::wait(py, Lane::Children, &work) }?;
    Ok(true)
}

/// What goes wrong, as having no child, is for `waitpid` to tell.
fn wait(kind: libc::idtype_t, id: libc::id_t, flags: c_int) {
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the system may fill the local.
        let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags) };
        let error = std::io::Error::last_os_error();
        if result == 0 || error.raw_os_error() != Some(libc::EINTR) {
            return;
        }
    }
}
