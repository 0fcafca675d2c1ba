//! What ends a poll from another thread: an eventfd. And what tells a poll set from others.
//!
//! A program that closes all descriptors, to become a daemon, closes these, too, and their
//! numbers may name files of the application next. So the number is looked at before anything
//! is written to it, and may be replaced under those who hold the waker.
//!
//! All poll sets look the same to `fstat`, and another one with an eventfd of its own may get
//! just those two numbers. So ours bear a mark: a signal number (`F_SETSIG`), which the kernel
//! keeps with an open file and would use for asynchronous input, which poll sets do not have.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// An eventfd that several threads write to and nobody reads.
#[derive(Debug)]
pub(super) struct Wake {
    fd: AtomicI32,
    /// The mark of the poll set.
    pub(super) mark: i32,
    /// Device and inode: all eventfds have the same, and no file that could be harmed has it.
    file: (libc::dev_t, libc::ino_t),
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no preconditions.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let Some(file) = file_of(fd) else {
            return Err(io::Error::last_os_error());
        };
        Ok(Self {
            fd: AtomicI32::new(fd),
            mark: FIRST_MARK + (SERIAL.fetch_add(1, Ordering::Relaxed) % MARKS) as i32,
            file,
        })
    }

    /// Whether the number still names an eventfd.
    pub(super) fn is_intact(&self) -> bool {
        self.is_behind(self.number())
    }

    /// Makes the eventfd readable.
    pub(super) fn wake(&self) {
        let fd = self.number();
        if !self.is_behind(fd) {
            // Closed by the application: the hub sees that before it sleeps next.
            return;
        }
        // SAFETY: open, and given back below.
        let mut file = unsafe { File::from_raw_fd(fd) };
        // Fails only if its counter is full: then it is readable, and its edge was told.
        let _ = file.write(&1_u64.to_ne_bytes());
        let _ = file.into_raw_fd();
    }

    /// Has another eventfd stand behind all copies of the waker.
    pub(super) fn become_another(&self, other: &Self) {
        let fd = other.fd.swap(-1, Ordering::Relaxed);
        self.close(self.fd.swap(fd, Ordering::Relaxed));
    }

    /// Lets go of a number that is not ours any more.
    pub(super) fn leave(&self) {
        self.fd.store(-1, Ordering::Relaxed);
    }

    pub(super) fn number(&self) -> RawFd {
        self.fd.load(Ordering::Relaxed)
    }

    fn is_behind(&self, fd: RawFd) -> bool {
        file_of(fd) == Some(self.file)
    }

    fn close(&self, fd: RawFd) {
        if self.is_behind(fd) {
            // SAFETY: it is ours: `leave` was not called.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

/// Real-time signals, some of which libc keeps for itself.
const FIRST_MARK: i32 = 40;
const MARKS: u32 = 24;

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// Marks an open file, if the kernel has marks.
pub(super) fn set_mark(fd: RawFd, mark: i32) {
    // SAFETY: takes a number.
    unsafe { libc::fcntl(fd, F_SETSIG, mark) };
}

/// Whether a file bears a mark, or none can be set.
pub(super) fn has_mark(fd: RawFd, mark: i32) -> bool {
    // SAFETY: as for `set_mark`.
    let found = unsafe { libc::fcntl(fd, F_GETSIG) };
    found == mark || (found < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL))
}

/// Of Linux's `fcntl.h`.
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;

impl Drop for Wake {
    fn drop(&mut self) {
        self.close(self.number());
    }
}

/// What tells the file behind a number from files of other kinds; None if there is none.
fn file_of(fd: RawFd) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: plain numbers, for which zero is a value.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the answer.
    if unsafe { libc::fstat(fd, &raw mut status) } != 0 {
        return None;
    }
    Some((status.st_dev, status.st_ino))
}
