//! Reading a head that somebody else has received.

use std::mem::MaybeUninit;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::environ::{describe, latin1};
use super::names;
use crate::http::chunk;
use crate::http::head::{
    Fields, Limits, MAX_FIELDS, Refusal, Scanner, interpret, parse, with_known_version,
};

pyo3::create_exception!(
    eventlet_asyncio._core,
    HttpRefusal,
    pyo3::exceptions::PyException,
    "A request that is not served: status code, reason phrase, and what is wrong."
);

/// The exception that stands for a refusal.
pub(super) fn refuse(refusal: Refusal) -> PyErr {
    let (code, reason) = refusal.status();
    HttpRefusal::new_err((code, reason, refusal.detail()))
}

/// Room for the headers of one head.
pub(super) const fn room<'a>() -> Fields<'a> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

type Parsed<'py> = (
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    u8,
    Bound<'py, PyList>,
);

/// Read a complete request head.
///
/// Return method, target, minor version and headers.
#[pyfunction]
#[pyo3(signature = (head, strict, /))]
pub(super) fn http_parse<'py>(py: Python<'py>, head: &[u8], strict: bool) -> PyResult<Parsed<'py>> {
    const NONE: Limits = Limits {
        request_line: usize::MAX,
        header_line: usize::MAX,
        total: usize::MAX,
    };
    // What was read line by line may still hold line ends of the wrong kind.
    let end = Scanner::default().advance(head, &NONE).map_err(refuse)?;
    if end != Some(head.len()) {
        return Err(refuse(Refusal::Malformed(
            "the head does not end with one empty line",
        )));
    }
    let head = with_known_version(head);
    let mut fields = room();
    let head = parse(&head, &mut fields, strict).map_err(refuse)?;
    let headers = PyList::empty(py);
    for (name, value) in head.fields() {
        let name = names::look_up(py, name)?.raw;
        headers.append((name, latin1(py, value)?))?;
    }
    Ok((
        latin1(py, head.method.as_bytes())?,
        latin1(py, head.target.as_bytes())?,
        head.minor,
        headers,
    ))
}

/// Say what a request's headers, however they were read, mean for its connection.
///
/// Args:
///     method: The request's method.
///     minor: Its minor version, 0 or 1.
///     headers: Pairs of name and value.
///     strict: As for `http_parse`.
///     trusted: Whether whoever has read them decides if a suspicious framing ends the
///         connection.
///
/// Returns:
///     Flags, and the length of the body (-1 if it is not told).
///
/// Raises:
///     `HttpRefusal`: If they can be understood in two ways.
#[pyfunction]
#[pyo3(signature = (method, minor, headers, strict, trusted, /))]
pub(super) fn http_framing(
    method: &str,
    minor: u8,
    headers: Vec<(String, String)>,
    strict: bool,
    trusted: bool,
) -> PyResult<(u32, i64)> {
    let fields = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.trim_ascii().as_bytes()));
    let mut facts = interpret(fields, minor, strict).map_err(refuse)?;
    facts.doubtful &= !trusted;
    Ok(describe(&facts, method.as_bytes(), minor))
}

/// Return the size that the line before a chunk tells; None if it is malformed.
#[pyfunction]
#[pyo3(signature = (line, /))]
pub(super) fn http_chunk_size(line: &[u8]) -> Option<u64> {
    chunk::size(line)
}

/// Say whether a line, with its CR LF, is a header field.
#[pyfunction]
#[pyo3(signature = (line, /))]
pub(super) fn http_is_field(line: &[u8]) -> bool {
    chunk::is_field(line)
}
