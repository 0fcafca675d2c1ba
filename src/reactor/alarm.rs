//! A deadline as a descriptor: once it has passed, the poll set that holds it is readable.
//!
//! An event loop that watches the set needs no timer of its own then. asyncio's cost more: a
//! handle, a context and a heap entry in Python for each deadline, and the loop sleeps whole
//! milliseconds only.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::NEVER;
use crate::sched::clock::NANOS_PER_SECOND;

/// A timer of the kernel, registered with a poll set.
#[derive(Debug)]
pub(super) struct Alarm {
    file: OwnedFd,
    /// When it goes off, or [`NEVER`].
    due: u64,
}

impl Alarm {
    /// Makes one that is not set. Its events carry `token`.
    pub(super) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let file = create()?;
        registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { file, due: NEVER })
    }

    /// When it goes off, or [`NEVER`].
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// Has it go off at `deadline`, and at no other time.
    pub(super) fn set(&mut self, deadline: u64, now: u64) -> io::Result<()> {
        // Zero would mean never.
        settime(&self.file, deadline.saturating_sub(now).max(1))?;
        self.due = deadline;
        Ok(())
    }

    /// It has gone off, and its event was taken.
    pub(super) fn gone_off(&mut self) {
        self.due = NEVER;
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn create() -> io::Result<OwnedFd> {
    let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn settime(file: &OwnedFd, nanos: u64) -> io::Result<()> {
    let mut time = libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    };
    time.it_value.tv_sec =
        libc::time_t::try_from(nanos / NANOS_PER_SECOND).unwrap_or(i32::MAX.into());
    // Below a thousand million, which fits everywhere.
    time.it_value.tv_nsec = (nanos % NANOS_PER_SECOND) as libc::c_long;
    // SAFETY: the kernel reads one live structure; a NULL says that the former is not wanted.
    let code = unsafe {
        libc::timerfd_settime(file.as_raw_fd(), 0, &raw const time, std::ptr::null_mut())
    };
    if code < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn create() -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn settime(_: &OwnedFd, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
