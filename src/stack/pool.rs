//! Which slot is whose: free list, slabs, and what may be trimmed. Knows nothing of memory.
//!
//! # Invariants
//!
//! - P1: a slot is either fresh (never taken), in use, or on the free list, exactly once;
//!   only slots on the free list are passed to `Memory::discard_*`, and only slabs of which
//!   no slot is in use to `Memory::unmap`.
//! - P2: at most one slab has fresh slots (`open`): another is mapped only when there is none.
//! - P3: the free list is a stack, and from its bottom: the first `cold` entries have no memory,
//!   the next up to `settled` have shallow memory only, the rest were used since they were
//!   trimmed. Last in, first out keeps these ranges contiguous, so taking and releasing never
//!   touch more than its end, and trimming finds its work without searching.
#![forbid(unsafe_code)]

use super::StackError;

/// What the pool needs to be done with real memory.
pub(super) trait Memory {
    /// A mapping of several slots.
    type Slab;

    /// Maps a slab; `in_use` is for the text of an error.
    fn map(&mut self, in_use: usize) -> Result<Self::Slab, StackError>;
    /// How many slots a slab has.
    fn slots(&self, slab: &Self::Slab) -> u32;
    /// Where a slot starts.
    fn start(&self, slab: &Self::Slab, slot: u32) -> usize;
    /// Makes a fresh slot usable.
    fn arm(&mut self, slab: &Self::Slab, slot: u32, in_use: usize) -> Result<(), StackError>;
    /// Gives the deep pages of a free slot back.
    fn discard_deep(&mut self, slab: &Self::Slab, slot: u32);
    /// Gives all pages of a free slot back.
    fn discard_all(&mut self, slab: &Self::Slab, slot: u32);
    /// Unmaps a slab of which `armed` slots were ever taken and none is in use.
    fn unmap(&mut self, slab: Self::Slab, armed: u32);
}

/// Names a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId {
    slab: u32,
    slot: u32,
}

#[derive(Debug)]
struct Entry<S> {
    slab: S,
    /// Slots from here on are fresh.
    armed: u32,
    in_use: u32,
    /// Set while `unmap_empty` runs: has a slot among the hot ones.
    hot: bool,
}

#[derive(Debug)]
pub(super) struct Pool<M: Memory> {
    memory: M,
    /// Indexed by `SlotId::slab`; `None` once unmapped.
    slabs: Vec<Option<Entry<M::Slab>>>,
    vacant: Vec<u32>,
    open: Option<u32>,
    free: Vec<SlotId>,
    cold: usize,
    settled: usize,
    in_use: usize,
    /// Slabs without a slot in use.
    empty: usize,
    /// Whether looking for slabs to unmap may find one.
    sweep: bool,
    hot: usize,
}

impl<M: Memory> Pool<M> {
    /// Makes an empty pool that keeps shallow memory in the `hot` most recently freed slots.
    pub(super) fn new(memory: M, hot: usize) -> Self {
        Self {
            memory,
            slabs: Vec::new(),
            vacant: Vec::new(),
            open: None,
            free: Vec::new(),
            cold: 0,
            settled: 0,
            in_use: 0,
            empty: 0,
            sweep: false,
            hot,
        }
    }

