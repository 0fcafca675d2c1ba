//! The end of a listening socket that loses nobody.

use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use pyo3::prelude::*;

/// Accepts one connection, with a descriptor that does not block and is not inherited.
fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let null = std::ptr::null_mut();
    // SAFETY: the descriptor is open, and the kernel is told that nobody wants the address.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), null, null.cast(), flags) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether an error of `accept` is about one client, so that another may follow.
fn is_of_one_client(error: &Error) -> bool {
    error.kind() == ErrorKind::Interrupted
        || matches!(
            error.raw_os_error(),
            Some(
                libc::ECONNABORTED
                    | libc::EPROTO
                    | libc::ENOPROTOOPT
                    | libc::ENETDOWN
                    | libc::ENETUNREACH
                    | libc::EHOSTDOWN
                    | libc::EHOSTUNREACH
                    | libc::ENONET
            )
        )
}

/// Drops requests for a connection: of TCP's flags, SYN is set and ACK is not.
const NO_HANDSHAKES: [libc::sock_filter; 5] = {
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        }
    }
    [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 13),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0x12),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, 0x02),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
};

/// How long handshakes that are under way have to end.
const HANDSHAKE: Duration = Duration::from_millis(2);

/// Sets a filter on a socket, or with `option` takes it away. Says whether the kernel did.
fn filter(listener: BorrowedFd<'_>, option: libc::c_int) -> bool {
    let mut steps = NO_HANDSHAKES;
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the kernel reads the program and its steps, which live until it has.
    let done = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    done == 0
}

/// Adds who has connected to `accepted`.
fn accept_all(listener: BorrowedFd<'_>, accepted: &mut Vec<OwnedFd>) {
    loop {
        match accept(listener) {
            Ok(client) => accepted.push(client),
            Err(error) if is_of_one_client(&error) => {}
            Err(_) => return,
        }
    }
}

/// Closes the listening socket `fd`, and returns the connections that had arrived.
///
/// Closing resets whoever has connected and was not accepted, and whoever is about to have.
/// With `alone`, for a TCP socket that no other process listens on, handshakes may therefore
/// not begin any more (those clients ask again, a second later), and those under way are
/// given two milliseconds, for which the OS thread sleeps. Between the last look and the end
/// lies nothing: no other OS thread gets the GIL, no code of Python runs.
#[pyfunction]
pub(super) fn end_listening(py: Python<'_>, fd: RawFd, alone: bool) -> PyResult<Vec<RawFd>> {
    if fd < 0 {
        return Err(Error::from_raw_os_error(libc::EBADF).into());
    }
    // SAFETY: the caller gives the descriptor away.
    let listener = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut accepted = Vec::new();
    if alone && filter(listener.as_fd(), libc::SO_ATTACH_FILTER) {
        py.detach(|| std::thread::sleep(HANDSHAKE));
    }
    accept_all(listener.as_fd(), &mut accepted);
    if alone {
        // In case that another process has the socket all the same.
        filter(listener.as_fd(), libc::SO_DETACH_FILTER);
    }
    drop(listener);
    Ok(accepted.into_iter().map(IntoRawFd::into_raw_fd).collect())
}
