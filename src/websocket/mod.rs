//! The Python face of `frames`: what a connection reads with, and what makes its frames.
//!
//! One call for each message, whatever it consists of: the objects that Python would make on
//! the way to a message cost more than the message.

mod socket;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::frames::header::{self, Header};
use crate::frames::{Event, Fault, Limits, Reader, Role, mask, opcode};

/// The events of one direction of a WebSocket connection, as bytes arrive.
///
/// `feed` what was received, then call `next` until it returns None; `read` is both. Text and binary messages
/// are str and bytes. Anything else is a tuple (kind, content, number):
///
/// - (1 or 2, payload, frames): a compressed text or binary message, as it came;
/// - (8, 9 or 10, payload, 0): a close, ping or pong frame;
/// - (0, reason, code): the peer broke the protocol, and nothing more can be read.
#[pyclass(module = "eventlet_asyncio._core")]
pub(crate) struct WebSocketReader {
    reader: Reader,
    /// What has been received, and how much of it is read.
    pending: Option<Py<PyBytes>>,
    done: usize,
    failed: bool,
}

#[pymethods]
impl WebSocketReader {
    #[new]
    #[pyo3(signature = (client, max_frame_length, max_message_length))]
    fn new(client: bool, max_frame_length: u64, max_message_length: u64) -> Self {
        let role = if client { Role::Client } else { Role::Server };
        let limits = Limits {
            frame: max_frame_length,
            message: max_message_length,
        };
        Self {
            reader: Reader::new(role, limits),
            pending: None,
            done: 0,
            failed: false,
        }
    }

    /// Whether messages may be compressed.
    #[getter]
    fn get_compression(&self) -> bool {
        self.reader.compression
    }

    #[setter]
    fn set_compression(&mut self, compression: bool) {
        self.reader.compression = compression;
    }

    /// The longest frame that is let in.
    #[getter]
    fn get_max_frame_length(&self) -> u64 {
        self.reader.limits.frame
    }

    #[setter]
    fn set_max_frame_length(&mut self, length: u64) {
        self.reader.limits.frame = length;
    }

    /// The longest message of several frames that is let in.
    #[getter]
    fn get_max_message_length(&self) -> u64 {
        self.reader.limits.message
    }

    #[setter]
    fn set_max_message_length(&mut self, length: u64) {
        self.reader.limits.message = length;
    }

    /// How many bytes the frame that has begun still needs; 0 between frames.
    fn missing(&self) -> u64 {
        self.reader.missing()
    }

    /// Return the next event, received from a socket if need be. Switch point.
    ///
    /// Args:
    ///     fileno: Returns the socket's descriptor.
    ///     timeout: Seconds to wait, or None.
    ///
    /// Returns:
    ///     None at the end of the stream.
    #[pyo3(signature = (fileno, timeout, /))]
    fn receive<'py>(
        slf: &Bound<'py, Self>,
        fileno: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        socket::receive(slf, fileno, timeout)
    }

    /// Take bytes that have been received, and return the next event, or None.
    fn read<'py>(&mut self, data: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.feed(data)?;
        self.next(data.py())
    }

    /// Take bytes that have been received.
    fn feed(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        let Ok(data) = data.cast::<PyBytes>() else {
            return Err(PyTypeError::new_err(format!(
                "feed() takes bytes, not {}: convert with bytes(data)",
                data.get_type().name()?
            )));
        };
        let joined = match &self.pending {
            Some(pending) => {
                let rest = &pending.as_bytes(py)[self.done..];
                PyBytes::new(py, &[rest, data.as_bytes()].concat())
            }
            None => data.clone(),
        };
        self.pending = Some(joined.unbind());
        self.done = 0;
        Ok(())
    }

    /// Return the next event of what has been fed, or None.
    fn next<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(pending) = self.pending.take() else {
            return Ok(None);
        };
        let mut rest = &pending.as_bytes(py)[self.done..];
        if self.failed {
            return Ok(None);
        }
        let result = self.reader.next(&mut rest);
        if !rest.is_empty() {
            self.done = pending.as_bytes(py).len() - rest.len();
            self.pending = Some(pending);
        }
        match result {
            Ok(event) => event.map(|event| translate(py, event)).transpose(),
            Err(fault) => {
                self.failed = true;
                failure(py, fault).map(Some)
            }
        }
    }
}

