//! Waiter lists: who waits for a primitive, in order of arrival, with removal.
//!
//! Every event, semaphore, queue and descriptor has such a list, most are empty most of the
//! time, and one entry is the usual length. So an empty list owns no memory, and a ring buffer
//! (not a linked list, whose nodes would each be an allocation and a cache miss) holds the rest.
//!
//! Invariants: ids grow from front to back; neither end is a tombstone; tombstones never
//! outnumber the living. The last two bound memory by the living and let `front` be a plain read.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// Names one entry of one list; never reused within that list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterKey(u64);

/// First in, first out, and each entry can leave early.
#[derive(Debug)]
pub struct WaiterList<T> {
    entries: VecDeque<(u64, Option<T>)>,
    next_id: u64,
    tombstones: usize,
}

impl<T> Default for WaiterList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> WaiterList<T> {
    /// An empty list, without memory until the first push.
    pub const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            next_id: 0,
            tombstones: 0,
        }
    }

    /// Adds `waiter` behind all others.
    #[inline]
    pub fn push_back(&mut self, waiter: T) -> WaiterKey {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_back((id, Some(waiter)));
        WaiterKey(id)
    }

    /// Takes the one that has waited longest.
    #[inline]
    pub fn pop_front(&mut self) -> Option<T> {
        let (_, waiter) = self.entries.pop_front()?;
        if self.tombstones > 0 {
            self.tidy();
        }
        waiter
    }

    /// The one that has waited longest.
    #[inline]
    pub fn front(&self) -> Option<&T> {
        self.entries.front().and_then(|(_, waiter)| waiter.as_ref())
    }

    /// Takes the entry named `key`, if it still waits.
    pub fn remove(&mut self, key: WaiterKey) -> Option<T> {
        let index = self.position(key.0)?;
        let waiter = self.entries[index].1.take()?;
        self.tombstones += 1;
        self.tidy();
        Some(waiter)
    }

    /// Whether the entry named `key` still waits.
    pub fn contains(&self, key: WaiterKey) -> bool {
        self.position(key.0)
            .is_some_and(|index| self.entries[index].1.is_some())
    }

    /// How many wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len() - self.tombstones
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those who wait, longest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries
            .iter()
            .filter_map(|(_, waiter)| waiter.as_ref())
    }

    /// Takes all who wait, longest first; the list keeps its capacity.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.tombstones = 0;
        self.entries.drain(..).filter_map(|(_, waiter)| waiter)
    }

    /// Where the entry with `id` lies, living or not.
    #[inline]
    fn position(&self, id: u64) -> Option<usize> {
        let (first, _) = self.entries.front()?;
        // Ids have no gaps until a sweep removes tombstones, so this guess mostly hits.
        let guess = id.checked_sub(*first)? as usize;
        if self.entries.get(guess).is_some_and(|entry| entry.0 == id) {
            return Some(guess);
        }
        self.entries.binary_search_by_key(&id, |entry| entry.0).ok()
    }

    /// Restores the invariants after an entry became a tombstone or left the front.
    fn tidy(&mut self) {
        while matches!(self.entries.front(), Some((_, None))) {
            self.entries.pop_front();
            self.tombstones -= 1;
        }
        while matches!(self.entries.back(), Some((_, None))) {
            self.entries.pop_back();
            self.tombstones -= 1;
        }
        if self.tombstones > self.entries.len() / 2 {
            self.entries.retain(|(_, waiter)| waiter.is_some());
            self.tombstones = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::prng::Prng;

    static EMPTY: WaiterList<u8> = WaiterList::new();

    #[test]
    fn empty_list_is_a_constant_and_owns_no_memory() {
        assert!(EMPTY.is_empty());
        assert_eq!(EMPTY.entries.capacity(), 0);
        assert_eq!(EMPTY.front(), None);
    }

    #[test]
    fn waiters_are_served_in_order_of_arrival() {
        let mut list = WaiterList::new();
        (0..4).for_each(|waiter| {
            list.push_back(waiter);
        });
        assert_eq!(list.front(), Some(&0));
        let order: Vec<i32> = std::iter::from_fn(|| list.pop_front()).collect();
        assert_eq!(order, [0, 1, 2, 3]);
        assert!(list.is_empty());
    }

    #[test]
    fn leaving_early_does_not_reorder_the_others() {
        let mut list = WaiterList::new();
        let keys: Vec<_> = (0..5).map(|waiter| list.push_back(waiter)).collect();
        assert_eq!(list.remove(keys[2]), Some(2));
        assert_eq!(list.remove(keys[2]), None);
        assert_eq!(list.remove(keys[0]), Some(0));
        assert!(!list.contains(keys[0]) && list.contains(keys[1]));
        assert_eq!(list.front(), Some(&1));
        assert_eq!(list.len(), 3);
        assert_eq!(list.drain().collect::<Vec<_>>(), [1, 3, 4]);
        assert!(list.is_empty());
    }

    #[test]
    fn key_of_a_served_waiter_names_nobody_later() {
        let mut list = WaiterList::new();
        let old = list.push_back('a');
        list.pop_front();
        list.push_back('b');
        assert_eq!(list.remove(old), None);
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn memory_is_bounded_by_the_living_whatever_leaves() {
        let mut list = WaiterList::new();
        // One who stays at each end would keep all tombstones between them.
        list.push_back(0);
        let mut newest = list.push_back(1);
        for waiter in 2..100_000 {
            let next = list.push_back(waiter);
            list.remove(newest);
            newest = next;
            assert!(list.entries.len() <= 2 * list.len() + 1);
        }
        assert_eq!(list.len(), 2);
        assert!(list.entries.capacity() <= 16);
    }

    #[test]
    fn random_operations_agree_with_a_plain_vector() {
        for seed in 1..20 {
            let mut random = Prng::new(seed);
            let mut list = WaiterList::new();
            let mut model: Vec<(WaiterKey, u64)> = Vec::new();
            let mut gone = Vec::new();
            for step in 0..2000 {
                match random.below(10) {
                    0..4 => {
                        let key = list.push_back(step);
                        model.push((key, step));
                    }
                    4..6 => {
                        let expected = (!model.is_empty()).then(|| model.remove(0));
                        assert_eq!(list.pop_front(), expected.map(|(_, waiter)| waiter));
                        gone.extend(expected.map(|(key, _)| key));
                    }
                    6..9 if !model.is_empty() => {
                        let index = random.below(model.len() as u64) as usize;
                        let (key, waiter) = model.remove(index);
                        assert_eq!(list.remove(key), Some(waiter));
                        gone.push(key);
                    }
                    _ if !gone.is_empty() => {
                        let key = gone[random.below(gone.len() as u64) as usize];
                        assert_eq!(list.remove(key), None);
                    }
                    _ => {}
                }
                assert_eq!(list.len(), model.len());
                assert_eq!(list.is_empty(), model.is_empty());
                assert_eq!(list.front(), model.first().map(|(_, waiter)| waiter));
                assert!(list.iter().eq(model.iter().map(|(_, waiter)| waiter)));
                assert!(model.iter().all(|(key, _)| list.contains(*key)));
            }
        }
    }
}
