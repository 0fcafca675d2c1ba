//! The reactor itself: the interest table on one side, the kernel's on the other.
//!
//! Invariant: the kernel watches exactly the directions in `Entry::armed`, under a token with
//! `Entry::generation`, unless the file was closed or replaced behind our back; that shows at
//! the next attempt to change the registration.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll, Registry};

use super::kernel::{
    HEEDED, WAKER, arm, checked, directions, disarm, fd_of, heed, is_intact, open, token,
};
use super::table::{Entry, Table};
use super::wake::{Wake, set_mark};
use super::{Direction, Handle, Key, Readiness, Waker, Watch, WatchError};

/// Events taken from the kernel at once; more of them wait there for the next poll.
const EVENTS: usize = 1024;

/// Descriptors of one hub, and who waits for them.
///
/// All methods but those of [`Waker`] belong to the hub's OS thread.
#[derive(Debug)]
pub struct Reactor<W> {
    poll: Poll,
    events: Events,
    wake: Arc<Wake>,
    /// How often poll set and waker were replaced.
    renewals: u32,
    table: Table<W>,
    /// Who waited for a file found closed or replaced; told at the next poll.
    orphans: Vec<(W, Direction)>,
    /// How many wait, by direction.
    waiting: [usize; 2],
}

impl<W> Reactor<W> {
    /// A reactor that watches nothing.
    pub fn new() -> io::Result<Self> {
        let (poll, wake) = open()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            wake: Arc::new(wake),
            renewals: 0,
            table: Table::new(),
            orphans: Vec::new(),
            waiting: [0; 2],
        })
    }

    /// A handle with which other threads end a poll.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Makes `fd` an owned descriptor; costs no system call as long as nobody waits for it.
    ///
    /// Attaching one that is owned already gives the same handle, if the number still
    /// names the same file; else those who waited for the old file learn that it is gone.
    pub fn attach(&mut self, fd: RawFd) -> io::Result<Handle> {
        let fd = checked(fd)?;
        let entry = self.table.entry(fd);
        if entry.armed != 0 {
            let mask = entry.armed;
            match arm(self.poll.registry(), fd, entry, mask) {
                Ok(()) => {}
                // What can be armed anew is.
                Err(_) if self.mend()? => {}
                Err(WatchError::Stale | WatchError::NotPollable) => self.orphan(fd),
                Err(error) => {
                    self.orphan(fd);
                    return Err(error.into());
                }
            }
        }
        let entry = self.table.entry(fd);
        entry.owned = true;
        Ok(Handle {
            fd,
            generation: entry.generation,
        })
    }

    /// The handle of an owned descriptor, which becomes owned if it is not.
    ///
    /// Unlike [`Reactor::attach`] it does not ask the kernel whether the number still names
    /// the same file: for callers that report each close and each reuse of a number.
    #[inline]
    pub fn trusted(&mut self, fd: RawFd) -> io::Result<Handle> {
        let fd = checked(fd)?;
        let entry = self.table.entry(fd);
        if !entry.owned {
            return self.attach(fd);
        }
        Ok(Handle {
            fd,
            generation: entry.generation,
        })
    }

    /// Whether the file a handle was given for is still open under its number.
    #[inline]
    pub fn lives(&self, handle: Handle) -> bool {
        let entry = self.table.get(handle.fd);
        entry.is_some_and(|entry| entry.owned && entry.generation == handle.generation)
    }

    /// Records that a system call answered EAGAIN, so that the next [`Reactor::wait`] waits.
    ///
    /// Call it after the system call and before anything that may poll: an edge that comes
    /// between the two would be lost. A stale handle is ignored; the wait will tell.
    #[inline]
    pub fn clear_ready(&mut self, handle: Handle, direction: Direction) {
        if let Some(entry) = self.owned_entry(handle) {
            entry.ready &= !direction.bit();
        }
    }

    /// Records that a read of an owned descriptor got less than it asked for.
    ///
    /// A byte stream is empty then, and since it is watched edge-triggered, whatever comes next
    /// is an edge: until the poll reports one, another read would only answer EAGAIN. Not so
    /// once the peer has closed: the end of the stream is told without an edge, then.
    /// `is_stream` is asked once for each file.
    #[inline]
    pub fn note_drained(
        &mut self,
        fd: RawFd,
        direction: Direction,
        is_stream: impl FnOnce() -> bool,
    ) {
        let Some(entry) = self.table.get_mut(fd) else {
            return;
        };
        if entry.owned && entry.armed & direction.bit() != 0 && !entry.closed {
            let stream = *entry.stream.get_or_insert_with(is_stream);
            if stream {
                entry.drained |= direction.bit();
            }
        }
    }

    /// Whether a system call on the descriptor is known to answer EAGAIN.
    #[inline]
    pub fn is_drained(&self, fd: RawFd, direction: Direction) -> bool {
        let entry = self.table.get(fd);
        entry.is_some_and(|entry| entry.owned && entry.drained & direction.bit() != 0)
    }

    /// Queues `waiter` until an owned descriptor is ready, or returns `None`: it is ready now
    /// and `waiter` was dropped.
    #[inline]
    pub fn wait(
        &mut self,
        handle: Handle,
        direction: Direction,
        waiter: W,
    ) -> Result<Option<Key>, WatchError> {
        let fd = handle.fd;
        let entry = self.owned_entry(handle).ok_or(WatchError::Stale)?;
        if entry.ready & direction.bit() != 0 {
            return Ok(None);
        }
        if entry.armed & direction.bit() == 0 {
            self.extend(fd, direction)?;
        }
        self.waiting[direction as usize] += 1;
        Ok(Some(self.table.entry(fd).push(fd, direction, waiter)))
    }

    /// Ends the ownership of a descriptor, before it is closed; returns who waited for it.
    ///
    /// A stale handle has nothing to end.
    pub fn detach(&mut self, handle: Handle) -> Vec<W> {
        if self.owned_entry(handle).is_none() {
            return Vec::new();
        }
        self.close_fd(handle.fd)
    }

    /// Queues `waiter` until any descriptor, owned or not, is ready once.
    pub fn watch(
        &mut self,
        fd: RawFd,
        direction: Direction,
        waiter: W,
    ) -> Result<Watch, WatchError> {
        match self.enlist(fd, direction) {
            Ok(entry) => {
                let key = entry.push(fd, direction, waiter);
                self.waiting[direction as usize] += 1;
                Ok(Watch::Parked(key))
            }
            Err(WatchError::NotPollable) => Ok(Watch::AlwaysReady),
            Err(error) => Err(error),
        }
    }

    /// Reports `listener` at every poll that finds the descriptor ready, until
    /// [`Reactor::unlisten`] or the close of the descriptor.
    pub fn listen(
        &mut self,
        fd: RawFd,
        direction: Direction,
        listener: W,
    ) -> Result<Key, WatchError>
    where
        W: Clone,
    {
        let key = self
            .enlist(fd, direction)?
            .push_listener(fd, direction, listener);
        self.waiting[direction as usize] += 1;
        Ok(key)
    }

    /// Takes a waiter (of [`Reactor::wait`] or [`Reactor::watch`]) back, if it still waits.
    pub fn unwatch(&mut self, key: Key) -> Option<W> {
        let Key { fd, direction, .. } = key;
        let entry = self.table.get_mut(fd)?;
        let waiter = entry.remove(key)?;
        self.waiting[direction as usize] -= 1;
        let due = entry.due_interest();
        if due == 0 {
            disarm(self.poll.registry(), fd, entry);
        } else if due != entry.armed
            && arm(self.poll.registry(), fd, entry, due).is_err()
            && !self.mend().unwrap_or(false)
        {
            self.orphan(fd);
        }
        Some(waiter)
    }

    /// Takes a listener back, if it still listens.
    pub fn unlisten(&mut self, key: Key) -> Option<W> {
        self.unwatch(key)
    }

    /// Forgets a descriptor that is about to be closed; returns its waiters and listeners,
    /// readers first, so that the caller can wake them with EBADF.
    pub fn close_fd(&mut self, fd: RawFd) -> Vec<W> {
        let Some(entry) = self.table.get_mut(fd) else {
            return Vec::new();
        };
        disarm(self.poll.registry(), fd, entry);
        let waiting = &mut self.waiting;
        let left = entry.forget().map(|(waiter, direction)| {
            waiting[direction as usize] -= 1;
            waiter
        });
        left.collect()
    }

    /// Forgets what is known of a number that was closed unseen and names a new file now;
    /// returns who waited for the old one.
    pub fn reopened(&mut self, fd: RawFd) -> Vec<W> {
        self.close_fd(fd)
    }

    /// Adds to `out` who can go on, waiting up to `timeout` (`None`: without end) if nobody can.
    ///
    /// Returns how many were added: none if time ran out, if a [`Waker`] ended the wait, or if
    /// a signal did (the caller runs signal handlers and polls again). Timeouts are rounded
    /// up to milliseconds. With a timeout of zero this is one system call, plus one for each
    /// foreign descriptor served.
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        out: &mut Vec<(W, Readiness)>,
    ) -> io::Result<usize> {
        let slept = self.sleep(timeout);
        let count = self.hand_out(out);
        slept.map(|()| count)
    }

    /// The first half of [`Reactor::poll`]: asks the kernel, and touches no waiter.
    pub fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.orphans.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.events.clear();
                // With a poll set that is found closed the next poll sees what there is.
                if error.kind() == io::ErrorKind::Interrupted || self.mend()? {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Whether the last [`Reactor::sleep`] has found nothing.
    pub fn found_nothing(&self) -> bool {
        self.events.is_empty()
    }

    /// Has polls end whenever `fd` gets readable, for who reads it himself. Said again, it
    /// costs a system call and changes nothing.
    pub fn heed(&mut self, fd: RawFd) -> io::Result<()> {
        heed(self.poll.registry(), fd)
    }

    /// The second half of [`Reactor::poll`]: adds who can go on, each once.
    pub fn hand_out(&mut self, out: &mut Vec<(W, Readiness)>) -> usize {
        let before = out.len();
        let orphans = self.orphans.drain(..);
        out.extend(orphans.map(|(waiter, direction)| (waiter, Readiness::Gone(direction))));
        for event in &self.events {
            if event.token() != WAKER && event.token() != HEEDED {
                let registry = self.poll.registry();
                serve(registry, &mut self.table, &mut self.waiting, event, out);
            }
        }
        self.events.clear();
        out.len() - before
    }

    /// Replaces poll set and waker if their numbers do not name them any more. True if so.
    ///
    /// Costs one system call otherwise.
    #[cold]
    pub fn mend(&mut self) -> io::Result<bool> {
        let closed = !is_intact(&self.poll, &self.wake);
        if closed {
            self.rebuild()?;
        }
        Ok(closed)
    }

    /// How often poll set and waker were replaced.
    #[inline]
    pub fn renewals(&self) -> u32 {
        self.renewals
    }

    /// Replaces poll set and waker by new ones that watch the same descriptors.
    ///
    /// For a forked child, whose set and waker are its parent's too. Who waited for a file
    /// that is closed meanwhile is told at the next poll that it is gone.
    pub fn rebuild(&mut self) -> io::Result<()> {
        let intact = is_intact(&self.poll, &self.wake);
        let (poll, wake) = open()?;
        let former = std::mem::replace(&mut self.poll, poll);
        if !intact {
            leave(former, &self.wake);
        }
        self.wake.become_another(&wake);
        set_mark(self.poll.as_raw_fd(), self.wake.mark);
        self.renewals = self.renewals.wrapping_add(1);
        let mut lost = Vec::new();
        for (fd, entry) in self.table.iter_mut() {
            let mask = std::mem::take(&mut entry.armed);
            if mask != 0 && arm(self.poll.registry(), fd, entry, mask).is_err() {
                lost.push(fd);
            }
        }
        for fd in lost {
            self.orphan(fd);
        }
        Ok(())
    }

    /// How many wait or listen to read.
    #[inline]
    pub fn readers(&self) -> usize {
        self.waiting[Direction::Read as usize]
    }

    /// How many wait or listen to write.
    #[inline]
    pub fn writers(&self) -> usize {
        self.waiting[Direction::Write as usize]
    }

    /// Who waits for one descriptor and direction, longest first.
    pub fn waiting(&self, fd: RawFd, direction: Direction) -> impl Iterator<Item = &W> {
        let entry = self.table.get(fd);
        entry
            .into_iter()
            .flat_map(move |entry| entry.waiting(direction))
    }

    /// Everybody who waits or listens, by descriptor.
    pub fn iter(&self) -> impl Iterator<Item = (RawFd, Direction, &W)> {
        self.table.iter().flat_map(|(fd, entry)| {
            Direction::BOTH.into_iter().flat_map(move |direction| {
                let waiting = entry.waiting(direction);
                waiting.map(move |waiter| (fd, direction, waiter))
            })
        })
    }

    /// The entry of a handle that is not stale.
    #[inline]
    fn owned_entry(&mut self, handle: Handle) -> Option<&mut Entry<W>> {
        let entry = self.table.get_mut(handle.fd)?;
        (entry.owned && entry.generation == handle.generation).then_some(entry)
    }

    /// Watches an owned descriptor in one direction more.
    #[cold]
    fn extend(&mut self, fd: RawFd, direction: Direction) -> Result<(), WatchError> {
        let entry = self.table.entry(fd);
        let mask = entry.armed | direction.bit();
        let mut armed = arm(self.poll.registry(), fd, entry, mask);
        if armed.is_err() && self.mend().map_err(WatchError::Os)? {
            let entry = self.table.entry(fd);
            armed = arm(self.poll.registry(), fd, entry, mask);
        }
        if matches!(armed, Err(WatchError::Stale | WatchError::BadDescriptor)) {
            self.orphan(fd);
        }
        armed
    }

    /// Registers a descriptor for one waiter more and returns the entry to queue it in.
    ///
    /// Asks the kernel even if the direction is armed: an owned descriptor's edge may have been
    /// spent, and the number may name another file now.
    fn enlist(&mut self, fd: RawFd, direction: Direction) -> Result<&mut Entry<W>, WatchError> {
        let fd = checked(fd)?;
        let entry = self.table.entry(fd);
        let known = entry.armed != 0;
        let mask = entry.due_interest() | direction.bit();
        let mut armed = arm(self.poll.registry(), fd, entry, mask);
        let refused = !matches!(armed, Ok(()) | Err(WatchError::NotPollable));
        if refused && self.mend().map_err(WatchError::Os)? {
            let entry = self.table.entry(fd);
            armed = arm(self.poll.registry(), fd, entry, mask);
        }
        if known && matches!(&armed, Err(error) if !matches!(error, WatchError::Os(_))) {
            // Another file, or none: whoever waited here waits for a file that is gone.
            self.orphan(fd);
            if matches!(armed, Err(WatchError::Stale)) {
                let entry = self.table.entry(fd);
                armed = arm(self.poll.registry(), fd, entry, direction.bit());
            }
        }
        armed.map(|()| self.table.entry(fd))
    }

    /// Sets those aside who wait for a file that is gone; the next poll, which the waker
    /// hastens, tells them.
    #[cold]
    fn orphan(&mut self, fd: RawFd) {
        let entry = self.table.entry(fd);
        for (waiter, direction) in entry.forget() {
            self.waiting[direction as usize] -= 1;
            self.orphans.push((waiter, direction));
        }
        if !self.orphans.is_empty() {
            self.wake.wake();
        }
    }
}

