//! The promises of the timer heap.

use super::*;
use crate::sched::prng::Prng;

fn fire_all<T>(timers: &mut TimerHeap<T>) -> Vec<T> {
    std::iter::from_fn(|| timers.pop_due(u64::MAX))
        .map(|(_, payload)| payload)
        .collect()
}

#[test]
fn a_key_takes_eight_bytes_and_a_heap_entry_twenty_four() {
    assert_eq!(size_of::<TimerKey>(), 8);
    assert_eq!(size_of::<Entry>(), 24);
}

#[test]
fn later_deadline_never_fires_first() {
    let mut random = Prng::new(7);
    let mut timers = TimerHeap::new();
    for _ in 0..1000 {
        let deadline = random.below(1 << 40);
        timers.insert(deadline, deadline);
    }
    let fired = fire_all(&mut timers);
    assert_eq!(fired.len(), 1000);
    assert!(fired.is_sorted());
}

#[test]
fn equal_deadlines_fire_in_order_of_creation() {
    let mut timers = TimerHeap::new();
    for number in 0..500 {
        timers.insert(number % 3, number);
    }
    let fired = fire_all(&mut timers);
    assert!(fired.is_sorted_by_key(|number| (number % 3, *number)));
}

#[test]
fn a_timer_fires_at_its_deadline_and_not_before() {
    let mut timers = TimerHeap::new();
    timers.insert(100, 'x');
    assert_eq!(timers.pop_due(99), None);
    assert_eq!(timers.next_deadline(), Some(100));
    assert_eq!(timers.pop_due(100), Some((100, 'x')));
    assert_eq!(timers.pop_due(u64::MAX), None);
    assert_eq!(timers.next_deadline(), None);
}

#[test]
fn a_cancelled_timer_gives_its_payload_back_and_never_fires() {
    let mut timers = TimerHeap::new();
    let first = timers.insert(1, "first");
    let second = timers.insert(2, "second");
    assert!(timers.contains(first));
    assert_eq!(timers.get(second), Some(&"second"));
    assert_eq!(timers.cancel(first), Some("first"));
    assert_eq!(timers.cancel(first), None);
    assert!(!timers.contains(first));
    assert_eq!(
        (timers.len(), timers.cancelled(), timers.total()),
        (1, 1, 2)
    );
    assert_eq!(timers.next_deadline(), Some(2));
    assert_eq!(
        (timers.len(), timers.cancelled(), timers.total()),
        (1, 0, 1)
    );
    assert_eq!(fire_all(&mut timers), ["second"]);
}

#[test]
fn key_of_a_fired_timer_does_not_cancel_its_successor() {
    let mut timers = TimerHeap::new();
    let old = timers.insert(1, 'a');
    assert_eq!(timers.pop_due(1), Some((1, 'a')));
    let new = timers.insert(1, 'b');
    assert_eq!(old.slot, new.slot);
    assert_eq!(timers.cancel(old), None);
    assert!(timers.contains(new));
}

#[test]
fn a_slot_without_generations_left_is_retired() {
    let mut timers = TimerHeap::new();
    let first = timers.insert(1, 'a');
    timers.slots[first.slot as usize].generation = u32::MAX;
    let last = TimerKey {
        generation: u32::MAX,
        ..first
    };
    assert_eq!(timers.cancel(last), Some('a'));
    let next = timers.insert(1, 'b');
    assert_ne!(next.slot, last.slot);
    assert_eq!(timers.cancel(last), None);
}

#[test]
fn cancelling_at_once_leaves_nothing_behind() {
    let mut timers = TimerHeap::new();
    timers.insert(5, 0);
    for number in 0..2000 {
        let key = timers.insert(60, number);
        assert_eq!(timers.cancel(key), Some(number));
        assert_eq!(timers.total(), 1);
    }
    assert_eq!(timers.slots.len(), 2);
}

#[test]
fn a_third_cancelled_is_left_in_the_heap_and_more_than_half_is_swept() {
    let mut timers = TimerHeap::new();
    let mut kept = Vec::new();
    for round in 0..1000 {
        let key = timers.insert(60 + round, round);
        kept.push(timers.insert(60 + round, round));
        kept.push(timers.insert(60 + round, round));
        timers.cancel(key);
    }
    assert_eq!(timers.cancelled(), 1000);
    assert_eq!(timers.total(), 3000);
    for key in kept {
        timers.cancel(key);
        assert!(timers.cancelled() <= timers.len() + 1);
    }
    assert_eq!(timers.len(), 0);
    assert!(timers.total() <= 1);
}

