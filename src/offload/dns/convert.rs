//! The resolver's answers and failures as Python objects, by the rules of `socketmodule.c`.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pyo3::exceptions::PyOSError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::offload::os_error;

use super::system::{Address, Entry, Failure, Host, Result};

unsafe extern "C" {
    fn hstrerror(error: c_int) -> *const c_char;
}

/// What is taken from `socket`, which patching leaves alone.
struct Names {
    /// Numbers to the members of the enumerations that `socket.getaddrinfo` answers with.
    families: Py<PyDict>,
    kinds: Py<PyDict>,
    gaierror: Py<PyAny>,
    herror: Py<PyAny>,
}

fn names(py: Python<'_>) -> PyResult<&Names> {
    static NAMES: PyOnceLock<Names> = PyOnceLock::new();
    NAMES.get_or_try_init(py, || {
        let socket = py.import("socket")?;
        let members = |name| -> PyResult<Py<PyDict>> {
            let members = socket.getattr(name)?.getattr("_value2member_map_")?;
            Ok(members.cast_into::<PyDict>()?.unbind())
        };
        let native = py.import("_socket")?;
        Ok(Names {
            families: members("AddressFamily")?,
            kinds: members("SocketKind")?,
            gaierror: native.getattr("gaierror")?.unbind(),
            herror: native.getattr("herror")?.unbind(),
        })
    })
}

impl Failure {
    /// The exception that `socket` raises for it.
    pub(super) fn into_error(self, py: Python<'_>) -> PyErr {
        let made = |class: fn(&Names) -> &Py<PyAny>, code: c_int, text: *const c_char| {
            let names = match names(py) {
                Ok(names) => names,
                Err(error) => return error,
            };
            // SAFETY: the system's messages end with NUL and live as long as the process.
            let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
            match class(names).bind(py).call1((code, text)) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            }
        };
        match self {
            // SAFETY: any number may be given.
            Self::Address(code) => made(|n| &n.gaierror, code, unsafe { libc::gai_strerror(code) }),
            // SAFETY: as above.
            Self::Host(code) => made(|n| &n.herror, code, unsafe { hstrerror(code) }),
            Self::System(code) => os_error(py, &io::Error::from_raw_os_error(code)),
            Self::Ambiguous => PyOSError::new_err("wildcard resolved to multiple address"),
            Self::OtherFamily => os_error(py, &io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
        }
    }
}

/// The result of `getaddrinfo`.
pub(super) fn address_list(
    py: Python<'_>,
    outcome: Result<Vec<Entry>>,
) -> PyResult<Bound<'_, PyAny>> {
    let entries = outcome.map_err(|failure| failure.into_error(py))?;
    let names = names(py)?;
    let list = PyList::empty(py);
    for entry in entries {
        list.append((
            member(py, &names.families, entry.family)?,
            member(py, &names.kinds, entry.kind)?,
            entry.protocol,
            utf8(py, &entry.canonical)?,
            socket_address(py, &entry.address)?,
        ))?;
    }
    Ok(list.into_any())
}

/// A number as a member of an enumeration, or as it is.
fn member<'py>(
    py: Python<'py>,
    members: &Py<PyDict>,
    number: c_int,
) -> PyResult<Bound<'py, PyAny>> {
    match members.bind(py).get_item(number)? {
        Some(member) => Ok(member),
        None => Ok(number.into_pyobject(py)?.into_any()),
    }
}

fn socket_address<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyAny>> {
    let host = host_text(py, address);
    if let Some(v4) = address.v4() {
        let port = u16::from_be(v4.sin_port);
        return Ok((host?, port).into_pyobject(py)?.into_any());
    }
    if let Some(v6) = address.v6() {
        let port = u16::from_be(v6.sin6_port);
        let flow = u32::from_be(v6.sin6_flowinfo);
        let tuple = (host?, port, flow, v6.sin6_scope_id).into_pyobject(py)?;
        return Ok(tuple.into_any());
    }
    let data = PyBytes::new(py, &address.data());
    Ok((address.family(), data).into_pyobject(py)?.into_any())
}

/// The host of an address in digits.
pub(super) fn host_text<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyString>> {
    if let Some(v4) = address.v4() {
        let bytes = v4.sin_addr.s_addr.to_ne_bytes();
        return ip_text(py, Ipv4Addr::from(bytes).into());
    }
    if let Some(v6) = address.v6() {
        return ip_text(py, Ipv6Addr::from(v6.sin6_addr.s6_addr).into());
    }
    Err(Failure::OtherFamily.into_error(py))
}

unsafe extern "C" {
    fn inet_ntop(
        family: c_int,
        address: *const std::ffi::c_void,
        text: *mut c_char,
        size: libc::socklen_t,
    ) -> *const c_char;
}

/// An address in digits, as the system writes it: not everybody shortens IPv6 alike.
fn ip_text(py: Python<'_>, ip: IpAddr) -> PyResult<Bound<'_, PyString>> {
    let mut text: [c_char; 64] = [0; 64];
    let (family, bytes) = match ip {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    // SAFETY: the bytes are as many as the family has; the buffer has the size told.
    let written = unsafe {
        inet_ntop(
            family,
            bytes.as_ptr().cast(),
            text.as_mut_ptr(),
            text.len() as libc::socklen_t,
        )
    };
    if written.is_null() {
        return Err(os_error(py, &io::Error::last_os_error()));
    }
    // SAFETY: the system ends the text with NUL.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    Ok(PyString::new(py, &text.to_string_lossy()))
}

/// The result of `gethostbyname_ex` and `gethostbyaddr`.
pub(super) fn host_entry(py: Python<'_>, outcome: Result<Host>) -> PyResult<Bound<'_, PyTuple>> {
    let host = outcome.map_err(|failure| failure.into_error(py))?;
    let aliases = PyList::empty(py);
    for alias in &host.aliases {
        aliases.append(utf8(py, alias)?)?;
    }
    let addresses = PyList::empty(py);
    for ip in host.addresses {
        addresses.append(ip_text(py, ip)?)?;
    }
    (host_name(py, &host.name)?, aliases, addresses).into_pyobject(py)
}

/// The result of `getnameinfo`.
pub(super) fn name_pair(
    py: Python<'_>,
    outcome: Result<(Vec<u8>, Vec<u8>)>,
) -> PyResult<Bound<'_, PyTuple>> {
    let (host, service) = outcome.map_err(|failure| failure.into_error(py))?;
    (host_name(py, &host)?, utf8(py, &service)?).into_pyobject(py)
}

/// A host name in the encoding of the file system.
fn host_name<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the bytes are as many as told.
    unsafe {
        let text = ffi::PyUnicode_DecodeFSDefaultAndSize(
            bytes.as_ptr().cast(),
            bytes.len() as ffi::Py_ssize_t,
        );
        Bound::from_owned_ptr_or_err(py, text)
    }
}

fn utf8<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the bytes are as many as told.
    unsafe {
        let text =
            ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as ffi::Py_ssize_t);
        Bound::from_owned_ptr_or_err(py, text)
    }
}