impl<W> Drop for Reactor<W> {
    fn drop(&mut self) {
        if !is_intact(&self.poll, &self.wake)
            && let Ok(other) = Poll::new()
        {
            leave(std::mem::replace(&mut self.poll, other), &self.wake);
        }
    }
}

/// Lets go of a poll set and a waker whose numbers are not ours any more.
#[expect(
    clippy::mem_forget,
    reason = "its end would close another file of that number"
)]
fn leave(poll: Poll, wake: &Wake) {
    std::mem::forget(poll);
    wake.leave();
}

impl<W> AsRawFd for Reactor<W> {
    /// The poll set's own descriptor: readable when a poll would find something.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

/// Hands one event to the first waiter of each direction it concerns and leaves the kernel
/// watching for the others.
fn serve<W>(
    registry: &Registry,
    table: &mut Table<W>,
    waiting: &mut [usize; 2],
    event: &Event,
    out: &mut Vec<(W, Readiness)>,
) {
    let fd = fd_of(event.token());
    let Some(entry) = table.get_mut(fd) else {
        return;
    };
    if token(fd, entry.generation) != event.token() {
        return;
    }
    let happened = directions(event);
    entry.drained &= !happened;
    entry.closed |= event.is_read_closed() || event.is_write_closed() || event.is_error();
    if entry.owned {
        entry.ready |= happened;
    }
    for direction in Direction::BOTH {
        if happened & direction.bit() == 0 {
            continue;
        }
        if let Some((waiter, left)) = entry.serve(direction) {
            waiting[direction as usize] -= usize::from(left);
            out.push((waiter, Readiness::Ready(direction)));
        }
    }
    let due = entry.due_interest();
    if due == 0 {
        disarm(registry, fd, entry);
        return;
    }
    // Those still waiting in a direction just reported had no edge of their own.
    let again = entry.wanted() & happened != 0 || due != entry.armed;
    if again && arm(registry, fd, entry, due).is_err() {
        for (waiter, direction) in entry.forget() {
            waiting[direction as usize] -= 1;
            out.push((waiter, Readiness::Gone(direction)));
        }
    }
}
