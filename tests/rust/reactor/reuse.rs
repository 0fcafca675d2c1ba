//! Descriptor numbers that come to mean another file.

use super::*;

#[test]
fn a_handle_is_stale_after_detach_even_if_the_number_is_attached_again() {
    let (ours, _peer) = pair();
    let mut reactor = reactor();
    let old = reactor.attach(ours.as_raw_fd()).unwrap();
    reactor.detach(old);
    assert!(matches!(reactor.wait(old, R, 1), Err(WatchError::Stale)));
    let new = reactor.attach(ours.as_raw_fd()).unwrap();
    assert_ne!(old, new);
    assert!(matches!(reactor.wait(old, R, 1), Err(WatchError::Stale)));
    assert!(reactor.detach(old).is_empty());
    assert!(reactor.wait(new, R, 2).unwrap().is_some());
}

#[test]
fn two_sockets_on_one_descriptor_share_its_handle() {
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let first = reactor.attach(ours.as_raw_fd()).unwrap();
    assert!(reactor.wait(first, R, 1).unwrap().is_some());
    let second = reactor.attach(ours.as_raw_fd()).unwrap();
    assert_eq!(first, second);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
}

#[test]
fn a_foreign_number_reused_while_the_old_file_lives_on_wakes_the_right_one() {
    let (ours, mut old_peer) = pair();
    let (new, mut new_peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    watch(&mut reactor, fd, 1);
    let copy = dup(fd);
    replace(fd, new.as_raw_fd());

    watch(&mut reactor, fd, 2);
    assert!(is_readable(&reactor));
    assert_eq!(poll_now(&mut reactor), [(1, Gone(R))]);
    // The copy keeps the old registration alive, under the number of the new file.
    old_peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), []);
    new_peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
    drop(copy);
}

#[test]
fn an_owned_number_reused_unseen_gets_a_new_handle_and_its_waiters_learn_it() {
    let (ours, mut old_peer) = pair();
    let (new, mut new_peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    let old = reactor.attach(fd).unwrap();
    assert!(reactor.wait(old, R, 1).unwrap().is_some());
    let copy = dup(fd);
    replace(fd, new.as_raw_fd());

    let handle = reactor.attach(fd).unwrap();
    assert_ne!(old, handle);
    assert!(reactor.wait(handle, R, 2).unwrap().is_some());
    assert_eq!(poll_now(&mut reactor), [(1, Gone(R))]);
    assert!(matches!(reactor.wait(old, R, 1), Err(WatchError::Stale)));
    old_peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), []);
    new_peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
    drop(copy);
}

#[test]
fn waiting_in_a_new_direction_discovers_that_the_number_was_reused() {
    let (ours, _old_peer) = pair();
    let (new, _new_peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    let handle = reactor.attach(fd).unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    replace(fd, new.as_raw_fd());
    assert!(matches!(reactor.wait(handle, W, 2), Err(WatchError::Stale)));
    assert_eq!(poll_now(&mut reactor), [(1, Gone(R))]);
    assert_eq!(reactor.readers(), 0);
}

#[test]
fn a_number_reused_by_a_regular_file_is_always_ready() {
    let (ours, _peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    watch(&mut reactor, fd, 1);
    let file = File::open("/proc/self/exe").unwrap();
    replace(fd, file.as_raw_fd());
    assert_eq!(reactor.watch(fd, R, 2).unwrap(), Watch::AlwaysReady);
    assert_eq!(poll_now(&mut reactor), [(1, Gone(R))]);
}

#[test]
fn reopened_forgets_who_waited_for_the_old_file() {
    let (ours, _old_peer) = pair();
    let (new, mut new_peer) = pair();
    let mut reactor = reactor();
    let fd = ours.as_raw_fd();
    watch(&mut reactor, fd, 1);
    replace(fd, new.as_raw_fd());
    assert_eq!(reactor.reopened(fd), [1]);
    watch(&mut reactor, fd, 2);
    new_peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(2, Ready(R))]);
}
