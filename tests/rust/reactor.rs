//! The promises of the reactor, kept against a real kernel.
//!
//! Tests run in parallel threads of one process and share its descriptor numbers: a number is
//! never closed and expected to be free, but replaced in one step by `dup2`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "reactor/drained.rs"]
mod drained;
#[path = "reactor/process.rs"]
mod process;
#[path = "reactor/random.rs"]
mod random;
#[path = "reactor/reuse.rs"]
mod reuse;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use _core::reactor::Direction::{Read as R, Write as W};
use _core::reactor::Readiness::{Gone, Ready};
use _core::reactor::{Key, Reactor, Readiness, Watch, WatchError};

/// Long enough for any machine; only a failing test waits that long.
const SOON: Option<Duration> = Some(Duration::from_secs(20));

type Woken = Vec<(u32, Readiness)>;

fn reactor() -> Reactor<u32> {
    Reactor::new().unwrap()
}

fn poll_now(reactor: &mut Reactor<u32>) -> Woken {
    let mut out = Vec::new();
    let count = reactor.poll(Some(Duration::ZERO), &mut out).unwrap();
    assert_eq!(count, out.len());
    out
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    (ours, peer)
}

fn drain(mut socket: &UnixStream) -> usize {
    let mut total = 0;
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return total,
            Ok(count) => total += count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return total;
            }
        }
    }
}

fn fill(mut socket: &UnixStream) {
    while socket.write(&[0; 4096]).is_ok() {}
}

fn parked(watch: Watch) -> Key {
    match watch {
        Watch::Parked(key) => key,
        Watch::AlwaysReady => panic!("the descriptor can be polled"),
    }
}

fn watch(reactor: &mut Reactor<u32>, fd: RawFd, who: u32) -> Key {
    parked(reactor.watch(fd, R, who).unwrap())
}

fn dup(fd: RawFd) -> OwnedFd {
    // SAFETY: no memory is involved.
    let copy = unsafe { libc::dup(fd) };
    assert!(copy >= 0);
    // SAFETY: `dup` has just made this number for us.
    unsafe { OwnedFd::from_raw_fd(copy) }
}

/// Makes the number `fd` mean the file of `source`, as a close and a reuse would.
fn replace(fd: RawFd, source: RawFd) {
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::dup2(source, fd) }, fd);
}

/// Whether a loop that watches the reactor's own descriptor would be woken.
fn is_readable(reactor: &Reactor<u32>) -> bool {
    let mut request = libc::pollfd {
        fd: reactor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live `pollfd`.
    let count = unsafe { libc::poll(&mut request, 1, 0) };
    assert!(count >= 0);
    count == 1
}

/// A number no file has, and none will get while tests run.
const NO_FILE: RawFd = 999_999;

/// Held by tests that fork, and by those that a copy of their descriptors in a child would
/// disturb.
static FORK: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    FORK.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn an_edge_that_nobody_waited_for_is_remembered() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    let key = reactor.wait(handle, R, 1).unwrap().unwrap();
    assert_eq!(reactor.unwatch(key), Some(1));
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), []);
    assert_eq!(reactor.wait(handle, R, 2).unwrap(), None);
    assert_eq!(reactor.wait(handle, R, 2).unwrap(), None);
}

#[test]
fn a_cleared_direction_waits_for_the_next_edge() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    assert_eq!(drain(&ours), 1);
    reactor.clear_ready(handle, R);
    assert!(reactor.wait(handle, R, 2).unwrap().is_some());
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"y").unwrap();
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
}

#[test]
fn each_direction_of_an_owned_descriptor_is_remembered_by_itself() {
    let (ours, peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    fill(&ours);
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    assert!(reactor.wait(handle, W, 2).unwrap().is_some());
    assert_eq!(poll_now(&mut reactor), []);
    drain(&peer);
    assert_eq!(poll_now(&mut reactor), [(2, Ready(W))]);
    assert_eq!(reactor.wait(handle, W, 3).unwrap(), None);
    assert_eq!((reactor.readers(), reactor.writers()), (1, 0));
}

#[test]
fn data_that_came_before_the_first_wait_wakes_it() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    peer.write_all(b"x").unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
}

