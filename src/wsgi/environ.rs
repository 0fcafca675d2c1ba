//! The part of `environ` that a request head tells.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{flag, names};
use crate::http::head::{Body, Head, split_target, unquote};

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
pub(super) fn describe(head: &Head<'_>) -> (u32, i64) {
    let mut flags = if head.minor > 0 { flag::NEW } else { 0 };
    for (set, bit) in [
        (head.method == "HEAD", flag::HEAD),
        (head.close || head.doubtful, flag::CLOSE),
        (head.keep_alive && !head.close, flag::KEEP_ALIVE),
        (head.expects, flag::EXPECTS),
        (head.body == Body::Chunked, flag::CHUNKED),
    ] {
        if set {
            flags |= bit;
        }
    }
    let length = match head.body {
        Body::Length(length) => i64::try_from(length).unwrap_or(i64::MAX),
        Body::None | Body::Chunked => -1,
    };
    (flags, length)
}

/// The target with its leading slashes made one: `//host/path` is the address of another
/// server where an application redirects to it.
pub(super) fn target<'a>(head: &Head<'a>) -> &'a str {
    let rest = head.target.trim_start_matches('/');
    let slashes = head.target.len() - rest.len();
    &head.target[slashes.saturating_sub(1)..]
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
    let (path, query) = split_target(target(head));
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
    let mut raw = Vec::with_capacity(head.fields.len());
    let (mut typed, mut sized) = (false, false);
    for field in head.fields {
        let name = names::look_up(py, field.name)?;
        let value = latin1(py, field.value)?;
        if let Some(key) = name.key {
            let key = key.bind(py);
            if name.single {
                // The first one counts; what the server's template says does not.
                let seen = if field.name.len() == 12 {
                    &mut typed
                } else {
                    &mut sized
                };
                if !std::mem::replace(seen, true) {
                    environ.set_item(key, &value)?;
                }
            } else if let Some(former) = environ.get_item(key)? {
                let joined = former.str()?.add(",")?.add(&value)?;
                environ.set_item(key, joined)?;
            } else {
                environ.set_item(key, &value)?;
            }
        }
        raw.push((name.raw, value));
    }
    environ.set_item(intern!(py, "headers_raw"), PyTuple::new(py, raw)?)
}
