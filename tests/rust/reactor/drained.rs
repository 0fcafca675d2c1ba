//! A stream that was read to its end for now: what is known of it, and until when.

use super::*;

fn owned(reactor: &mut Reactor<u32>, socket: &UnixStream) -> RawFd {
    let fd = socket.as_raw_fd();
    let handle = reactor.attach(fd).unwrap();
    reactor.clear_ready(handle, R);
    let key = reactor.wait(handle, R, 1).unwrap().unwrap();
    reactor.unwatch(key);
    fd
}

#[test]
fn a_short_read_tells_until_the_next_edge() {
    let mut reactor = reactor();
    let (ours, mut peer) = pair();
    let fd = owned(&mut reactor, &ours);
    assert!(!reactor.is_drained(fd, R));
    reactor.note_drained(fd, R, || true);
    assert!(reactor.is_drained(fd, R));
    assert!(!reactor.is_drained(fd, W));
    peer.write_all(b"news").unwrap();
    poll_now(&mut reactor);
    assert!(!reactor.is_drained(fd, R));
}

#[test]
fn the_end_of_a_stream_that_was_seen_is_never_forgotten() {
    let mut reactor = reactor();
    let (ours, mut peer) = pair();
    let fd = owned(&mut reactor, &ours);
    peer.write_all(b"last words").unwrap();
    drop(peer);
    poll_now(&mut reactor);
    // Reading "last words" is a short read, but end of file comes without another edge.
    reactor.note_drained(fd, R, || true);
    assert!(!reactor.is_drained(fd, R));
}

#[test]
fn the_end_of_a_stream_that_was_not_seen_yet_is_an_edge() {
    let mut reactor = reactor();
    let (ours, mut peer) = pair();
    let fd = owned(&mut reactor, &ours);
    peer.write_all(b"last words").unwrap();
    drop(peer);
    reactor.note_drained(fd, R, || true);
    assert!(reactor.is_drained(fd, R));
    poll_now(&mut reactor);
    assert!(!reactor.is_drained(fd, R));
}

#[test]
fn datagrams_unwatched_and_foreign_descriptors_are_never_drained() {
    let mut reactor = reactor();
    let (ours, _peer) = pair();
    let fd = ours.as_raw_fd();
    reactor.note_drained(fd, R, || true);
    assert!(!reactor.is_drained(fd, R));
    reactor.attach(fd).unwrap();
    reactor.note_drained(fd, R, || true);
    assert!(
        !reactor.is_drained(fd, R),
        "no edge would come: not watched"
    );
    let (other, _peer) = pair();
    let fd = owned(&mut reactor, &other);
    reactor.note_drained(fd, R, || false);
    assert!(!reactor.is_drained(fd, R));
}

#[test]
fn closing_forgets_what_was_drained() {
    let mut reactor = reactor();
    let (ours, _peer) = pair();
    let fd = owned(&mut reactor, &ours);
    reactor.note_drained(fd, R, || true);
    reactor.close_fd(fd);
    assert!(!reactor.is_drained(fd, R));
    reactor.attach(fd).unwrap();
    assert!(!reactor.is_drained(fd, R));
}
