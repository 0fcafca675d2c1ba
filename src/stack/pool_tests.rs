//! The pool's promises, over memory that only keeps a record.

use std::collections::HashMap;

use super::*;

const SLOTS: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Used,
    Shallow,
    Nothing,
}

/// Slots are named by slab number * 100 + slot.
#[derive(Default)]
struct Record {
    mapped: usize,
    limit: Option<usize>,
    refuse_guards: bool,
    content: HashMap<usize, Content>,
}

impl Memory for Record {
    type Slab = usize;

    fn map(&mut self, in_use: usize) -> Result<usize, StackError> {
        if self.limit == Some(self.mapped) {
            return Err(StackError::MappingLimit { limit: 9, in_use });
        }
        self.mapped += 1;
        Ok(self.mapped)
    }

    fn slots(&self, _slab: &usize) -> u32 {
        SLOTS
    }

    fn start(&self, slab: &usize, slot: u32) -> usize {
        slab * 100 + slot as usize
    }

    fn arm(&mut self, slab: &usize, slot: u32, _in_use: usize) -> Result<(), StackError> {
        if self.refuse_guards {
            return Err(StackError::Guard {
                reason: "refused".into(),
            });
        }
        let fresh = self.content.insert(self.start(slab, slot), Content::Used);
        assert_eq!(fresh, None, "armed twice");
        Ok(())
    }

    fn discard_deep(&mut self, slab: &usize, slot: u32) {
        let start = self.start(slab, slot);
        assert_eq!(
            self.content.insert(start, Content::Shallow),
            Some(Content::Used)
        );
    }

    fn discard_all(&mut self, slab: &usize, slot: u32) {
        let before = self
            .content
            .insert(self.start(slab, slot), Content::Nothing);
        assert_ne!(before, Some(Content::Nothing), "trimmed twice");
    }

    fn unmap(&mut self, slab: usize, armed: u32) {
        for slot in 0..SLOTS {
            let known = self.content.remove(&self.start(&slab, slot)).is_some();
            assert_eq!(known, slot < armed);
        }
    }
}

fn pool(hot: usize) -> Pool<Record> {
    Pool::new(Record::default(), hot)
}

fn take(pool: &mut Pool<Record>) -> (SlotId, usize) {
    let (id, start) = pool.take().expect("memory without limits");
    pool.memory.content.insert(start, Content::Used);
    (id, start)
}

fn take_many(pool: &mut Pool<Record>, count: usize) -> Vec<(SlotId, usize)> {
    (0..count).map(|_| take(pool)).collect()
}

fn release_all(pool: &mut Pool<Record>, taken: &[(SlotId, usize)]) {
    for (id, _) in taken {
        pool.release(*id);
    }
}

fn count(pool: &Pool<Record>, content: Content) -> usize {
    pool.memory
        .content
        .values()
        .filter(|&&found| found == content)
        .count()
}

#[test]
fn no_slot_is_taken_twice() {
    let mut pool = pool(2);
    let taken = take_many(&mut pool, 10);
    let mut starts: Vec<_> = taken.iter().map(|(_, start)| *start).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), 10);
    assert_eq!((pool.in_use(), pool.free(), pool.slabs()), (10, 0, 3));
}

#[test]
fn slot_released_last_is_taken_first() {
    let mut pool = pool(2);
    let taken = take_many(&mut pool, 6);
    release_all(&mut pool, &taken);
    let again: Vec<_> = take_many(&mut pool, 6).into_iter().rev().collect();
    assert_eq!(again, taken);
}

#[test]
fn fresh_slots_wait_until_no_used_one_is_free() {
    let mut pool = pool(2);
    let (id, start) = take(&mut pool);
    pool.release(id);
    assert_eq!(take(&mut pool).1, start);
    assert_eq!(pool.memory.content.len(), 1);
}

#[test]
fn trim_without_dirty_slots_does_nothing() {
    let mut pool = pool(2);
    let taken = take_many(&mut pool, 6);
    assert_eq!(pool.trim(100), 0);
    release_all(&mut pool, &taken);
    assert!(pool.trim(100) > 0);
    assert_eq!(pool.trim(100), 0);
    assert_eq!(pool.dirty(), 0);
}

#[test]
fn trim_leaves_hot_slots_shallow_and_empties_the_others() {
    let mut pool = pool(3);
    let taken = take_many(&mut pool, 8);
    // One slot of each slab stays in use, so no slab goes.
    release_all(&mut pool, &taken[1..4]);
    release_all(&mut pool, &taken[5..8]);
    assert_eq!(pool.dirty(), 6);
    assert_eq!(pool.trim(100), 6);
    for (_, start) in &taken[1..4] {
        assert_eq!(pool.memory.content[start], Content::Nothing);
    }
    for (_, start) in &taken[5..8] {
        assert_eq!(pool.memory.content[start], Content::Shallow);
    }
}

#[test]
fn trim_never_touches_slots_in_use() {
    let mut pool = pool(0);
    let taken = take_many(&mut pool, 12);
    release_all(&mut pool, &taken[6..]);
    pool.trim(100);
    for (_, start) in &taken[..6] {
        assert_eq!(pool.memory.content[start], Content::Used);
    }
}

#[test]
fn reused_slot_is_trimmed_again() {
    let mut pool = pool(0);
    let taken = take_many(&mut pool, 4);
    release_all(&mut pool, &taken);
    assert_eq!(pool.trim(100), 4);
    let (id, _) = take(&mut pool);
    pool.release(id);
    assert_eq!(pool.dirty(), 1);
    assert_eq!(pool.trim(100), 1);
    assert_eq!(count(&pool, Content::Nothing), 4);
}

