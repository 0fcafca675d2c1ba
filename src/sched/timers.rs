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
    pub fn iter(&self) -> impl Iterator<Item = (TimerKey, u64, &T)> {
        self.heap.iter().filter_map(|entry| {
            let slot = &self.slots[entry.slot as usize];
            let key = TimerKey {
                slot: entry.slot,
                generation: slot.generation,
            };
            Some((key, entry.deadline, slot.payload.as_ref()?))
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
#[path = "timers_tests.rs"]
mod tests;