#[test]
fn drain_gives_all_live_timers_in_firing_order() {
    let mut timers = TimerHeap::new();
    let keys: Vec<_> = [5, 1, 3, 1, 4].map(|due| timers.insert(due, due)).into();
    timers.cancel(keys[2]);
    assert_eq!(timers.drain(), [(1, 1), (1, 1), (4, 4), (5, 5)]);
    assert_eq!((timers.len(), timers.total()), (0, 0));
    assert!(keys.iter().all(|key| !timers.contains(*key)));
    timers.insert(9, 9);
    assert_eq!(fire_all(&mut timers), [9]);
}

#[test]
fn random_operations_agree_with_a_sorted_list() {
    let rounds = if cfg!(miri) { 1..3 } else { 1..40 };
    for seed in rounds {
        let mut random = Prng::new(seed);
        let mut timers = TimerHeap::new();
        // (deadline, number) sorts as the heap must; the key cancels.
        let mut model: Vec<(u64, u64, TimerKey)> = Vec::new();
        let mut gone = Vec::new();
        for number in 0..1500 {
            match random.below(8) {
                0..3 => {
                    let deadline = random.below(50);
                    let key = timers.insert(deadline, number);
                    model.push((deadline, number, key));
                    model.sort_unstable_by_key(|timer| (timer.0, timer.1));
                }
                3..6 if !model.is_empty() => {
                    let index = random.below(model.len() as u64) as usize;
                    let (_, expected, key) = model.remove(index);
                    assert_eq!(timers.cancel(key), Some(expected));
                    gone.push(key);
                }
                6 => {
                    let now = random.below(50);
                    let due = model.first().is_some_and(|timer| timer.0 <= now);
                    let expected = due.then(|| model.remove(0));
                    let fired = timers.pop_due(now);
                    assert_eq!(fired, expected.map(|(deadline, n, _)| (deadline, n)));
                    gone.extend(expected.map(|timer| timer.2));
                }
                _ => {
                    let first = model.first().map(|timer| timer.0);
                    assert_eq!(timers.next_deadline(), first);
                }
            }
            assert_eq!(timers.len(), model.len());
            assert_eq!(timers.total(), timers.len() + timers.cancelled());
            assert!(timers.cancelled() <= timers.len() + 1);
            assert!(model.iter().all(|timer| timers.contains(timer.2)));
            assert!(!gone.iter().any(|key| timers.contains(*key)));
        }
        let mut live: Vec<_> = timers.iter().map(|(_, due, n)| (due, *n)).collect();
        live.sort_unstable();
        let expected: Vec<_> = model.iter().map(|timer| (timer.0, timer.1)).collect();
        assert_eq!(live, expected);
        assert_eq!(timers.drain(), expected);
    }
}

/// How long do a million insertions and cancellations take? Run with `--release -- --ignored`.
#[test]
#[ignore = "measures, promises nothing"]
fn bench_a_million_timers() {
    const COUNT: u32 = 1_000_000;
    let mut random = Prng::new(3);
    let deadlines: Vec<u64> = (0..COUNT).map(|_| random.next()).collect();
    let mut timers = TimerHeap::new();
    let start = std::time::Instant::now();
    let mut keys: Vec<_> = deadlines
        .iter()
        .map(|due| timers.insert(*due, 0_usize))
        .collect();
    let inserted = start.elapsed();
    for index in (1..keys.len()).rev() {
        keys.swap(index, random.below(index as u64 + 1) as usize);
    }
    let start = std::time::Instant::now();
    for key in &keys {
        timers.cancel(*key);
    }
    let cancelled = start.elapsed();
    for due in &deadlines {
        timers.insert(*due, 0);
    }
    let start = std::time::Instant::now();
    assert_eq!(fire_all(&mut timers).len(), COUNT as usize);
    let popped = start.elapsed();
    eprintln!(
        "ns each: insert {}, cancel in random order {}, pop {}",
        inserted.as_nanos() / u128::from(COUNT),
        cancelled.as_nanos() / u128::from(COUNT),
        popped.as_nanos() / u128::from(COUNT),
    );
}