#[test]
fn slot_that_leaves_the_hot_ones_loses_its_rest() {
    let mut pool = pool(2);
    let taken = take_many(&mut pool, 4);
    release_all(&mut pool, &taken[..2]);
    assert_eq!(pool.trim(100), 2);
    assert_eq!(count(&pool, Content::Shallow), 2);
    release_all(&mut pool, &taken[2..]);
    assert_eq!(pool.trim(100), 4);
    assert_eq!(count(&pool, Content::Shallow), 2);
    assert_eq!(count(&pool, Content::Nothing), 2);
}

#[test]
fn trim_stops_at_its_budget_and_goes_on_later() {
    let mut pool = pool(2);
    let taken = take_many(&mut pool, 4);
    release_all(&mut pool, &taken);
    assert_eq!(pool.trim(3), 3);
    assert_eq!(pool.trim(3), 1);
    assert_eq!(count(&pool, Content::Used), 0);
}

#[test]
fn slab_without_a_slot_in_use_is_unmapped() {
    let mut pool = pool(0);
    let taken = take_many(&mut pool, 12);
    release_all(&mut pool, &taken[4..8]);
    pool.trim(100);
    assert_eq!((pool.slabs(), pool.free(), pool.in_use()), (2, 0, 8));
}

#[test]
fn last_slab_stays_mapped() {
    let mut pool = pool(0);
    let taken = take_many(&mut pool, 12);
    release_all(&mut pool, &taken);
    pool.trim(100);
    assert_eq!((pool.slabs(), pool.free()), (1, 4));
    assert_eq!(count(&pool, Content::Nothing), 4);
}

#[test]
fn slab_with_a_hot_slot_stays_mapped() {
    let mut pool = pool(1);
    let taken = take_many(&mut pool, 8);
    release_all(&mut pool, &taken[4..]);
    pool.trim(100);
    assert_eq!(pool.slabs(), 2);
    release_all(&mut pool, &taken[..4]);
    pool.trim(100);
    assert_eq!((pool.slabs(), pool.free()), (1, 4));
    assert_eq!(take(&mut pool).1, taken[3].1);
}

#[test]
fn unmapping_within_a_budget_reaches_all_slabs() {
    let mut pool = pool(0);
    let taken = take_many(&mut pool, 40);
    release_all(&mut pool, &taken);
    let mut calls = 0;
    while pool.trim(5) > 0 {
        calls += 1;
    }
    assert!((5..=10).contains(&calls), "{calls}");
    assert_eq!(pool.slabs(), 1);
}

#[test]
fn place_of_an_unmapped_slab_is_used_again() {
    let mut pool = pool(0);
    for _ in 0..5 {
        let taken = take_many(&mut pool, 12);
        release_all(&mut pool, &taken);
        pool.trim(100);
    }
    assert!(pool.slabs.len() <= 3);
}

#[test]
fn slab_with_fresh_slots_can_be_unmapped() {
    let mut pool = pool(0);
    let taken = take_many(&mut pool, 5);
    release_all(&mut pool, &taken[4..]);
    pool.trim(100);
    assert_eq!(pool.slabs(), 1);
    let again = take_many(&mut pool, 1);
    assert_eq!((again[0].1, pool.in_use()), (300, 5));
}

#[test]
fn refused_slab_leaves_the_pool_usable() {
    let mut pool = pool(0);
    pool.memory.limit = Some(1);
    let taken = take_many(&mut pool, 4);
    let refused = StackError::MappingLimit {
        limit: 9,
        in_use: 4,
    };
    assert_eq!(pool.take(), Err(refused));
    pool.release(taken[2].0);
    assert_eq!(take(&mut pool), taken[2]);
}

#[test]
fn refused_guard_leaves_the_slot_fresh() {
    let mut pool = pool(0);
    pool.memory.refuse_guards = true;
    assert!(pool.take().is_err());
    assert!(pool.take().is_err());
    assert_eq!((pool.in_use(), pool.free(), pool.slabs()), (0, 0, 1));
    pool.memory.refuse_guards = false;
    assert_eq!(take(&mut pool).1, 100);
}

#[test]
fn random_use_keeps_the_books() {
    let mut pool = pool(5);
    let mut taken: Vec<(SlotId, usize)> = Vec::new();
    let mut state = 12345_u64;
    for _ in 0..20_000 {
        // Knuth's MMIX generator.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let draw = (state >> 33) as usize;
        match draw % 16 {
            0..=6 => {
                let (id, start) = take(&mut pool);
                assert!(taken.iter().all(|(_, other)| *other != start));
                taken.push((id, start));
            }
            7..=14 if !taken.is_empty() => {
                let (id, start) = taken.swap_remove(draw / 16 % taken.len());
                assert_eq!(pool.memory.content[&start], Content::Used);
                pool.release(id);
            }
            _ => {
                pool.trim(draw / 16 % 12);
            }
        }
        assert_eq!(pool.in_use(), taken.len());
        assert_eq!(pool.in_use() + pool.free(), pool.memory.content.len());
    }
    release_all(&mut pool, &taken);
    while pool.trim(7) > 0 {}
    assert_eq!(count(&pool, Content::Used), 0);
    assert!(count(&pool, Content::Shallow) <= 5);
    let entries = || pool.slabs.iter().flatten();
    assert_eq!(
        pool.empty,
        entries().filter(|entry| entry.in_use == 0).count()
    );
}
