//! uvloop's loops in a forked child: a loop of libuv that goes on without the parent's files.
//!
//! `uv_loop_fork` gives the loop a poller of its own, in which it watches all that it watched
//! before. But its connections and listeners are the parent's: what the child reads or accepts,
//! the parent never sees. So they are told to stop, and as there is no way to tell that to a
//! listener, or to data that has not been sent yet, the child's copies of their sockets are
//! replaced by one that nothing arrives at. Standard streams stay what they are.
//!
//! As for guests (`libuv`), only functions of libuv's stable interface are used.

use std::ffi::{CString, c_int, c_uint, c_void};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use super::libuv::{checked, finder, loop_of};

/// Kinds of `uv_handle_type`, the same in all of libuv 1.x.
const NAMED_PIPE: c_uint = 7;
const POLL: c_uint = 8;
const TCP: c_uint = 12;
const TTY: c_uint = 14;
const UDP: c_uint = 15;

type Ask = unsafe extern "C" fn(*mut c_void) -> c_int;
type Number = unsafe extern "C" fn(*mut c_void, *mut c_int) -> c_int;
type Visit = unsafe extern "C" fn(*mut c_void, *mut c_void);
type Walk = unsafe extern "C" fn(*mut c_void, Visit, *mut c_void);

/// What is done with each handle.
struct Quiet {
    number: Number,
    read_stop: Ask,
    receive_stop: Ask,
    poll_stop: Ask,
    /// A connection whose other end is kept, and silent.
    void: UnixStream,
}

/// Have a loop of uvloop, which runs the calling code, go on in a forked child.
///
/// Args:
///     capsule: What `uvloop.loop.libuv_get_loop_t_ptr()` returns for the loop.
///     library: The path of uvloop's extension module.
///
/// Raises:
///     OSError: If libuv's functions are not to be found there, or there are no descriptors.
#[pyfunction]
pub(crate) fn _uv_renew(capsule: &Bound<'_, PyAny>, library: &str) -> PyResult<()> {
    let library = CString::new(library)?;
    let find = finder(&library).map_err(PyOSError::new_err)?;
    macro_rules! function {
        ($name:literal as $kind:ty) => {{
            let found = find($name).map_err(PyOSError::new_err)?;
            // SAFETY: libuv's documentation gives the function this signature.
            unsafe { std::mem::transmute::<*mut c_void, $kind>(found) }
        }};
    }
    let fork = function!(c"uv_loop_fork" as Ask);
    let walk = function!(c"uv_walk" as Walk);
    let (void, silent) = UnixStream::pair()?;
    let mut quiet = Quiet {
        number: function!(c"uv_fileno" as Number),
        read_stop: function!(c"uv_read_stop" as Ask),
        receive_stop: function!(c"uv_udp_recv_stop" as Ask),
        poll_stop: function!(c"uv_poll_stop" as Ask),
        void,
    };
    // As long as the process: what is sent into the void is no error.
    silent.set_nonblocking(true)?;
    let _ = silent.into_raw_fd();
    let uv = loop_of(capsule)?;
    // SAFETY: the loop is open. It forgets the parent's poller first, which handles that stop
    // would be taken out of otherwise; `visit` closes no handle and keeps nothing.
    unsafe {
        checked(fork(uv))?;
        walk(uv, visit, (&raw mut quiet).cast());
    }
    Ok(())
}

/// Has a handle of the parent's do nothing in the child.
unsafe extern "C" fn visit(handle: *mut c_void, quiet: *mut c_void) {
    // SAFETY: called by `uv_walk` with an open handle of the loop, and what `_uv_renew` gave.
    unsafe {
        let quiet: &Quiet = &*quiet.cast();
        match kind_of(handle) {
            POLL => {
                (quiet.poll_stop)(handle);
                // The number is the application's.
                return;
            }
            NAMED_PIPE | TCP | TTY => (quiet.read_stop)(handle),
            UDP => (quiet.receive_stop)(handle),
            _ => return,
        };
        let mut fd = -1;
        if (quiet.number)(handle, &raw mut fd) == 0 && fd > libc::STDERR_FILENO {
            // Fails only for want of memory: then the parent's is shared.
            let _ = replace(fd, &quiet.void);
        }
    }
}

/// Puts a copy of a socket behind a number.
fn replace(fd: c_int, by: &UnixStream) -> io::Result<()> {
    // SAFETY: both are open.
    if unsafe { libc::dup3(by.as_raw_fd(), fd, libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `data`, `loop` and `type` are the first members of `uv_handle_t` in libuv's public header.
/// (Its accessor functions are newer, and uvloop's build leaves them out.)
unsafe fn kind_of(handle: *mut c_void) -> c_uint {
    // SAFETY: contract of `visit`.
    unsafe { handle.cast::<*mut c_void>().add(2).cast::<c_uint>().read() }
}
