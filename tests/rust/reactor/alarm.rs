//! The alarm: a deadline that ends the sleep of whoever watches the set's descriptor.

use _core::reactor::{NEVER, now};

use super::*;

const MILLISECOND: u64 = 1_000_000;

#[test]
fn the_set_becomes_readable_when_the_deadline_has_passed_and_not_before() {
    let mut reactor = reactor();
    assert_eq!(reactor.alarm(), NEVER);
    let deadline = now() + 5 * MILLISECOND;
    reactor.set_alarm(deadline, now()).unwrap();
    assert_eq!(reactor.alarm(), deadline);
    assert!(!is_readable(&reactor) || now() >= deadline);
    let mut out = Vec::new();
    reactor.poll(SOON, &mut out).unwrap();
    assert!(now() >= deadline);
    assert!(out.is_empty());
    assert_eq!(reactor.alarm(), NEVER);
    assert!(!is_readable(&reactor));
}

#[test]
fn a_deadline_that_has_passed_already_ends_the_next_sleep() {
    let mut reactor = reactor();
    let instant = now();
    for deadline in [instant, instant - MILLISECOND, 0] {
        reactor.set_alarm(deadline, instant).unwrap();
        let mut out = Vec::new();
        reactor.poll(SOON, &mut out).unwrap();
        assert_eq!(reactor.alarm(), NEVER);
    }
}

#[test]
fn another_deadline_takes_the_place_of_the_former() {
    let mut reactor = reactor();
    let instant = now();
    reactor.set_alarm(instant, instant).unwrap();
    while !is_readable(&reactor) {
        thread::yield_now();
    }
    // It has gone off and was not polled: that is forgotten, too.
    let late = instant + 3_600_000 * MILLISECOND;
    reactor.set_alarm(late, instant).unwrap();
    assert!(!is_readable(&reactor));
    assert!(poll_now(&mut reactor).is_empty());
    assert_eq!(reactor.alarm(), late);
    reactor.set_alarm(NEVER - 1, instant).unwrap();
    assert_eq!(reactor.alarm(), NEVER - 1);
}

#[test]
fn a_rebuilt_set_has_no_alarm_and_takes_a_new_one() {
    let mut reactor = reactor();
    let instant = now();
    reactor.set_alarm(instant + MILLISECOND, instant).unwrap();
    reactor.rebuild().unwrap();
    assert_eq!(reactor.alarm(), NEVER);
    reactor.set_alarm(instant, instant).unwrap();
    let mut out = Vec::new();
    reactor.poll(SOON, &mut out).unwrap();
    assert_eq!(reactor.alarm(), NEVER);
}