#[test]
fn readers_of_an_owned_descriptor_are_woken_one_by_one_in_order() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    for who in 1..=3 {
        assert!(reactor.wait(handle, R, who).unwrap().is_some());
    }
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    // The first left the data behind, so the second gets its turn without a new edge.
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
    drain(&ours);
    reactor.clear_ready(handle, R);
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(3, Ready(R))]);
}

#[test]
fn readers_of_a_foreign_descriptor_are_woken_one_by_one_in_order() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    for who in 1..=3 {
        watch(&mut reactor, ours.as_raw_fd(), who);
    }
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
    drain(&ours);
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(3, Ready(R))]);
    assert_eq!(reactor.readers(), 0);
}

#[test]
fn a_foreign_descriptor_wakes_nothing_once_its_waiter_was_served() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    watch(&mut reactor, ours.as_raw_fd(), 1);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    peer.write_all(b"y").unwrap();
    assert!(!is_readable(&reactor));
    watch(&mut reactor, ours.as_raw_fd(), 2);
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
}

#[test]
fn both_directions_of_a_foreign_descriptor_can_be_watched_at_once() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    watch(&mut reactor, ours.as_raw_fd(), 1);
    parked(reactor.watch(ours.as_raw_fd(), W, 2).unwrap());
    assert_eq!(poll_now(&mut reactor), [(2, Ready(W))]);
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
}

#[test]
fn a_direction_nobody_waits_for_any_more_wakes_nothing() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    fill(&ours);
    watch(&mut reactor, ours.as_raw_fd(), 1);
    parked(reactor.watch(ours.as_raw_fd(), W, 2).unwrap());
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    drain(&ours);
    peer.write_all(b"y").unwrap();
    assert!(!is_readable(&reactor));
    drain(&peer);
    assert_eq!(poll_now(&mut reactor), [(2, Ready(W))]);
}

#[test]
fn one_who_leaves_is_not_woken_and_does_not_hold_up_the_others() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    let keys: Vec<Key> = (1..=3).map(|who| watch(&mut reactor, fd, who)).collect();
    peer.write_all(b"x").unwrap();
    assert_eq!(reactor.unwatch(keys[0]), Some(1));
    assert_eq!(reactor.unwatch(keys[0]), None);
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
    assert_eq!(reactor.unwatch(keys[1]), None);
    assert_eq!(reactor.unwatch(keys[2]), Some(3));
    assert_eq!(poll_now(&mut reactor), []);
    assert!(!is_readable(&reactor));
}

#[test]
fn trampoline_on_an_owned_descriptor_asks_the_kernel_and_not_the_sticky_bit() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    // Data there, edge spent: ready.
    watch(&mut reactor, ours.as_raw_fd(), 2);
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
    // Data gone, but read by somebody who does not clear the bit: not ready.
    drain(&ours);
    watch(&mut reactor, ours.as_raw_fd(), 3);
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"y").unwrap();
    assert_eq!(poll_now(&mut reactor), [(3, Ready(R))]);
    // The owned registration survived.
    drain(&ours);
    reactor.clear_ready(handle, R);
    assert!(reactor.wait(handle, R, 4).unwrap().is_some());
    peer.write_all(b"z").unwrap();
    assert_eq!(poll_now(&mut reactor), [(4, Ready(R))]);
}

#[test]
fn a_listener_is_reported_at_each_poll_while_the_descriptor_is_ready() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let key = reactor.listen(ours.as_raw_fd(), R, 1).unwrap();
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    drain(&ours);
    assert_eq!(poll_now(&mut reactor), []);
    peer.write_all(b"y").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    assert_eq!(reactor.readers(), 1);
    assert_eq!(reactor.unlisten(key), Some(1));
    assert_eq!(reactor.unlisten(key), None);
    assert_eq!(poll_now(&mut reactor), []);
    assert_eq!(reactor.readers(), 0);
}

