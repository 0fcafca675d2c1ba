//! The part of `environ` that a request head tells.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{flag, names};
use crate::http::head::{Body, Facts, Head};
use crate::http::target::{split_target, unquote};

/// A string of the characters with these numbers, as WSGI has it (PEP 3333).
pub(super) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the pointer and the length belong to `bytes`; the result is owned, and a string.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(
            bytes.as_ptr().cast(),
            bytes.len() as ffi::Py_ssize_t,
            std::ptr::null(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// Flags and length of the body, -1 if that is not known.
pub(super) fn describe(facts: &Facts, method: &[u8], minor: u8) -> (u32, i64) {
    let mut flags = if minor > 0 { flag::NEW } else { 0 };
    for (set, bit) in [
        (method == b"HEAD", flag::HEAD),
        // What follows CONNECT is no HTTP if the tunnel is made.
        (
            facts.close || facts.doubtful || method == b"CONNECT",
            flag::CLOSE,
        ),
        (facts.keep_alive && !facts.close, flag::KEEP_ALIVE),
        (facts.expects, flag::EXPECTS),
        (facts.body == Body::Chunked, flag::CHUNKED),
        (method == b"CONNECT", flag::TUNNEL),
    ] {
        if set {
            flags |= bit;
        }
    }
    let length = match facts.body {
        Body::Length(length) => i64::try_from(length).unwrap_or(i64::MAX),
        Body::None | Body::Chunked => -1,
    };
    (flags, length)
}

/// Puts what the head says into `environ`, except for the headers.
pub(super) fn put_request(environ: &Bound<'_, PyDict>, head: &Head<'_>) -> PyResult<()> {
    let py = environ.py();
    let method = match head.method {
        "GET" => intern!(py, "GET").clone(),
        "HEAD" => intern!(py, "HEAD").clone(),
        "POST" => intern!(py, "POST").clone(),
        "PUT" => intern!(py, "PUT").clone(),
        other => latin1(py, other.as_bytes())?,
    };
    environ.set_item(intern!(py, "REQUEST_METHOD"), method)?;
    let (path, query) = split_target(&head.target);
    let raw = latin1(py, path.as_bytes())?;
    let plain = match unquote(path.as_bytes()) {
        Some(bytes) => latin1(py, &bytes)?,
        None => raw.clone(),
    };
    environ.set_item(intern!(py, "RAW_PATH_INFO"), raw)?;
    environ.set_item(intern!(py, "PATH_INFO"), plain)?;
    if let Some(query) = query {
        environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, query.as_bytes())?)?;
    }
    let version = if head.minor > 0 {
        intern!(py, "HTTP/1.1")
    } else {
        intern!(py, "HTTP/1.0")
    };
    environ.set_item(intern!(py, "SERVER_PROTOCOL"), version)
}

/// Puts the headers into `environ`: each under its key, and all as they came.
pub(super) fn put_headers(environ: &Bound<'_, PyDict>, head: &Head<'_>) -> PyResult<()> {
    let py = environ.py();
    let mut raw = Vec::with_capacity(head.len());
    let (mut typed, mut sized) = (false, false);
    for (field, value) in head.fields() {
        let name = names::look_up(py, field)?;
        let value = latin1(py, value)?;
        if let Some(key) = name.key {
            let key = key.bind(py);
            if name.single {
                // The first one counts; what the server's template says does not.
                let seen = if field.len() == 12 {
                    &mut typed
                } else {
                    &mut sized
                };
                if !std::mem::replace(seen, true) {
                    environ.set_item(key, &value)?;
                }
            } else if let Some(former) = environ.get_item(key)? {
                let joined = former.str()?.add(name.joint)?.add(&value)?;
                environ.set_item(key, joined)?;
            } else {
                environ.set_item(key, &value)?;
            }
        }
        raw.push((name.raw, value));
    }
    environ.set_item(intern!(py, "headers_raw"), PyTuple::new(py, raw)?)
}
