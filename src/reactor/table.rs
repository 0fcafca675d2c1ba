//! The interest table: what is known of each descriptor, and who waits for it.
//!
//! Descriptors are small and dense, so a vector indexed by number finds an entry with two
//! loads. Entries are boxed: a hub that watches descriptor 60,000 alone pays eight bytes for
//! each number below. Beyond [`DENSE`] (the kernel's default for `fs.nr_open`) a hash map takes
//! over. An entry once made stays, with its queues' memory and its generation, for the next
//! file of that number; there are as many as files were ever open at once.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::os::fd::RawFd;

use super::{Direction, Key};
use crate::sched::WaiterList;

/// Numbers from here on live in the hash map.
const DENSE: usize = 1 << 20;

/// One place in a queue.
#[derive(Debug)]
struct Waiter<W> {
    payload: W,
    /// How to copy the payload of a listener, which stays when it is served. A function, so
    /// that only [`Entry::push_listener`] asks for `Clone`.
    stays: Option<fn(&W) -> W>,
}

/// What is known of one descriptor number.
#[derive(Debug)]
pub(super) struct Entry<W> {
    /// Grows when a registration ends: tells its late events from those of the next.
    pub(super) generation: u32,
    /// Whether one of our sockets has this number.
    pub(super) owned: bool,
    /// Directions the kernel was last told to watch; 0: not registered.
    pub(super) armed: u8,
    /// Directions (of an owned descriptor) ready since the owner last met EAGAIN.
    pub(super) ready: u8,
    /// Directions (of an owned stream) known to have nothing left: the next news is an edge.
    pub(super) drained: u8,
    /// The peer has closed or broken the connection: no edge tells of it again.
    pub(super) closed: bool,
    /// Whether it is a byte stream, once that was asked.
    pub(super) stream: Option<bool>,
    queues: [WaiterList<Waiter<W>>; 2],
}

impl<W> Entry<W> {
    const fn new() -> Self {
        Self {
            generation: 0,
            owned: false,
            armed: 0,
            ready: 0,
            drained: 0,
            closed: false,
            stream: None,
            queues: [WaiterList::new(), WaiterList::new()],
        }
    }

    /// Directions somebody waits for.
    #[inline]
    pub(super) fn wanted(&self) -> u8 {
        u8::from(!self.queues[0].is_empty()) | (u8::from(!self.queues[1].is_empty()) << 1)
    }

    /// Directions the kernel must watch: an owned descriptor stays armed, a foreign one only
    /// for those who wait.
    #[inline]
    pub(super) fn due_interest(&self) -> u8 {
        if self.owned {
            self.armed | self.wanted()
        } else {
            self.wanted()
        }
    }

    /// Queues one who waits once.
    #[inline]
    pub(super) fn push(&mut self, fd: RawFd, direction: Direction, payload: W) -> Key {
        self.enqueue(fd, direction, payload, None)
    }

    /// Queues one who stays until removed.
    pub(super) fn push_listener(&mut self, fd: RawFd, direction: Direction, payload: W) -> Key
    where
        W: Clone,
    {
        self.enqueue(fd, direction, payload, Some(W::clone))
    }

    #[inline]
    fn enqueue(
        &mut self,
        fd: RawFd,
        direction: Direction,
        payload: W,
        stays: Option<fn(&W) -> W>,
    ) -> Key {
        let id = self.queues[direction as usize].push_back(Waiter { payload, stays });
        Key { id, fd, direction }
    }

    /// Serves the first in the queue: the payload, and whether its place is free now.
    #[inline]
    pub(super) fn serve(&mut self, direction: Direction) -> Option<(W, bool)> {
        let queue = &mut self.queues[direction as usize];
        let first = queue.front()?;
        match first.stays {
            Some(copy) => Some((copy(&first.payload), false)),
            None => queue.pop_front().map(|waiter| (waiter.payload, true)),
        }
    }

    /// Takes out the one named `key`.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<W> {
        let queue = &mut self.queues[key.direction as usize];
        queue.remove(key.id).map(|waiter| waiter.payload)
    }

    /// Ends the registration on our side: nobody waits, late events are void.
    pub(super) fn forget(&mut self) -> impl Iterator<Item = (W, Direction)> + '_ {
        self.generation = self.generation.wrapping_add(1);
        self.owned = false;
        self.armed = 0;
        self.ready = 0;
        self.drained = 0;
        self.closed = false;
        self.stream = None;
        let [readers, writers] = &mut self.queues;
        let readers = readers
            .drain()
            .map(|waiter| (waiter.payload, Direction::Read));
        let writers = writers
            .drain()
            .map(|waiter| (waiter.payload, Direction::Write));
        readers.chain(writers)
    }

    /// Who waits in one direction, longest first.
    pub(super) fn waiting(&self, direction: Direction) -> impl Iterator<Item = &W> {
        self.queues[direction as usize]
            .iter()
            .map(|waiter| &waiter.payload)
    }
}

