//! The reactor: which descriptors are ready, and who waits for that.
//!
//! One [`Reactor`] belongs to one hub and one OS thread. It knows nothing of green threads:
//! who waits is an opaque payload `W` that [`Reactor::poll`] hands back.
//!
//! # Two classes of descriptors
//!
//! An *owned* descriptor belongs to one of our sockets, so we see each of its system calls and
//! its close. It is registered when it first has to wait, edge-triggered, and stays so until
//! [`Reactor::detach`]. A sticky bit per direction remembers an edge that came while nobody
//! waited; the owner clears it when a system call answers EAGAIN. So a socket pays one
//! `epoll_ctl` per direction in its life, and none at all if its data was always there
//! before it looked. (Registering both directions in `attach` would cost every accepted socket
//! that call and one wake-up of the loop for the news that a new socket is writable.)
//!
//! A *foreign* descriptor belongs to somebody else (a database driver, a pipe of a child), who
//! may read, close and reuse it unseen. It is registered for each wait anew and deregistered
//! before its last waiter is woken. Keeping it registered would save a system call, but a
//! description that lives on in a child process would then report edges for ever, and epoll
//! cannot be told to stop once the number is closed here.
//!
//! A wait for a descriptor that is owned goes through the owned registration in both cases, but
//! [`Reactor::watch`] does not trust the sticky bit: its callers do not clear it. It asks the
//! kernel.
//!
//! # Who is woken
//!
//! A queue per descriptor and direction, first in, first out, and one wake-up for the first of
//! the queue each time the kernel finds the descriptor ready. If others are left the interest is
//! armed again, upon which the kernel looks anew at the next poll, after the one woken had its
//! turn. So a descriptor in blocking mode is safe with many waiters, and nothing is missed if
//! the one woken leaves data behind or dies before it reads. A listener ([`Reactor::listen`])
//! is a waiter that stays at its place in the queue: those behind it are served when it is gone.
//!
//! Errors and hang-ups wake both directions: the system call that follows tells the reason.
//!
//! # Reused numbers
//!
//! The kernel forgets a registration when the last copy of an open file is closed, silently,
//! and the number may name another file a moment later; or a copy lives on and reports under a
//! number that is not its own any more. Three things keep wake-ups from going astray.
//! The token of a registration carries number and generation; the generation grows whenever
//! a registration ends, and an event with an old one is dropped. Every registration of
//! a number that should be registered already is a *modify*, which fails if the file behind the
//! number is another one; whoever waited for the old file is then told that it is [`Gone`].
//! And [`Reactor::close_fd`] deregisters before the close, when the number still means the
//! right file.
//!
//! # Forks
//!
//! Parent and child share an epoll set across a fork, so a child that deregistered
//! anything would deafen its parent. Dropping a reactor therefore only closes descriptors, and
//! [`Reactor::rebuild`] leaves the old set behind untouched.
//!
//! # Closed behind our back
//!
//! A program that becomes a daemon closes every descriptor there is, those of the reactor too,
//! and its next files get their numbers. Whatever the kernel then refuses is a reason to look
//! ([`Reactor::mend`]): a poll set that is still ours has our waker in it. One that is not is
//! left to whoever has its number now, and the reactor gets another.
//!
//! [`Gone`]: Readiness::Gone

pub mod clock;
mod kernel;
mod poller;
mod table;
mod wake;

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

pub use clock::{Monotonic, cpu_time};
pub use poller::Reactor;

use crate::sched::WaiterKey;

/// Nanoseconds of the clock that deadlines are counted in.
#[inline]
pub fn now() -> u64 {
    clock::shown()
}

/// What a waiter wants to do with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Receive, accept, read.
    Read = 0,
    /// Send, connect, write.
    Write = 1,
}

impl Direction {
    /// Both, in the order in which they are served.
    pub const BOTH: [Self; 2] = [Self::Read, Self::Write];

    #[inline]
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Why a waiter is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Try the system call: it succeeds, or fails for a reason worth reporting, or (rarely)
    /// answers EAGAIN because somebody else was faster.
    Ready(Direction),
    /// The descriptor was closed or replaced without notice while this waiter waited; nobody
    /// will wake it again. EBADF is what it should raise.
    Gone(Direction),
}

impl Readiness {
    /// The direction waited for.
    #[inline]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Ready(direction) | Self::Gone(direction) => direction,
        }
    }
}

/// An owned descriptor, as given by [`Reactor::attach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    fd: RawFd,
    generation: u32,
}

impl Handle {
    /// The descriptor's number.
    #[inline]
    pub const fn fd(self) -> RawFd {
        self.fd
    }
}

/// Names one wait or listener; void once it was woken for good or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    id: WaiterKey,
    fd: RawFd,
    direction: Direction,
}

impl Key {
    /// The descriptor waited for.
    #[inline]
    pub const fn fd(self) -> RawFd {
        self.fd
    }

    /// The direction waited for.
    #[inline]
    pub const fn direction(self) -> Direction {
        self.direction
    }
}

/// What became of a request to watch a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a waiter that is not parked must not wait"]
pub enum Watch {
    /// The waiter is queued.
    Parked(Key),
    /// The descriptor (a regular file, mostly) is always ready; nobody was queued.
    AlwaysReady,
}

/// Why a wait is impossible.
#[derive(Debug)]
pub enum WatchError {
    /// The handle's descriptor was closed or replaced since it was attached.
    Stale,
    /// No open file has this number.
    BadDescriptor,
    /// The kernel cannot poll this kind of file.
    NotPollable,
    /// The kernel refused for another reason (out of memory, too many watches).
    Os(io::Error),
}

impl WatchError {
    /// The errno a Python `OSError` should carry.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Stale | Self::BadDescriptor => libc::EBADF,
            Self::NotPollable => libc::EPERM,
            Self::Os(error) => error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// Sorts an error of the kernel.
    fn from_os(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EBADF) => Self::BadDescriptor,
            Some(libc::EPERM) => Self::NotPollable,
            Some(libc::ENOENT) => Self::Stale,
            _ => Self::Os(error),
        }
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str(
                "the socket was closed, or its descriptor number was reused, while it was in \
                 use; close it in one place only, after its users are done",
            ),
            Self::BadDescriptor => {
                f.write_str("no open file has this descriptor number; wait before you close it")
            }
            Self::NotPollable => f.write_str(
                "this kind of file (a regular file, mostly) cannot be polled; \
                 read it directly or through tpool.execute",
            ),
            Self::Os(error) => write!(f, "the kernel refused to watch the descriptor: {error}"),
        }
    }
}

impl std::error::Error for WatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Os(error) => Some(error),
            _ => None,
        }
    }
}

impl From<WatchError> for io::Error {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Os(error) => error,
            other => Self::from_raw_os_error(other.errno()),
        }
    }
}

/// Ends a poll from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<wake::Wake>);

impl Waker {
    /// Makes the current or the next poll return at once.
    pub fn wake(&self) {
        self.0.wake();
    }
}
