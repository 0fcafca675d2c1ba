//! What a connection sends: request heads and bodies, from one buffer.

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::environ::{describe, put_headers, put_request};
use super::parse::{refuse, room};
use super::pool;
use crate::http::head::{Limits, Scanner, parse, with_known_version};
use crate::hub::fair;
use crate::hub::socket::{Patience, note_read, persist};
use crate::reactor::{Direction, now};
use crate::sched::nanos_from_seconds;

/// Room made for one `recv` at least.
const LEAST: usize = 4 * 1024;
/// A body is read in steps that double up to this: a size that a client merely announces
/// must not cost memory.
const STEP: usize = 1024 * 1024;

/// The receiving side of an HTTP connection. Not for several green threads at once.
#[pyclass(frozen, module = "eventlet_asyncio._core")]
pub(crate) struct HttpReader {
    /// Returns the descriptor, -1 once the socket is closed: the number may belong to another
    /// file by then.
    fileno: Py<PyAny>,
    limits: Limits,
    strict: bool,
    /// Never locked while Python code runs or across a switch.
    received: Mutex<Received>,
}

/// Bytes that were received and not used yet: `data[start..]`.
#[derive(Default)]
struct Received {
    data: Vec<u8>,
    start: usize,
    /// Some green thread has taken them, and will put them back.
    taken: bool,
    /// Of those that are taken: how many are of a head that has not ended.
    partial: usize,
    /// Seconds: for each wait within a request.
    timeout: Option<f64>,
}

/// The bytes while they are in use; puts them back, whatever happens.
struct Taken<'r> {
    reader: &'r HttpReader,
    fd: c_int,
    data: Vec<u8>,
    start: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        if self.start == data.len() {
            self.start = 0;
            pool::give(std::mem::take(&mut data));
        }
        let mut received = self.reader.lock();
        received.data = data;
        received.start = self.start;
        received.taken = false;
        received.partial = 0;
    }
}

impl Taken<'_> {
    fn bytes(&self) -> &[u8] {
        &self.data[self.start..]
    }

    /// Receives more; 0 at the end of the stream.
    ///
    /// # Switches
    /// If nothing is there.
    fn receive(&mut self, py: Python<'_>, deadline: Option<u64>) -> PyResult<usize> {
        let fd = self.fd;
        let (data, start) = (&mut self.data, &mut self.start);
        let mut room = 0;
        // SAFETY: the GIL is held. The call writes into spare capacity, of which it tells the
        // length; the buffer is ours and not touched across the wait.
        unsafe {
            let got = persist(fd, Direction::Read, &mut Patience::until(deadline), || {
                // Made here and not before the wait, in which it would lie idle.
                if data.capacity() == 0 {
                    *data = pool::take();
                } else if *start > 0 {
                    data.drain(..std::mem::take(start));
                }
                if data.capacity() - data.len() < LEAST {
                    data.reserve(pool::SIZE);
                }
                room = data.capacity() - data.len();
                let got = receive(fd, data.spare_capacity_mut().as_mut_ptr().cast(), room);
                if got <= 0 && data.is_empty() {
                    let errno = *libc::__errno_location();
                    pool::give(std::mem::take(data));
                    *libc::__errno_location() = errno;
                }
                got
            });
            if got < 0 {
                return Err(PyErr::fetch(py));
            }
            data.set_len(data.len() + got as usize);
            note_read(fd, 0, got, room);
            Ok(got as usize)
        }
    }
}

/// One `recv`. A peer that is gone has nothing more to say.
///
/// # Safety
/// There is room for `room` bytes at `start`.
unsafe fn receive(fd: c_int, start: *mut libc::c_void, room: usize) -> isize {
    // SAFETY: by contract; errno is this OS thread's.
    unsafe {
        let got = libc::recv(fd, start, room, 0);
        if got < 0 && *libc::__errno_location() == libc::ECONNRESET {
            return 0;
        }
        got
    }
}

