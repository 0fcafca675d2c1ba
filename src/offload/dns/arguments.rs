//! Python arguments to names and numbers for the resolver, by the rules of `socketmodule.c`.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyInt, PyString, PyTuple};

use super::system::{self, Address, Entry, Hints};
use crate::offload::job::Work;

// What PyO3 leaves out.
unsafe extern "C" {
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// What `getaddrinfo` is asked.
#[derive(Clone)]
pub(super) struct Query {
    host: Option<CString>,
    service: Option<CString>,
    /// The port is a number, or there is none.
    in_digits: bool,
    hints: Hints,
}

impl Query {
    pub(super) fn new(
        host: &Bound<'_, PyAny>,
        port: &Bound<'_, PyAny>,
        family: i32,
        kind: i32,
        protocol: i32,
        flags: i32,
    ) -> PyResult<Self> {
        let name = if host.is_none() {
            None
        } else if let Ok(text) = host.cast::<PyString>() {
            Some(until_nul(idna(text)?.as_bytes()))
        } else if let Ok(bytes) = host.cast::<PyBytes>() {
            Some(until_nul(bytes.as_bytes()))
        } else {
            return Err(PyTypeError::new_err(
                "getaddrinfo() argument 1 must be string or None",
            ));
        };
        let service = service(port)?;
        // SAFETY: the format names two objects and three numbers; all are live.
        let refused = unsafe {
            PySys_Audit(
                c"socket.getaddrinfo".as_ptr(),
                c"OOiii".as_ptr(),
                host.as_ptr(),
                port.as_ptr(),
                family,
                kind,
                protocol,
            )
        };
        if refused < 0 {
            return Err(PyErr::fetch(host.py()));
        }
        let in_digits = service
            .as_ref()
            .is_none_or(|s| !s.is_empty() && s.to_bytes().iter().all(u8::is_ascii_digit));
        Ok(Self {
            host: name,
            service,
            in_digits,
            hints: Hints {
                family,
                kind,
                protocol,
                flags,
            },
        })
    }

    /// The answer, if it is known without reading a file or asking anybody.
    pub(super) fn answer_at_once(&self) -> Option<system::Result<Vec<Entry>>> {
        let Hints { flags, .. } = self.hints;
        let no_name = self.host.is_none() || flags & libc::AI_NUMERICHOST != 0;
        let no_service = self.in_digits || flags & libc::AI_NUMERICSERV != 0;
        if no_name && no_service {
            return Some(self.ask(flags));
        }
        if !no_service {
            return None;
        }
        // Only an answer counts: what it says of names that are none is for the real call.
        self.ask(flags | libc::AI_NUMERICHOST).ok().map(Ok)
    }

    fn ask(&self, flags: i32) -> system::Result<Vec<Entry>> {
        let hints = Hints {
            flags,
            ..self.hints
        };
        system::addresses(self.host.as_deref(), self.service.as_deref(), hints)
    }

    pub(super) fn work(self) -> Work<system::Result<Vec<Entry>>> {
        Arc::new(move || self.ask(self.hints.flags))
    }
}

fn idna<'py>(name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: the string is live; a codec's result is checked to be bytes.
    unsafe {
        let encoded =
            ffi::PyUnicode_AsEncodedString(name.as_ptr(), c"idna".as_ptr(), std::ptr::null());
        let encoded = Bound::from_owned_ptr_or_err(name.py(), encoded)?;
        Ok(encoded.cast_into::<PyBytes>()?)
    }
}

/// A C string of what C would see of these bytes.
fn until_nul(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|byte| *byte == 0);
    CString::new(&bytes[..end.unwrap_or(bytes.len())]).unwrap_or_default()
}

fn service(port: &Bound<'_, PyAny>) -> PyResult<Option<CString>> {
    if port.is_none() {
        return Ok(None);
    }
    if let Ok(number) = port.cast::<PyInt>() {
        if !number.is_exact_instance_of::<PyInt>() {
            // Whether True is a port depends on the release: the original decides.
            let flags = libc::AI_NUMERICHOST;
            let args = (
                c"127.0.0.1".to_bytes(),
                port,
                0,
                libc::SOCK_STREAM,
                0,
                flags,
            );
            port.py()
                .import("_socket")?
                .call_method1("getaddrinfo", args)?;
        }
        // CPython before 3.12 makes a C long of it.
        #[cfg(not(Py_3_12))]
        let digits = number.extract::<std::ffi::c_long>()?.to_string();
        #[cfg(Py_3_12)]
        let digits = port
            .py()
            .get_type::<PyInt>()
            .call_method1("__repr__", (number,))?;
        #[cfg(Py_3_12)]
        let digits = digits.cast_into::<PyString>()?.to_cow()?.into_owned();
        return Ok(Some(until_nul(digits.as_bytes())));
    }
    if let Ok(text) = port.cast::<PyString>() {
        return Ok(Some(until_nul(text.to_str()?.as_bytes())));
    }
    if let Ok(bytes) = port.cast::<PyBytes>() {
        return Ok(Some(until_nul(bytes.as_bytes())));
    }
    Err(PyOSError::new_err("Int or String expected"))
}

/// The host of the functions that take one: text by IDNA, bytes as they are.
pub(super) fn host_bytes(host: &Bound<'_, PyAny>, function: &str) -> PyResult<CString> {
    let kind = |object: &Bound<'_, PyAny>| -> PyResult<String> {
        if object.is_none() {
            return Ok("None".into());
        }
        Ok(object.get_type().name()?.to_cow()?.into_owned())
    };
    let bytes = if let Ok(text) = host.cast::<PyString>() {
        idna(text)?.as_bytes().to_vec()
    } else if let Ok(bytes) = host.cast::<PyBytes>() {
        bytes.as_bytes().to_vec()
    } else if let Ok(array) = host.cast::<PyByteArray>() {
        array.to_vec()
    } else {
        return Err(PyTypeError::new_err(format!(
            "{function}() argument 1 must be str, bytes or bytearray, not {}",
            kind(host)?
        )));
    };
    CString::new(bytes).map_err(|_| match kind(host) {
        Ok(kind) => PyTypeError::new_err(format!(
            "{function}() argument 1 must be encoded string without null bytes, not {kind}"
        )),
        Err(error) => error,
    })
}

/// Tells audit hooks of a lookup.
pub(super) fn audit(event: &CStr, host: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the format names one object, which is live.
    let refused = unsafe { PySys_Audit(event.as_ptr(), c"O".as_ptr(), host.as_ptr()) };
    if refused < 0 {
        return Err(PyErr::fetch(host.py()));
    }
    Ok(())
}

/// The address that `getnameinfo` is asked about.
pub(super) fn socket_address(sockaddr: &Bound<'_, PyAny>) -> PyResult<Address> {
    // In digits the original answers without a lookup, and refuses what it does not take.
    sockaddr.py().import("_socket")?.call_method1(
        "getnameinfo",
        (sockaddr, libc::NI_NUMERICHOST | libc::NI_NUMERICSERV),
    )?;
    let parts = sockaddr.cast::<PyTuple>()?;
    let host: String = parts.get_item(0)?.extract()?;
    let port: i32 = parts.get_item(1)?.extract()?;
    let number = |index| -> PyResult<u32> {
        match parts.get_item(index) {
            Ok(value) => value.extract(),
            Err(_) => Ok(0),
        }
    };
    let mut address = system::address_in_digits(&until_nul(host.as_bytes()), port)
        .map_err(|failure| failure.into_error(sockaddr.py()))?;
    address.set_v6(number(2)?, number(3)?);
    Ok(address)
}
