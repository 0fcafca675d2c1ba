//! Reads of descriptors that may be files on a slow disk.
//!
//! The system is asked for what is there at once (`RWF_NOWAIT`): one system call for pipes,
//! sockets and files in memory alike. Only what is still on the disk takes a thread, which
//! brings it into memory and nothing else: position and data stay with the green thread, so a
//! read that is interrupted has not happened.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;

use super::job::{self, Work};
use super::os_error;
use super::pool::Lane;

/// From here on copying takes longer than giving the GIL away and taking it again.
const LARGE: usize = 64 << 10;
/// Read at a time by the thread that brings a file into memory.
const PIECE: usize = 256 << 10;

// What PyO3 leaves out.
unsafe extern "C" {
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

enum Attempt {
    Read(usize),
    /// Nothing is there yet.
    Blocks,
    /// The system does not tell for this kind of descriptor.
    Unable,
}

/// Read up to `n` bytes from `fd` without blocking this OS thread.
///
/// Return None if the descriptor has to become ready first, and `NotImplemented` if it is of a
/// kind that cannot be asked. Switch point if it is a file whose data are not in memory.
#[pyfunction]
#[pyo3(signature = (fd, n, /))]
pub(super) fn read_now(py: Python<'_>, fd: c_int, n: usize) -> PyResult<Py<PyAny>> {
    let size = ffi::Py_ssize_t::try_from(n)?;
    // SAFETY: the object is ours alone until it is returned or released.
    unsafe {
        let mut bytes = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
        if bytes.is_null() {
            return Err(PyErr::fetch(py));
        }
        let start = ffi::PyBytes_AsString(bytes).cast();
        match fill(py, fd, start, n) {
            Ok(Attempt::Read(count)) => {
                if count < n && _PyBytes_Resize(&raw mut bytes, count as isize) < 0 {
                    return Err(PyErr::fetch(py));
                }
                Ok(Bound::from_owned_ptr(py, bytes).unbind())
            }
            other => {
                ffi::Py_DECREF(bytes);
                Ok(match other? {
                    Attempt::Unable => py.NotImplemented(),
                    _ => py.None(),
                })
            }
        }
    }
}

/// Reads into memory of `n` bytes. A file gives all it has, as `read` promises.
///
/// # Safety
/// The memory is writable, and nobody else uses it.
///
/// # Switches
/// If the data are on the disk.
unsafe fn fill(py: Python<'_>, fd: c_int, start: *mut u8, n: usize) -> PyResult<Attempt> {
    let mut done = 0;
    let mut fetched = false;
    loop {
        // SAFETY: by contract; `done` is less than `n`.
        let attempt = unsafe { attempt(py, fd, start.add(done), n - done, fetched) };
        match attempt {
            Ok(Attempt::Read(0)) => break,
            Ok(Attempt::Read(count)) => {
                done += count;
                if done == n || !is_regular(fd) {
                    break;
                }
            }
            Ok(Attempt::Blocks) if is_regular(fd) => {
                if let Err(error) = fetch(py, fd, n - done) {
                    // SAFETY: a plain system call; the position was advanced by `done`.
                    unsafe { libc::lseek(fd, -(done as libc::off_t), libc::SEEK_CUR) };
                    return Err(error);
                }
                fetched = true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => py.check_signals()?,
            other if done == 0 => return other.map_err(|error| os_error(py, &error)),
            _ => break,
        }
    }
    Ok(Attempt::Read(done))
}

/// One read, of what is in memory, or at last of what is not.
///
/// # Safety
/// As for [`fill`].
unsafe fn attempt(
    py: Python<'_>,
    fd: c_int,
    start: *mut u8,
    n: usize,
    may_block: bool,
) -> io::Result<Attempt> {
    let address = start as usize;
    let read = move || {
        let piece = libc::iovec {
            iov_base: address as *mut c_void,
            iov_len: n,
        };
        let flags = if may_block { 0 } else { libc::RWF_NOWAIT };
        // SAFETY: by contract; -1 is for the file's own position.
        let count = unsafe { libc::preadv2(fd, &raw const piece, 1, -1, flags) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    };
    let result = if n < LARGE && !may_block {
        read()
    } else {
        py.detach(read)
    };
    match result {
        Ok(count) => Ok(Attempt::Read(count)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(Attempt::Blocks),
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) if !may_block => {
                Ok(Attempt::Unable)
            }
            _ => Err(error),
        },
    }
}

fn is_regular(fd: c_int) -> bool {
    let mut status = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: zeros are a valid stat, which the system may fill.
    let status = unsafe {
        if libc::fstat(fd, status.as_mut_ptr()) < 0 {
            return false;
        }
        status.assume_init()
    };
    status.st_mode & libc::S_IFMT == libc::S_IFREG
}

/// Has the next `n` bytes of a file brought into memory. That it fails is for the read to tell.
///
/// # Switches
/// Always.
fn fetch(py: Python<'_>, fd: c_int, n: usize) -> PyResult<()> {
    // SAFETY: plain system calls; the copy is ours, so that the number may be closed and used
    // again during the wait.
    let (position, copy) = unsafe {
        let position = libc::lseek(fd, 0, libc::SEEK_CUR);
        let copy = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0);
        if copy < 0 {
            return Ok(());
        }
        (position.max(0) as u64, File::from_raw_fd(copy))
    };
    let work: Work<()> = Arc::new(move || bring_in(&copy, position, n));
    // SAFETY: no exception is set.
    unsafe { job::wait(py, Lane::Reads, &work) }
}

fn bring_in(file: &File, mut position: u64, mut n: usize) {
    let mut piece = vec![0; n.min(PIECE)];
    while n > 0 {
        let room = n.min(PIECE);
        match file.read_at(&mut piece[..room], position) {
            Ok(0) => return,
            Ok(count) => {
                position += count as u64;
                n -= count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