#[test]
fn hang_up_wakes_both_directions() {
    let _alone = alone();
    let (ours, peer) = pair();
    let mut reactor = reactor();
    fill(&ours);
    watch(&mut reactor, ours.as_raw_fd(), 1);
    parked(reactor.watch(ours.as_raw_fd(), W, 2).unwrap());
    assert_eq!(poll_now(&mut reactor), []);
    drop(peer);
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R)), (2, Ready(W))]);
}

#[test]
fn closing_hands_back_everybody_and_later_events_wake_nobody() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    let handle = reactor.attach(fd).unwrap();
    fill(&ours);
    let key = reactor.wait(handle, R, 1).unwrap().unwrap();
    assert!(reactor.wait(handle, W, 2).unwrap().is_some());
    watch(&mut reactor, fd, 3);
    reactor.listen(fd, R, 4).unwrap();
    let all: Vec<_> = reactor
        .iter()
        .map(|(fd, dir, who)| (fd, dir, *who))
        .collect();
    assert_eq!(all, [(fd, R, 1), (fd, R, 3), (fd, R, 4), (fd, W, 2)]);
    assert!(reactor.waiting(fd, R).eq(&[1, 3, 4]));
    assert_eq!((reactor.readers(), reactor.writers()), (3, 1));

    // An event is on its way already when the descriptor is closed.
    peer.write_all(b"x").unwrap();
    assert_eq!(reactor.detach(handle), [1, 3, 4, 2]);
    assert!(reactor.detach(handle).is_empty());
    assert_eq!(poll_now(&mut reactor), []);
    assert_eq!((reactor.readers(), reactor.writers()), (0, 0));
    assert_eq!(reactor.unwatch(key), None);
    assert!(reactor.close_fd(fd).is_empty());
    assert!(reactor.close_fd(NO_FILE).is_empty());
    assert!(reactor.close_fd(-1).is_empty());
}

#[test]
fn a_regular_file_is_always_ready() {
    let file = File::open("/proc/self/exe").unwrap();
    let mut reactor = reactor();
    for direction in [R, W] {
        let watch = reactor.watch(file.as_raw_fd(), direction, 1).unwrap();
        assert_eq!(watch, Watch::AlwaysReady);
    }
    let listener = reactor.listen(file.as_raw_fd(), R, 1);
    assert!(matches!(listener, Err(WatchError::NotPollable)));
    let handle = reactor.attach(file.as_raw_fd()).unwrap();
    let wait = reactor.wait(handle, R, 1);
    assert!(matches!(wait, Err(WatchError::NotPollable)));
    assert_eq!((reactor.readers(), reactor.writers()), (0, 0));
}

#[test]
fn a_number_without_a_file_is_an_error_with_its_errno() {
    let mut reactor = reactor();
    for fd in [-1, RawFd::MIN, NO_FILE] {
        let error = reactor.watch(fd, R, 1).unwrap_err();
        assert!(matches!(error, WatchError::BadDescriptor));
        assert_eq!(error.errno(), libc::EBADF);
    }
    let error = reactor.attach(-1).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    let handle = reactor.attach(NO_FILE).unwrap();
    let wait = reactor.wait(handle, R, 1);
    assert!(matches!(wait, Err(WatchError::BadDescriptor)));
    assert_eq!(reactor.readers(), 0);
}

#[test]
fn its_own_descriptor_is_readable_exactly_when_a_poll_finds_something() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    assert!(reactor.wait(handle, R, 2).unwrap().is_some());
    assert!(!is_readable(&reactor));
    peer.write_all(b"x").unwrap();
    assert!(is_readable(&reactor));
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    // The second would be lost in a loop that only looks at this descriptor.
    assert!(is_readable(&reactor));
    drain(&ours);
    assert!(!is_readable(&reactor));
}