/// What a head says, put into a copy of `base`. On its own, since its frame is large and must
/// not lie under a wait, on each of many stacks.
#[inline(never)]
fn translate<'py>(
    base: &Bound<'py, PyDict>,
    head: &[u8],
    strict: bool,
) -> PyResult<(Bound<'py, PyDict>, u32, i64)> {
    let environ = base.copy()?;
    let head = with_known_version(head);
    let mut fields = room();
    let head = parse(&head, &mut fields, strict).map_err(refuse)?;
    put_request(&environ, &head)?;
    put_headers(&environ, &head)?;
    let (flags, size) = describe(&head.facts, head.method.as_bytes(), head.minor);
    Ok((environ, flags, size))
}

fn deadline(seconds: Option<f64>) -> Option<u64> {
    seconds.map(|seconds| now().saturating_add(nanos_from_seconds(seconds)))
}

impl HttpReader {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`take`](Self::take) for an operation, which is paid for also where what it needs has
    /// been received already.
    ///
    /// # Switches
    /// If the turn's allowance is used up.
    fn begin(&self, py: Python<'_>) -> PyResult<(Taken<'_>, Option<f64>)> {
        // SAFETY: the GIL is held; nothing is locked.
        if unsafe { fair::pay() } {
            self.take(py)
        } else {
            Err(PyErr::fetch(py))
        }
    }

    fn take(&self, py: Python<'_>) -> PyResult<(Taken<'_>, Option<f64>)> {
        let fd = self.fileno.call0(py)?.extract(py)?;
        let mut received = self.lock();
        if received.taken {
            return Err(PyRuntimeError::new_err(
                "another green thread is reading from this connection: read a request's body \
                 in one green thread, or one after the other",
            ));
        }
        received.taken = true;
        let taken = Taken {
            reader: self,
            fd,
            data: std::mem::take(&mut received.data),
            start: std::mem::take(&mut received.start),
        };
        Ok((taken, received.timeout))
    }
}

#[pymethods]
impl HttpReader {
    #[new]
    #[pyo3(signature = (fileno, request_line, header_line, total, strict, timeout))]
    fn new(
        fileno: Py<PyAny>,
        request_line: usize,
        header_line: usize,
        total: usize,
        strict: bool,
        timeout: Option<f64>,
    ) -> Self {
        let received = Received {
            timeout,
            ..Received::default()
        };
        Self {
            fileno,
            limits: Limits {
                request_line,
                header_line,
                total,
            },
            strict,
            received: Mutex::new(received),
        }
    }