/// All entries, by descriptor number.
#[derive(Debug)]
pub(super) struct Table<W> {
    dense: Vec<Option<Box<Entry<W>>>>,
    sparse: HashMap<RawFd, Box<Entry<W>>>,
}

impl<W> Table<W> {
    pub(super) fn new() -> Self {
        Self {
            dense: Vec::new(),
            sparse: HashMap::new(),
        }
    }

    #[inline]
    pub(super) fn get(&self, fd: RawFd) -> Option<&Entry<W>> {
        let index = usize::try_from(fd).ok()?;
        match self.dense.get(index) {
            Some(entry) => entry.as_deref(),
            None if index < DENSE => None,
            None => self.sparse.get(&fd).map(Box::as_ref),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, fd: RawFd) -> Option<&mut Entry<W>> {
        let index = usize::try_from(fd).ok()?;
        match self.dense.get_mut(index) {
            Some(entry) => entry.as_deref_mut(),
            None if index < DENSE => None,
            None => self.sparse.get_mut(&fd).map(Box::as_mut),
        }
    }

    /// The entry of `fd`, which must not be negative.
    #[inline]
    pub(super) fn entry(&mut self, fd: RawFd) -> &mut Entry<W> {
        let index = fd as usize;
        if index >= DENSE {
            return self
                .sparse
                .entry(fd)
                .or_insert_with(|| Box::new(Entry::new()));
        }
        if index >= self.dense.len() {
            self.dense.resize_with(index + 1, || None);
        }
        self.dense[index].get_or_insert_with(|| Box::new(Entry::new()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RawFd, &Entry<W>)> {
        let dense = self.dense.iter().enumerate();
        let dense = dense.filter_map(|(fd, entry)| Some((fd as RawFd, entry.as_deref()?)));
        dense.chain(self.sparse.iter().map(|(fd, entry)| (*fd, entry.as_ref())))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (RawFd, &mut Entry<W>)> {
        let dense = self.dense.iter_mut().enumerate();
        let dense = dense.filter_map(|(fd, entry)| Some((fd as RawFd, entry.as_deref_mut()?)));
        dense.chain(
            self.sparse
                .iter_mut()
                .map(|(fd, entry)| (*fd, entry.as_mut())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: RawFd = DENSE as RawFd + 5;

    #[test]
    fn small_and_huge_numbers_find_their_own_entries() {
        let mut table: Table<u8> = Table::new();
        for fd in [0, 7, FAR] {
            table.entry(fd).generation = fd as u32;
        }
        assert_eq!(table.dense.len(), 8);
        assert!(
            [-1, 3, 8, FAR - 1, FAR + 1]
                .iter()
                .all(|fd| table.get(*fd).is_none())
        );
        assert!(table.get_mut(-1).is_none());
        for fd in [0, 7, FAR] {
            assert_eq!(table.get(fd).map(|entry| entry.generation), Some(fd as u32));
            assert_eq!(
                table.get_mut(fd).map(|entry| entry.generation),
                Some(fd as u32)
            );
        }
        assert!(table.iter().map(|(fd, _)| fd).eq([0, 7, FAR]));
        assert!(table.iter_mut().map(|(fd, _)| fd).eq([0, 7, FAR]));
    }

    #[test]
    fn a_listener_keeps_its_place_when_served() {
        let mut entry = Entry::new();
        let listener = entry.push_listener(3, Direction::Read, 'l');
        entry.push(3, Direction::Read, 'w');
        assert_eq!(entry.serve(Direction::Read), Some(('l', false)));
        assert_eq!(entry.serve(Direction::Read), Some(('l', false)));
        assert_eq!(entry.remove(listener), Some('l'));
        assert_eq!(entry.serve(Direction::Read), Some(('w', true)));
        assert_eq!(entry.serve(Direction::Read), None);
    }

    #[test]
    fn forgetting_returns_all_who_waited_and_starts_a_new_generation() {
        let mut entry = Entry::new();
        entry.push(3, Direction::Write, 'w');
        let key = entry.push(3, Direction::Read, 'r');
        entry.armed = 3;
        assert_eq!(entry.wanted(), 3);
        let gone: Vec<_> = entry.forget().collect();
        assert_eq!(gone, [('r', Direction::Read), ('w', Direction::Write)]);
        assert_eq!((entry.generation, entry.armed, entry.wanted()), (1, 0, 0));
        assert_eq!(entry.remove(key), None);
    }
}
