//! What `eventlet.wsgi` does for every request: from bytes to `environ`, and from a status and
//! headers to bytes.
//!
//! `http` understands, this layer translates and waits. Protocol decisions that an
//! application can override stay in Python; where nobody overrides them, a request costs one
//! call of [`reader::HttpReader::read_request`] and one of [`reply::http_reply`].

mod backlog;
mod environ;
mod names;
mod parse;
mod pool;
mod reader;
mod reply;

use pyo3::prelude::*;

/// Bits that describe a request, and what is asked of its response. Python knows them under
/// these names, with `HTTP_` in front.
pub(crate) mod flag {
    /// The minor version is 1.
    pub(crate) const NEW: u32 = 1;
    pub(crate) const HEAD: u32 = 2;
    /// The connection must not be used again.
    pub(crate) const CLOSE: u32 = 4;
    /// The client asked for it to be.
    pub(crate) const KEEP_ALIVE: u32 = 8;
    pub(crate) const EXPECTS: u32 = 16;
    pub(crate) const CHUNKED: u32 = 32;
    /// Header names are capitalized.
    pub(crate) const CAPITALIZE: u32 = 64;
    /// The server itself speaks HTTP/1.0.
    pub(crate) const OLD_SERVER: u32 = 128;
    /// The method is CONNECT.
    pub(crate) const TUNNEL: u32 = 256;
}

/// Adds the classes and functions of this layer to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, value) in [
        ("HTTP_NEW", flag::NEW),
        ("HTTP_HEAD", flag::HEAD),
        ("HTTP_CLOSE", flag::CLOSE),
        ("HTTP_KEEP_ALIVE", flag::KEEP_ALIVE),
        ("HTTP_EXPECTS", flag::EXPECTS),
        ("HTTP_CHUNKED", flag::CHUNKED),
        ("HTTP_CAPITALIZE", flag::CAPITALIZE),
        ("HTTP_OLD_SERVER", flag::OLD_SERVER),
        ("HTTP_TUNNEL", flag::TUNNEL),
    ] {
        module.add(name, value)?;
    }
    module.add("HttpRefusal", module.py().get_type::<parse::HttpRefusal>())?;
    module.add_class::<reader::HttpReader>()?;
    module.add_function(wrap_pyfunction!(backlog::end_listening, module)?)?;
    module.add_function(wrap_pyfunction!(parse::http_parse, module)?)?;
    module.add_function(wrap_pyfunction!(parse::http_framing, module)?)?;
    module.add_function(wrap_pyfunction!(parse::http_chunk_size, module)?)?;
    module.add_function(wrap_pyfunction!(parse::http_is_field, module)?)?;
    module.add_function(wrap_pyfunction!(reply::http_head, module)?)?;
    module.add_function(wrap_pyfunction!(reply::http_reply, module)?)?;
    module.add_function(wrap_pyfunction!(reply::http_date, module)?)
}