    /// Read the next request head into a copy of `base`. Switch point.
    ///
    /// Args:
    ///     base: What `environ` says of the server and the connection.
    ///     idle: Seconds to wait for its first byte.
    ///     whole: Seconds from there to the end of the head.
    ///
    /// Returns:
    ///     `environ`, flags, and the length of the body (-1 if it is not told); None at the
    ///     end of the connection.
    ///
    /// Raises:
    ///     `HttpRefusal`: If it is malformed or too large.
    ///     `TimeoutError`: If the client is too slow.
    #[pyo3(signature = (base, idle, whole, /))]
    fn read_request<'py>(
        &self,
        base: &Bound<'py, PyDict>,
        idle: Option<f64>,
        whole: Option<f64>,
    ) -> PyResult<Option<(Bound<'py, PyDict>, u32, i64)>> {
        let py = base.py();
        let (mut taken, timeout) = self.begin(py)?;
        let mut scanner = Scanner::default();
        let mut last = None;
        let length = loop {
            let bytes = taken.bytes();
            let until = if bytes.is_empty() {
                deadline(idle)
            } else {
                if let Some(length) = scanner.advance(bytes, &self.limits).map_err(refuse)? {
                    break length;
                }
                self.lock().partial = bytes.len();
                let step = deadline(timeout);
                if whole.is_some() && last.is_none() {
                    last = deadline(whole);
                }
                [step, last].into_iter().flatten().min()
            };
            if taken.receive(py, until)? == 0 {
                return Ok(None);
            }
        };
        let request = translate(base, &taken.bytes()[..length], self.strict)?;
        taken.start += length;
        Ok(Some(request))
    }

    /// Read `size` bytes, fewer only at the end of the stream. Switch point.
    #[pyo3(signature = (size, /))]
    fn read<'py>(&self, py: Python<'py>, size: isize) -> PyResult<Bound<'py, PyBytes>> {
        let Ok(size) = usize::try_from(size) else {
            return Err(PyValueError::new_err(
                "the number of bytes to read from a connection must be known",
            ));
        };
        let (mut taken, timeout) = self.begin(py)?;
        let have = taken.bytes().len();
        if have >= size {
            let bytes = PyBytes::new(py, &taken.bytes()[..size]);
            taken.start += size;
            return Ok(bytes);
        }
        let mut body = Vec::with_capacity(size.min(have + STEP));
        body.extend_from_slice(taken.bytes());
        taken.start = taken.data.len();
        let fd = taken.fd;
        while body.len() < size {
            if body.len() == body.capacity() {
                body.reserve((size - body.len()).min(body.len().max(STEP)));
            }
            let mut patience = Patience::until(deadline(timeout));
            let room = (body.capacity() - body.len()).min(size - body.len());
            // SAFETY: the GIL is held; the vector is ours, and has that much spare capacity.
            let got = unsafe {
                let start = body.spare_capacity_mut().as_mut_ptr().cast();
                let got = persist(fd, Direction::Read, &mut patience, || {
                    receive(fd, start, room)
                });
                if got < 0 {
                    return Err(PyErr::fetch(py));
                }
                body.set_len(body.len() + got as usize);
                note_read(fd, 0, got, room);
                got
            };
            if got == 0 {
                break;
            }
        }
        Ok(PyBytes::new(py, &body))
    }

    /// Read what is there, at least one byte and `size` at most; b"" at the end. Switch point.
    #[pyo3(signature = (size, /))]
    fn read1<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let (mut taken, timeout) = self.begin(py)?;
        if taken.bytes().is_empty() && size > 0 {
            taken.receive(py, deadline(timeout))?;
        }
        let length = taken.bytes().len().min(size);
        let bytes = PyBytes::new(py, &taken.bytes()[..length]);
        taken.start += length;
        Ok(bytes)
    }

    /// Read up to and including a line feed, `size` bytes at most. Switch point.
    #[pyo3(signature = (size, /))]
    fn readline<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let (mut taken, timeout) = self.begin(py)?;
        let mut seen = 0;
        let length = loop {
            let bytes = taken.bytes();
            let look = &bytes[..bytes.len().min(size)];
            if let Some(found) = memchr::memchr(b'\n', &look[seen..]) {
                break seen + found + 1;
            }
            seen = look.len();
            if seen == size || taken.receive(py, deadline(timeout))? == 0 {
                break seen;
            }
        };
        let bytes = PyBytes::new(py, &taken.bytes()[..length]);
        taken.start += length;
        Ok(bytes)
    }

    /// Change how many seconds each wait within a request may last.
    #[pyo3(signature = (seconds, /))]
    fn settimeout(&self, seconds: Option<f64>) {
        self.lock().timeout = seconds;
    }

    /// Return the bytes that were received and not read yet, and forget them.
    fn detach(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        let (mut taken, _) = self.take(py)?;
        let bytes = PyBytes::new(py, taken.bytes()).unbind();
        taken.start = taken.data.len();
        Ok(bytes)
    }

    /// The number of bytes received and not read yet; those of a head that is being read count.
    #[getter]
    fn pending(&self) -> usize {
        let received = self.lock();
        received.data.len() - received.start + received.partial
    }
}
