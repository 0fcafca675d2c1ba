//! Name resolution by the system, as the functions of `socket` offer it.
//!
//! The system's resolver, not one of our own, so that the hosts file, the name service switch
//! and everything else that an administrator has set up holds. It is asked on the calling
//! thread if that cannot block (addresses in digits, ports in digits), else on one of the
//! pool's. Arguments, results and errors are those of CPython's `socketmodule.c`.

mod arguments;
mod convert;
mod system;

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use self::arguments::{Query, host_bytes};
use self::convert::{address_list, host_entry, name_pair};
use self::system::{Address, Family};
use super::awaitable::awaitable;
use super::job::{self, Work};
use super::pool::Lane;

/// Asks the system in a thread.
///
/// # Switches
/// Always.
fn look_up<T: Send + 'static>(
    py: Python<'_>,
    ask: impl Fn() -> system::Result<T> + Send + Sync + 'static,
) -> PyResult<system::Result<T>> {
    let work: Work<_> = Arc::new(ask);
    // SAFETY: no exception is set: those who call this return the error they get.
    unsafe { job::wait(py, Lane::Lookups, &work) }
}

/// Return the addresses of a host, as `socket.getaddrinfo` does.
///
/// Switch point unless host and port are in digits.
#[pyfunction]
#[pyo3(signature = (host, port, family=0, r#type=0, proto=0, flags=0))]
pub(super) fn getaddrinfo<'py>(
    py: Python<'py>,
    host: &Bound<'py, PyAny>,
    port: &Bound<'py, PyAny>,
    family: i32,
    r#type: i32,
    proto: i32,
    flags: i32,
) -> PyResult<Bound<'py, PyAny>> {
    let query = Query::new(host, port, family, r#type, proto, flags)?;
    let outcome = match query.answer_at_once() {
        Some(outcome) => outcome,
        // SAFETY: no exception is set: making the query went well.
        None => unsafe { job::wait(py, Lane::Lookups, &query.work()) }?,
    };
    address_list(py, outcome)
}

/// Return an asyncio future of the addresses of a host; see `getaddrinfo`.
#[pyfunction]
#[pyo3(signature = (host, port, family=0, r#type=0, proto=0, flags=0))]
pub(super) fn await_getaddrinfo<'py>(
    py: Python<'py>,
    host: &Bound<'py, PyAny>,
    port: &Bound<'py, PyAny>,
    family: i32,
    r#type: i32,
    proto: i32,
    flags: i32,
) -> PyResult<Bound<'py, PyAny>> {
    let query = Query::new(host, port, family, r#type, proto, flags)?;
    awaitable(py, Lane::Lookups, &query.work(), address_list)
}

/// Return the IPv4 address of a host, as `socket.gethostbyname` does.
///
/// Switch point unless it is an address already.
#[pyfunction]
#[pyo3(signature = (hostname, /))]
pub(super) fn gethostbyname<'py>(
    py: Python<'py>,
    hostname: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let host = host_bytes(hostname, "gethostbyname")?;
    arguments::audit(c"socket.gethostbyname", hostname)?;
    let outcome = if let Some(address) = system::known_address(&host, Family::V4) {
        Ok(address)
    } else {
        look_up(py, move || system::first_address(&host, Family::V4))?
    };
    let address = outcome.map_err(|failure| failure.into_error(py))?;
    Ok(convert::host_text(py, &address)?.into_any())
}

/// Return name, other names and IPv4 addresses of a host, as `socket.gethostbyname_ex` does.
///
/// Switch point.
#[pyfunction]
#[pyo3(signature = (hostname, /))]
pub(super) fn gethostbyname_ex<'py>(
    py: Python<'py>,
    hostname: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    let host = host_bytes(hostname, "gethostbyname_ex")?;
    arguments::audit(c"socket.gethostbyname", hostname)?;
    let outcome = look_up(py, move || {
        // It must have an address; what that is does not matter.
        let known = system::known_address(&host, Family::V4);
        known.map_or_else(|| system::first_address(&host, Family::V4), Ok)?;
        system::host_by_name(&host)
    })?;
    host_entry(py, outcome)
}

/// Return name, other names and addresses of an address, as `socket.gethostbyaddr` does.
///
/// Switch point.
#[pyfunction]
#[pyo3(signature = (ip_address, /))]
pub(super) fn gethostbyaddr<'py>(
    py: Python<'py>,
    ip_address: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    let host = host_bytes(ip_address, "gethostbyaddr")?;
    arguments::audit(c"socket.gethostbyaddr", ip_address)?;
    let outcome = look_up(py, move || {
        let known = system::known_address(&host, Family::Any);
        let address = known.map_or_else(|| system::first_address(&host, Family::Any), Ok)?;
        system::host_by_address(&address)
    })?;
    host_entry(py, outcome)
}

/// Return host and service of an address, as `socket.getnameinfo` does.
///
/// Switch point unless both are wanted in digits.
#[pyfunction]
#[pyo3(signature = (sockaddr, flags, /))]
pub(super) fn getnameinfo<'py>(
    py: Python<'py>,
    sockaddr: &Bound<'py, PyAny>,
    flags: i32,
) -> PyResult<Bound<'py, PyTuple>> {
    let address = arguments::socket_address(sockaddr)?;
    let digits = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    let outcome = if flags & digits == digits {
        system::names_of(&address, flags)
    } else {
        // SAFETY: no exception is set.
        unsafe { job::wait(py, Lane::Lookups, &names_work(address, flags)) }?
    };
    name_pair(py, outcome)
}

/// Return an asyncio future of host and service of an address; see `getnameinfo`.
#[pyfunction]
#[pyo3(signature = (sockaddr, flags=0, /))]
pub(super) fn await_getnameinfo<'py>(
    py: Python<'py>,
    sockaddr: &Bound<'py, PyAny>,
    flags: i32,
) -> PyResult<Bound<'py, PyAny>> {
    let address = arguments::socket_address(sockaddr)?;
    awaitable(
        py,
        Lane::Lookups,
        &names_work(address, flags),
        |py, outcome| name_pair(py, outcome).map(Bound::into_any),
    )
}

fn names_work(address: Address, flags: i32) -> Work<system::Result<(Vec<u8>, Vec<u8>)>> {
    Arc::new(move || system::names_of(&address, flags))
}
