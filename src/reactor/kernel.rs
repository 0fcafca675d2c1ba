//! The kernel's side of the reactor: tokens, and what is registered.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token};

use super::WatchError;
use super::table::Entry;
use super::wake::{Wake, has_mark, set_mark};

/// Bits of a token that hold the number; the rest hold (the low bits of) the generation.
const FD_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };

/// No descriptor has the number whose bits are all ones.
pub(super) const WAKER: Token = Token(usize::MAX);

/// Nor the one below: that of a descriptor which is heeded.
pub(super) const HEEDED: Token = Token(usize::MAX - 1);

#[inline]
pub(super) fn token(fd: RawFd, generation: u32) -> Token {
    Token(((generation as usize) << FD_BITS) | fd as usize)
}

#[inline]
pub(super) fn fd_of(token: Token) -> RawFd {
    (token.0 & ((1 << FD_BITS) - 1)) as RawFd
}

/// Tells the kernel to watch `mask` from now on. A direction that is ready is reported
/// again even if it was reported before.
///
/// Fails with [`WatchError::Stale`] if `fd` is registered but names another file now.
pub(super) fn arm<W>(
    registry: &Registry,
    fd: RawFd,
    entry: &mut Entry<W>,
    mask: u8,
) -> Result<(), WatchError> {
    let interest = match mask {
        1 => Interest::READABLE,
        2 => Interest::WRITABLE,
        _ => Interest::READABLE | Interest::WRITABLE,
    };
    let token = token(fd, entry.generation);
    let mut source = SourceFd(&fd);
    if entry.armed != 0 {
        registry.reregister(&mut source, token, interest)
    } else {
        match registry.register(&mut source, token, interest) {
            // Left behind by a removal that failed: ours all the same.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                registry.reregister(&mut source, token, interest)
            }
            done => done,
        }
    }
    .map_err(WatchError::from_os)?;
    // What is ready now is reported anew.
    entry.drained = 0;
    entry.armed = mask;
    Ok(())
}

/// Takes a foreign descriptor for which nobody waits, or one about to be closed, out of the
/// kernel's set.
pub(super) fn disarm<W>(registry: &Registry, fd: RawFd, entry: &mut Entry<W>) {
    if entry.armed != 0 {
        // Fails if the file was closed behind our back: then there is nothing to remove.
        let _ = registry.deregister(&mut SourceFd(&fd));
        entry.armed = 0;
        entry.drained = 0;
        entry.generation = entry.generation.wrapping_add(1);
    }
}

/// The directions an event wakes: hang-ups and errors concern both.
#[inline]
pub(super) fn directions(event: &Event) -> u8 {
    let read = event.is_readable() || event.is_read_closed() || event.is_error();
    let write = event.is_writable() || event.is_write_closed() || event.is_error();
    u8::from(read) | (u8::from(write) << 1)
}

/// A new poll set with its waker.
pub(super) fn open() -> io::Result<(Poll, Wake)> {
    let poll = Poll::new()?;
    let wake = Wake::new()?;
    let number = wake.number();
    let mut source = SourceFd(&number);
    poll.registry()
        .register(&mut source, WAKER, Interest::READABLE)?;
    set_mark(poll.as_raw_fd(), wake.mark);
    Ok((poll, wake))
}

/// Whether the numbers of a poll set and of its waker still name what [`open`] has made.
pub(super) fn is_intact(poll: &Poll, wake: &Wake) -> bool {
    if !has_mark(poll.as_raw_fd(), wake.mark) || !wake.is_intact() {
        return false;
    }
    let registry = poll.registry();
    let number = wake.number();
    let mut source = SourceFd(&number);
    if let Err(error) = registry.register(&mut source, WAKER, Interest::READABLE) {
        return error.raw_os_error() == Some(libc::EEXIST);
    }
    // Somebody else's.
    let _ = registry.deregister(&mut source);
    false
}

/// Has a poll end when `fd` gets readable.
pub(super) fn heed(registry: &Registry, fd: RawFd) -> io::Result<()> {
    match registry.register(&mut SourceFd(&fd), HEEDED, Interest::READABLE) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        done => done,
    }
}

/// Refuses what cannot be a descriptor or does not fit into a token.
#[inline]
pub(super) fn checked(fd: RawFd) -> Result<RawFd, WatchError> {
    if fd < 0 || (fd as u64) >> FD_BITS != 0 {
        return Err(WatchError::BadDescriptor);
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_number_and_generation() {
        for fd in [0, 1, 1000, (1 << 20) - 1] {
            let first = token(fd, 0);
            let last = token(fd, u32::MAX);
            assert_eq!((fd_of(first), fd_of(last)), (fd, fd));
            assert_ne!(first, last);
            assert_ne!(last, WAKER);
        }
    }
}
