//! The timer heap: deadlines in order, with cheap cancellation.
//!
//! Nearly every timer of a server is a timeout that is cancelled long before its deadline, so
//! cancelling must not search or sift: it takes the payload out of its slot and leaves the heap
//! entry behind, to be dropped when it reaches the head or when cancelled entries outnumber
//! live ones and all are swept at once. A sweep of n entries follows at least n/2 cancellations
//! since the last one, hence O(1) each.
//!
//! A timing wheel (tokio, the kernel) would insert in O(1) too, but rounds deadlines and loses
//! the order of creation between equal ones, which programs see. Four children per node halve
//! the depth of a binary heap, and the four lie in two cache lines.
//!
//! Invariants: every heap entry owns its slot until it leaves the heap, so an entry needs no
//! generation; a slot without payload that is not on the free list belongs to a cancelled entry;
//! `cancelled <= len + 1` after every call. The last is upstream's visible promise as well.

#![forbid(unsafe_code)]

/// Names a timer; a key whose timer has fired or was cancelled names nothing for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    slot: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: u64,
    sequence: u64,
    slot: u32,
}

impl Entry {
    /// The order of firing, as one number: compares without a branch.
    #[inline]
    fn rank(&self) -> u128 {
        (u128::from(self.deadline) << 64) | u128::from(self.sequence)
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    payload: Option<T>,
}

/// Children per node.
const ARITY: usize = 4;

/// Payloads ordered by `(deadline, order of insertion)`.
#[derive(Debug)]
pub struct TimerHeap<T> {
    heap: Vec<Entry>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    next_sequence: u64,
    cancelled: usize,
}

impl<T> Default for TimerHeap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TimerHeap<T> {
    /// An empty heap, without memory until the first insertion.
    pub const fn new() -> Self {
        Self {
            heap: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            next_sequence: 0,
            cancelled: 0,
        }
    }

    /// Adds a timer that is due at `deadline_ns`.
    ///
    /// # Panics
    /// With 2^32 timers alive.
    #[inline]
    pub fn insert(&mut self, deadline_ns: u64, payload: T) -> TimerKey {
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize].payload = Some(payload);
            slot
        } else {
            let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 timers");
            self.slots.push(Slot {
                generation: 0,
                payload: Some(payload),
            });
            slot
        };
        let entry = Entry {
            deadline: deadline_ns,
            sequence: self.next_sequence,
            slot,
        };
        self.next_sequence += 1;
        self.heap.push(entry);
        self.sift_up(self.heap.len() - 1);
        TimerKey {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    /// Takes the timer named `key` out, if it has neither fired nor been cancelled.
    #[inline]
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let payload = slot.payload.take()?;
        // A timeout around a short piece of work is the newest entry and sits at the end,
        // from where it can leave without disturbing the heap.
        if self.heap.last().is_some_and(|entry| entry.slot == key.slot) {
            self.heap.pop();
            self.release(key.slot);
        } else {
            self.cancelled += 1;
        }
        self.sweep_if_due();
        Some(payload)
    }

    /// Whether the timer named `key` has neither fired nor been cancelled.
    #[inline]
    pub fn contains(&self, key: TimerKey) -> bool {
        self.get(key).is_some()
    }

    /// The payload of the timer named `key`, if it has neither fired nor been cancelled.
    #[inline]
    pub fn get(&self, key: TimerKey) -> Option<&T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        slot.payload.as_ref()
    }

    /// Takes the first timer whose deadline is not after `now`.
    #[inline]
    pub fn pop_due(&mut self, now: u64) -> Option<(u64, T)> {
        if self.next_deadline()? > now {
            return None;
        }
        let entry = self.remove_head();
        let payload = self.slots[entry.slot as usize].payload.take();
        self.release(entry.slot);
        self.sweep_if_due();
        payload.map(|payload| (entry.deadline, payload))
    }

    /// The deadline of the first live timer.
    ///
    /// Takes `&mut self` because cancelled entries in front of it are dropped on the way.
    #[inline]
    pub fn next_deadline(&mut self) -> Option<u64> {
        loop {
            let head = *self.heap.first()?;
            if self.slots[head.slot as usize].payload.is_some() {
                return Some(head.deadline);
            }
            self.remove_head();
            self.release(head.slot);
            self.cancelled -= 1;
        }
    }

    /// How many timers are alive.
    #[inline]
    pub fn len(&self) -> usize {
        self.heap.len() - self.cancelled
    }

    /// Whether no timer is alive.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many cancelled entries are still in the heap.
    #[inline]
    pub fn cancelled(&self) -> usize {
        self.cancelled
    }

    /// All entries of the heap, live and cancelled.
    #[inline]
    pub fn total(&self) -> usize {
        self.heap.len()
    }

    /// The live timers with their deadlines, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.heap.iter().filter_map(|entry| {
            let payload = self.slots[entry.slot as usize].payload.as_ref()?;
            Some((entry.deadline, payload))
        })
    }

    /// Takes all live timers out, in the order in which they would have fired.
    pub fn drain(&mut self) -> Vec<(u64, T)> {
        self.heap.sort_unstable_by_key(Entry::rank);
        let mut drained = Vec::with_capacity(self.len());
        for index in 0..self.heap.len() {
            let Entry { deadline, slot, .. } = self.heap[index];
            if let Some(payload) = self.slots[slot as usize].payload.take() {
                drained.push((deadline, payload));
            }
            self.release(slot);
        }
        self.heap.clear();
        self.cancelled = 0;
        drained
    }

    /// Gives a slot back whose entry has left the heap; keys to it are void from now on.
    #[inline]
    fn release(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        // A slot whose generations are used up is retired: 16 bytes or so in 2^32 timers.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(index);
        }
    }

    /// Takes the head off a heap that is not empty.
    #[inline]
    fn remove_head(&mut self) -> Entry {
        let head = self.heap.swap_remove(0);
        if self.heap.len() > 1 {
            self.sift_down(0);
        }
        head
    }

    #[inline]
    fn sweep_if_due(&mut self) {
        if self.cancelled > self.len() + 1 {
            self.sweep();
        }
    }

    /// Drops all cancelled entries and restores the heap in linear time.
    #[cold]
    fn sweep(&mut self) {
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|entry| {
            let live = self.slots[entry.slot as usize].payload.is_some();
            if !live {
                self.release(entry.slot);
            }
            live
        });
        self.heap = heap;
        self.cancelled = 0;
        if self.heap.len() > 1 {
            for index in (0..=(self.heap.len() - 2) / ARITY).rev() {
                self.sift_down(index);
            }
        }
    }

    #[inline]
    fn sift_up(&mut self, mut index: usize) {
        let entry = self.heap[index];
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if self.heap[parent].rank() <= entry.rank() {
                break;
            }
            self.heap[index] = self.heap[parent];
            index = parent;
        }
        self.heap[index] = entry;
    }

    #[inline]
    fn sift_down(&mut self, mut index: usize) {
        let heap = self.heap.as_mut_slice();
        let entry = heap[index];
        loop {
            let first = index * ARITY + 1;
            let children = first..heap.len().min(first + ARITY);
            let Some(least) = children.min_by_key(|&child| heap[child].rank()) else {
                break;
            };
            if entry.rank() <= heap[least].rank() {
                break;
            }
            heap[index] = heap[least];
            index = least;
        }
        heap[index] = entry;
    }
}

#[cfg(test)]
mod tests {
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
            let mut live: Vec<_> = timers.iter().map(|(due, n)| (due, *n)).collect();
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
}