    /// Takes the slot freed last, or a fresh one; returns its start too.
    #[inline]
    pub(super) fn take(&mut self) -> Result<(SlotId, usize), StackError> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => self.take_fresh()?,
        };
        let entry = entry_mut(&mut self.slabs, id.slab);
        self.empty -= usize::from(entry.in_use == 0);
        entry.in_use += 1;
        self.in_use += 1;
        Ok((id, self.memory.start(&entry.slab, id.slot)))
    }

    #[cold]
    fn take_fresh(&mut self) -> Result<SlotId, StackError> {
        let slab = match self.open {
            Some(slab) => slab,
            None => self.open_slab()?,
        };
        let entry = entry_mut(&mut self.slabs, slab);
        let slot = entry.armed;
        self.memory.arm(&entry.slab, slot, self.in_use)?;
        entry.armed += 1;
        if entry.armed == self.memory.slots(&entry.slab) {
            self.open = None;
        }
        Ok(SlotId { slab, slot })
    }

    fn open_slab(&mut self) -> Result<u32, StackError> {
        let entry = Entry {
            slab: self.memory.map(self.in_use)?,
            armed: 0,
            in_use: 0,
            hot: false,
        };
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slabs.push(None);
            (self.slabs.len() - 1) as u32
        });
        self.slabs[index as usize] = Some(entry);
        self.empty += 1;
        self.open = Some(index);
        Ok(index)
    }

    /// Puts a slot in use back.
    #[inline]
    pub(super) fn release(&mut self, id: SlotId) {
        // Where this one goes, and above, nothing is trimmed any more.
        let place = self.free.len();
        self.cold = self.cold.min(place);
        self.settled = self.settled.min(place);
        self.free.push(id);
        self.in_use -= 1;
        let entry = entry_mut(&mut self.slabs, id.slab);
        entry.in_use -= 1;
        if entry.in_use == 0 {
            self.empty += 1;
            self.sweep = true;
        }
    }

    /// Trims free slots, about `budget` of them; returns how many.
    pub(super) fn trim(&mut self, budget: usize) -> usize {
        self.cold = self.cold.min(self.free.len());
        self.settled = self.settled.min(self.free.len());
        let mut done = 0;
        if self.empty > 0 && self.slabs() > 1 && (self.sweep || self.cold < self.hot_start()) {
            done += self.unmap_empty(budget);
        }
        while done < budget && self.cold < self.hot_start() {
            let id = self.free[self.cold];
            let entry = entry_mut(&mut self.slabs, id.slab);
            self.memory.discard_all(&entry.slab, id.slot);
            self.cold += 1;
            self.settled = self.settled.max(self.cold);
            done += 1;
        }
        while done < budget && self.settled < self.free.len() {
            let id = self.free[self.settled];
            let entry = entry_mut(&mut self.slabs, id.slab);
            self.memory.discard_deep(&entry.slab, id.slot);
            self.settled += 1;
            done += 1;
        }
        done
    }

    /// Free slots from here on are hot.
    fn hot_start(&self) -> usize {
        self.free.len().saturating_sub(self.hot)
    }

    /// Unmaps slabs without a slot in use or among the hot ones, except the last slab.
    fn unmap_empty(&mut self, budget: usize) -> usize {
        for id in &self.free[self.hot_start()..] {
            entry_mut(&mut self.slabs, id.slab).hot = true;
        }
        let mut removed = Vec::new();
        let mut done = 0;
        for index in 0..self.slabs.len() {
            let Some(entry) = &self.slabs[index] else {
                continue;
            };
            let idle = entry.in_use == 0 && !entry.hot;
            if !idle || removed.len() + 1 == self.slabs() || done >= budget {
                continue;
            }
            done += entry.armed as usize;
            removed.push(index as u32);
        }
        // If the budget ended this, there is more to find the next time.
        self.sweep = done >= budget;
        for entry in self.slabs.iter_mut().flatten() {
            entry.hot = false;
        }
        if !removed.is_empty() {
            self.forget(&removed);
        }
        done
    }

    /// Takes slabs out of all lists and unmaps them.
    fn forget(&mut self, removed: &[u32]) {
        let gone = |id: &SlotId| removed.binary_search(&id.slab).is_ok();
        let before = |end: usize| self.free[..end].iter().filter(|id| gone(id)).count();
        let (cold, settled) = (before(self.cold), before(self.settled));
        self.cold -= cold;
        self.settled -= settled;
        self.free.retain(|id| !gone(id));
        for &index in removed {
            if self.open == Some(index) {
                self.open = None;
            }
            if let Some(entry) = self.slabs[index as usize].take() {
                self.memory.unmap(entry.slab, entry.armed);
            }
            self.vacant.push(index);
            self.empty -= 1;
        }
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    pub(super) fn dirty(&self) -> usize {
        self.free.len() - self.settled.min(self.free.len())
    }

    pub(super) fn slabs(&self) -> usize {
        self.slabs.len() - self.vacant.len()
    }
}

#[inline]
fn entry_mut<S>(slabs: &mut [Option<Entry<S>>], index: u32) -> &mut Entry<S> {
    slabs[index as usize]
        .as_mut()
        .expect("a slot keeps its slab mapped")
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
