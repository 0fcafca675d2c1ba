//! Reading a head that somebody else has received.

use std::mem::MaybeUninit;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::environ::{describe, latin1, target};
use super::names;
use crate::http::head::{Fields, Limits, MAX_FIELDS, Refusal, Scanner, parse};

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
    u32,
    i64,
);

/// Read a complete request head.
///
/// Return method, target, minor version, headers, flags, and the length of the body (-1 if
/// it is not told).
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
    let mut fields = room();
    let head = parse(head, &mut fields, strict).map_err(refuse)?;
    let headers = PyList::empty(py);
    for field in head.fields {
        let name = names::look_up(py, field.name)?.raw;
        headers.append((name, latin1(py, field.value)?))?;
    }
    let (flags, length) = describe(&head);
    Ok((
        latin1(py, head.method.as_bytes())?,
        latin1(py, target(&head).as_bytes())?,
        head.minor,
        headers,
        flags,
        length,
    ))
}
