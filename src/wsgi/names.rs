//! Header names as Python strings: the name as it came and its key in `environ`.
//!
//! The same few names come with every request, so both strings are made once and kept.
//! What clients invent must not fill the memory: beyond a limit nothing new is kept.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::environ::latin1;
use crate::http::head::is_ambiguous;

const KEPT: usize = 1024;
const LONGEST: usize = 64;

/// A header name that was met.
pub(super) struct Name {
    pub(super) raw: Py<PyString>,
    /// None: it does not appear in `environ`.
    pub(super) key: Option<Py<PyString>>,
    /// Its values are never joined.
    pub(super) single: bool,
    /// What stands between two values of it.
    pub(super) joint: &'static str,
}

impl Name {
    fn new(py: Python<'_>, name: &[u8]) -> PyResult<Self> {
        let raw = latin1(py, name)?;
        let (prefix, single) = if name.eq_ignore_ascii_case(b"content-type")
            || name.eq_ignore_ascii_case(b"content-length")
        {
            ("", true)
        } else {
            ("HTTP_", false)
        };
        let key = if is_ambiguous(name) {
            None
        } else {
            let mut key = prefix.as_bytes().to_vec();
            key.extend(name.iter().map(|byte| match byte {
                b'-' => b'_',
                other => other.to_ascii_uppercase(),
            }));
            let key = String::from_utf8_lossy(&key);
            Some(PyString::intern(py, &key).unbind())
        };
        Ok(Self {
            raw: raw.unbind(),
            key,
            single,
            joint: joint(name),
        })
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            raw: self.raw.clone_ref(py),
            key: self.key.as_ref().map(|key| key.clone_ref(py)),
            single: self.single,
            joint: self.joint,
        }
    }
}

/// What joins the values of several fields of one name: RFC 9110, 5.3; cookies may hold commas
/// (RFC 6265, 4.2.1).
fn joint(name: &[u8]) -> &'static str {
    if name.eq_ignore_ascii_case(b"cookie") {
        "; "
    } else {
        ","
    }
}

/// Looks a name up, and keeps it if it is new.
pub(super) fn look_up(py: Python<'_>, name: &str) -> PyResult<Name> {
    static NAMES: OnceLock<Mutex<HashMap<Box<str>, Name>>> = OnceLock::new();
    let names = NAMES.get_or_init(Mutex::default);
    // No Python code runs while the lock is held: references are only counted.
    let known = names.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(name) {
        return Ok(found.clone_ref(py));
    }
    let room = known.len() < KEPT && name.len() <= LONGEST;
    drop(known);
    let new = Name::new(py, name.as_bytes())?;
    if room {
        let copy = new.clone_ref(py);
        let mut known = names.lock().unwrap_or_else(PoisonError::into_inner);
        let former = known.insert(name.into(), copy);
        drop(known);
        drop(former);
    }
    Ok(new)
}