impl WebSocketReader {
    /// [`next`](Self::next) of bytes that are gone afterwards; nothing else may be left to read.
    /// They are not looked at any more when Python code can run.
    fn read_slice<'py>(
        &mut self,
        py: Python<'py>,
        data: &[u8],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.failed {
            return Ok(None);
        }
        let mut rest = data;
        let result = self.reader.next(&mut rest);
        if !rest.is_empty() {
            self.pending = Some(PyBytes::new(py, rest).unbind());
            self.done = 0;
        }
        match result {
            Ok(event) => event.map(|event| translate(py, event)).transpose(),
            Err(fault) => {
                self.failed = true;
                failure(py, fault).map(Some)
            }
        }
    }
}

/// An event as Python is told it.
fn translate<'py>(py: Python<'py>, event: Event<'_>) -> PyResult<Bound<'py, PyAny>> {
    let (kind, payload, number) = match event {
        Event::Text(text) => return Ok(PyString::from_bytes(py, text)?.into_any()),
        Event::Binary(data) => return Ok(PyBytes::new(py, data).into_any()),
        Event::Compressed {
            text: true,
            frames,
            payload,
        } => (opcode::TEXT, payload, frames),
        Event::Compressed {
            frames, payload, ..
        } => (opcode::BINARY, payload, frames),
        Event::Ping(payload) => (opcode::PING, payload, 0),
        Event::Pong(payload) => (opcode::PONG, payload, 0),
        Event::Close(payload) => (opcode::CLOSE, payload, 0),
    };
    let event: Bound<'py, PyTuple> = (kind, PyBytes::new(py, payload), number).into_pyobject(py)?;
    Ok(event.into_any())
}

fn failure(py: Python<'_>, fault: Fault) -> PyResult<Bound<'_, PyAny>> {
    let event = (0, fault.to_string(), fault.code()).into_pyobject(py)?;
    Ok(event.into_any())
}

/// Return a frame with `payload`, a str or bytes; masked if there is a key of four bytes.
#[pyfunction]
#[pyo3(signature = (opcode, payload, fin=true, compressed=false, key=None))]
fn websocket_frame<'py>(
    py: Python<'py>,
    opcode: u8,
    payload: &Bound<'py, PyAny>,
    fin: bool,
    compressed: bool,
    key: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let content = if let Ok(text) = payload.cast::<PyString>() {
        text.to_str()?.as_bytes()
    } else if let Ok(data) = payload.cast::<PyBytes>() {
        data.as_bytes()
    } else {
        return Err(PyTypeError::new_err(format!(
            "a message is str or bytes, not {}: convert it first",
            payload.get_type().name()?
        )));
    };
    if opcode > 15 {
        return Err(PyValueError::new_err(format!(
            "an opcode is a number from 0 to 15, not {opcode}"
        )));
    }
    let key = mask_of(key)?;
    let (head, size) = header::write(&Header {
        fin,
        reserved: if compressed { 4 } else { 0 },
        opcode,
        key,
        length: content.len() as u64,
    });
    PyBytes::new_with(py, size + content.len(), |out| {
        let (start, body) = out.split_at_mut(size);
        start.copy_from_slice(&head[..size]);
        body.copy_from_slice(content);
        if let Some(key) = key {
            mask::apply(body, key, 0);
        }
        Ok(())
    })
}

/// Writes the frame of a whole message to the start of `out`, which has room for it; returns
/// its size.
fn write_frame(out: &mut [u8], opcode: u8, content: &[u8], key: Option<&[u8]>) -> PyResult<usize> {
    let key = mask_of(key)?;
    let (head, size) = header::write(&Header {
        fin: true,
        reserved: 0,
        opcode,
        key,
        length: content.len() as u64,
    });
    let end = size + content.len();
    out[..size].copy_from_slice(&head[..size]);
    out[size..end].copy_from_slice(content);
    if let Some(key) = key {
        mask::apply(&mut out[size..end], key, 0);
    }
    Ok(end)
}

fn mask_of(key: Option<&[u8]>) -> PyResult<Option<[u8; 4]>> {
    let Some(key) = key else {
        return Ok(None);
    };
    let error = |_| PyValueError::new_err(format!("a mask has 4 bytes, not {}", key.len()));
    <[u8; 4]>::try_from(key).map(Some).map_err(error)
}

/// Adds this layer to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WebSocketReader>()?;
    module.add_function(wrap_pyfunction!(websocket_frame, module)?)?;
    module.add_function(wrap_pyfunction!(socket::websocket_send, module)?)
}
