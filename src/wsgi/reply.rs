//! Responses: heads, and the short way for those whose body is one bytes object.

use std::ffi::c_int;
use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use super::{flag, pool};
use crate::http::date;
use crate::http::reply::{Fault, Framing, Reply, Terms};
use crate::hub::socket::{Patience, persist};
use crate::reactor::{Direction, now};
use crate::sched::nanos_from_seconds;

fn fault(fault: Fault) -> PyErr {
    PyValueError::new_err(fault.message())
}

fn terms(flags: u32) -> Terms {
    let is = |bit| flags & bit != 0;
    Terms {
        minor: u8::from(is(flag::NEW) && !is(flag::OLD_SERVER)),
        old_server: is(flag::OLD_SERVER),
        head: is(flag::HEAD),
        close: is(flag::CLOSE),
        keep_alive: is(flag::KEEP_ALIVE),
        capitalize: is(flag::CAPITALIZE),
        tunnel: is(flag::TUNNEL),
    }
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A status, header name or value; its bytes are latin-1, as WSGI has it.
enum Text<'py> {
    Bytes(Bound<'py, PyBytes>),
    Ascii(Bound<'py, PyString>),
}

impl<'py> Text<'py> {
    fn new(object: Bound<'py, PyAny>) -> PyResult<Self> {
        let text = match object.cast_into::<PyString>() {
            Ok(text) => text,
            Err(error) => {
                let object = error.into_inner();
                if let Ok(bytes) = object.cast::<PyBytes>() {
                    return Ok(Self::Bytes(bytes.clone()));
                }
                object.str()?
            }
        };
        // Lone surrogates have no UTF-8, and no place in latin-1 either: that error is told.
        if text.to_str().is_ok_and(str::is_ascii) {
            return Ok(Self::Ascii(text));
        }
        // SAFETY: the result is owned, and bytes.
        unsafe {
            let encoded = ffi::PyUnicode_AsLatin1String(text.as_ptr());
            let encoded = Bound::from_owned_ptr_or_err(text.py(), encoded)?;
            Ok(Self::Bytes(encoded.cast_into_unchecked()))
        }
    }

    fn as_bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
            // Of an ASCII string this is the string's own memory.
            Self::Ascii(text) => Ok(text.to_str()?.as_bytes()),
        }
    }
}

/// Writes a head.
fn build(
    out: &mut Vec<u8>,
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    flags: u32,
    known: Option<u64>,
    patience: Option<u64>,
) -> PyResult<(Framing, bool)> {
    let status = Text::new(status.clone())?;
    let mut reply = Reply::new(out, terms(flags), status.as_bytes()?).map_err(fault)?;
    for pair in headers.try_iter()? {
        let pair = pair?;
        let (name, value) = match pair.cast::<PyTuple>() {
            Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
            _ => pair.extract().map_err(|_| {
                PyTypeError::new_err("response headers must be a list of (name, value) tuples")
            })?,
        };
        let (name, value) = (Text::new(name)?, Text::new(value)?);
        reply
            .field(name.as_bytes()?, value.as_bytes()?)
            .map_err(fault)?;
    }
    Ok(reply.finish(known, seconds(), patience))
}

/// What Python is told of a framing: a length, or one of these.
const fn code(framing: Framing) -> i64 {
    match framing {
        Framing::Length(length) => length as i64,
        Framing::Chunked => -1,
        Framing::None => -2,
        Framing::Close => -3,
    }
}

/// Make the head of a response.
///
/// Args:
///     status: As `200 OK`.
///     headers: Pairs of name and value.
///     flags: Of the request, and what else is asked.
///     known: Size of the body, if that is known and `headers` may not tell it.
///     patience: Seconds that an idle connection is kept, to tell the client.
///
/// Returns:
///     The head, the framing of the body (a length, -1 for chunks, -2 for no body, -3 for
///     the end of the connection), and whether the connection ends then.
#[pyfunction]
#[pyo3(signature = (status, headers, flags, known, patience, /))]
pub(super) fn http_head<'py>(
    py: Python<'py>,
    status: &Bound<'py, PyAny>,
    headers: &Bound<'py, PyAny>,
    flags: u32,
    known: Option<u64>,
    patience: Option<u64>,
) -> PyResult<(Bound<'py, PyBytes>, i64, bool)> {
    let mut out = pool::take();
    let made = build(&mut out, status, headers, flags, known, patience);
    let head = PyBytes::new(py, &out);
    pool::give(out);
    let (framing, close) = made?;
    Ok((head, code(framing), close))
}

/// Send a whole response: its head, and its body in one piece. Switch point.
///
/// Args:
///     fd: The connection's descriptor.
///     timeout: Seconds that sending may take, or None.
///
/// Returns:
///     How many bytes were sent, and whether the connection ends now.
#[pyfunction]
#[pyo3(signature = (fd, timeout, status, headers, flags, patience, body, /))]
#[expect(
    clippy::too_many_arguments,
    reason = "an object to hold them would be made for each request"
)]
pub(super) fn http_reply(
    py: Python<'_>,
    fd: c_int,
    timeout: Option<f64>,
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    flags: u32,
    patience: Option<u64>,
    body: &Bound<'_, PyBytes>,
) -> PyResult<(usize, bool)> {
    let mut out = pool::take();
    let content = body.as_bytes();
    let known = Some(content.len() as u64);
    let result = build(&mut out, status, headers, flags, known, patience).and_then(
        |(framing, mut close)| {
            let content = match framing {
                Framing::None => &content[..0],
                Framing::Length(length) => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    close |= length > content.len();
                    &content[..length.min(content.len())]
                }
                Framing::Chunked | Framing::Close => content,
            };
            send(py, fd, timeout, &out, content)?;
            Ok((out.len() + content.len(), close))
        },
    );
    pool::give(out);
    result
}

/// Sends two pieces as one.
///
/// # Switches
/// Whenever the socket is full.
fn send(py: Python<'_>, fd: c_int, timeout: Option<f64>, head: &[u8], body: &[u8]) -> PyResult<()> {
    let total = head.len() + body.len();
    let mut done = 0;
    let mut until = None;
    while done < total {
        let first = &head[done.min(head.len())..];
        let second = &body[done.saturating_sub(head.len())..];
        let piece = |bytes: &[u8]| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let mut pieces = [piece(first), piece(second)];
        if timeout.is_some() && until.is_none() {
            until = timeout.map(|seconds| now().saturating_add(nanos_from_seconds(seconds)));
        }
        // SAFETY: the GIL is held; both pieces live, unchanged, until the call returns: the
        // caller holds the buffer and the bytes object.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = pieces.as_mut_ptr();
            message.msg_iovlen = 2;
            persist(fd, Direction::Write, &mut Patience::until(until), || {
                libc::sendmsg(fd, &raw const message, libc::MSG_NOSIGNAL)
            })
        };
        if sent < 0 {
            return Err(PyErr::fetch(py));
        }
        done += sent as usize;
    }
    Ok(())
}

/// Return the time in seconds since 1970 as HTTP writes it.
#[pyfunction]
#[pyo3(signature = (seconds, /))]
pub(super) fn http_date(py: Python<'_>, seconds: u64) -> Bound<'_, PyString> {
    let text = date::format(seconds);
    PyString::new(py, std::str::from_utf8(&text).unwrap_or_default())
}
