//! Messages straight from a socket and to it: no objects but the message itself.

use std::ffi::c_int;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::{WebSocketReader, write_frame};
use crate::frames::opcode;
use crate::hub::fair;
use crate::hub::io::set_os_error;
use crate::hub::socket::{Patience, note_read, persist};
use crate::reactor::{Direction, now};
use crate::sched::nanos_from_seconds;

/// What is received or sent at once; more goes in several steps.
const SIZE: usize = 64 * 1024;

/// Where bytes are on their way between kernel and message. One for all connections: it is
/// used with the GIL held, and neither across a switch nor while Python code may run.
static mut TRANSIT: [u8; SIZE] = [0; SIZE];

fn transit() -> *mut u8 {
    (&raw mut TRANSIT).cast()
}

fn patience(timeout: Option<f64>) -> Patience {
    let until = |seconds| now().saturating_add(nanos_from_seconds(seconds));
    Patience::until(timeout.map(until))
}

/// The descriptor of an open socket.
fn open(fileno: &Bound<'_, PyAny>) -> PyResult<c_int> {
    let fd: c_int = fileno.call0()?.extract()?;
    if fd < 0 {
        return Err(PyOSError::new_err((libc::EBADF, "the socket is closed")));
    }
    Ok(fd)
}

/// The next event, received if need be; None at the end of the stream. See the method.
///
/// # Switches
/// If nothing has arrived.
pub(super) fn receive<'py>(
    slf: &Bound<'py, WebSocketReader>,
    fileno: &Bound<'py, PyAny>,
    timeout: Option<f64>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = slf.py();
    // SAFETY: the GIL is held; nothing is borrowed.
    if !unsafe { fair::pay() } {
        return Err(PyErr::fetch(py));
    }
    loop {
        if let Some(event) = slf.borrow_mut().next(py)? {
            return Ok(Some(event));
        }
        let fd = open(fileno)?;
        // Nothing of the reader is borrowed while others run.
        let mut patience = patience(timeout);
        // SAFETY: the GIL is held; the buffer has that much room.
        let got = unsafe {
            persist(fd, Direction::Read, &mut patience, || {
                let got = libc::recv(fd, transit().cast(), SIZE, 0);
                if got < 0 && *libc::__errno_location() == libc::ECONNRESET {
                    // A peer that is gone has nothing more to say.
                    return 0;
                }
                got
            })
        };
        let mut reader = slf.borrow_mut();
        if got < 0 {
            return Err(PyErr::fetch(py));
        }
        if got == 0 {
            return Ok(None);
        }
        // SAFETY: so many bytes were received; nothing else has run since, nor does it before
        // `read_slice` has taken what it leaves.
        unsafe {
            note_read(fd, 0, got, SIZE);
            let data = std::slice::from_raw_parts(transit(), got as usize);
            if let Some(event) = reader.read_slice(py, data)? {
                return Ok(Some(event));
            }
        }
    }
}

/// Send str or bytes as one frame over a socket. Switch point if the socket is full, and now
/// and then.
///
/// Args:
///     fileno: Returns the socket's descriptor.
///     timeout: Seconds that each wait may last, or None.
///     message: What to send.
///     key: The mask, or None.
///
/// Returns:
///     False if nothing was done: the message is too long for this way, or of another type.
#[pyfunction]
#[pyo3(signature = (fileno, timeout, message, key, /))]
pub(super) fn websocket_send(
    fileno: &Bound<'_, PyAny>,
    timeout: Option<f64>,
    message: &Bound<'_, PyAny>,
    key: Option<&[u8]>,
) -> PyResult<bool> {
    let py = fileno.py();
    let (opcode, content) = if let Ok(text) = message.cast_exact::<PyString>() {
        (opcode::TEXT, text.to_str()?.as_bytes())
    } else if let Ok(data) = message.cast_exact::<PyBytes>() {
        (opcode::BINARY, data.as_bytes())
    } else {
        return Ok(false);
    };
    if content.len() > SIZE - crate::frames::header::MAX_LENGTH {
        return Ok(false);
    }
    // SAFETY: the GIL is held; the number is found out afterwards.
    if !unsafe { fair::pay() } {
        return Err(PyErr::fetch(py));
    }
    let fd = open(fileno)?;
    // SAFETY: the GIL is held, and the frame is in the buffer until the first system call has
    // been made; what that leaves is kept elsewhere.
    let rest = unsafe {
        let out = std::slice::from_raw_parts_mut(transit(), SIZE);
        let size = write_frame(out, opcode, content, key)?;
        let sent = libc::send(fd, transit().cast(), size, 0);
        if sent == size as isize {
            return Ok(true);
        }
        let errno = *libc::__errno_location();
        if sent < 0 && ![libc::EAGAIN, libc::EWOULDBLOCK, libc::EINTR].contains(&errno) {
            set_os_error(errno);
            return Err(PyErr::fetch(py));
        }
        out[sent.max(0) as usize..size].to_vec()
    };
    let mut patience = patience(timeout);
    let mut done = 0;
    while done < rest.len() {
        let left = &rest[done..];
        // SAFETY: the GIL is held; the rest is ours.
        let sent = unsafe {
            persist(fd, Direction::Write, &mut patience, || {
                libc::send(fd, left.as_ptr().cast(), left.len(), 0)
            })
        };
        if sent < 0 {
            return Err(PyErr::fetch(py));
        }
        done += sent as usize;
    }
    Ok(true)
}
