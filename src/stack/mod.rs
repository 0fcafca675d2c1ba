//! C stacks for green threads: mapping, guard, pool, and a clear end when one overflows.
//!
//! A green thread runs C code of unknown depth, so it gets what the main thread usually has:
//! 8 MiB, with 1 MiB of guard below. Measured: `numpy.linalg.inv` needs 4.9 MB and has frames
//! of 540 KB that step over a small guard and overwrite the neighbour in silence; `list.sort`
//! with a recursive `__lt__` needs 5 MB before Python's own recursion limit stops it. Address
//! space is free, memory is touched lazily, so a shallow green thread costs one page of
//! memory and one page of page tables, whatever the size.
//!
//! # A slot
//!
//! ```text
//!  higher addresses
//!  ├──────────────────────┤ top of the slot = start of the next slot's guard
//!  │ (2 KiB, unused)      │ keeps what is read with the chunk clear of that guard
//!  │ root data-stack chunk│ CHUNK bytes, for CPython's frames; grows upward
//!  ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤ base, 16-byte aligned, in the middle of a page: the first
//!  │ C stack              │ frames of C and of Python share one page of 4 KiB
//!  │          ↓           │
//!  │ (never touched:      │ size() bytes
//!  │  no memory)          │
//!  ├──────────────────────┤ limit
//!  │ guard                │ 1 MiB, any access is SIGSEGV
//!  ├──────────────────────┤ start of the slot
//!  lower addresses
//! ```
//!
//! Slots lie in slabs of 64, one mapping each. On pages of 4 KiB a slot takes a multiple of
//! 2 MiB, the reach of one page-table page, and slabs are aligned so that the end of a slot and
//! the guard of the next lie under the same page-table page: one such page per stack, not two.
//! What the rounding adds goes to the stack.
//!
//! # Invariants
//!
//! - S1: a [`Stack`] names a slot that nothing else names until it is released; the slot is
//!   readable and writable from `limit` to the top and its guard is armed.
//! - S2: memory of a slot is given back (`trim`) or unmapped only while the pool has it.
//! - S3: the layout is fixed when the first stack is taken and the same for all.
//!
//! # Why a value without `Drop`
//!
//! A suspended stack holds frames of CPython; pointers into it may be kept by frame objects.
//! Only its owner knows when nothing on it is alive any more, so [`Stack::release`] says it
//! aloud, and dropping a `Stack` leaks it: wasteful, never wrong.
//!
//! # Threads and fork
//!
//! One pool serves the process: green threads of one OS thread may reuse what another left. It
//! is locked, but only for form: callers hold the GIL. That also covers `fork()` from Python:
//! nobody is inside the pool then, and the child inherits mappings, guards and signal
//! handlers, so nothing has to be done after it.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("stacks of 8 MiB for each green thread need a 64-bit address space");

mod error;
mod layout;
mod mapping;
mod overflow;
mod pool;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::error::StackError;
pub use self::mapping::GuardKind;
pub use self::overflow::watch_overflow;

use self::layout::{CHUNK, GUARD, Layout};
use self::mapping::Mapper;
use self::pool::{Pool, SlotId};

/// Free stacks, most recently used first, that keep their shallow pages when trimmed.
const HOT: usize = 256;

static POOL: Mutex<Option<Pool<Mapper>>> = Mutex::new(None);

/// Usable bytes of each stack; 0 until the layout is fixed.
static SIZE: AtomicUsize = AtomicUsize::new(0);

/// Bytes asked for by `set_size`; 0 if it was not called.
static REQUESTED: AtomicUsize = AtomicUsize::new(0);

/// A C stack of its own for one green thread.
///
/// Dropping it leaks the stack on purpose, see the module's text; [`release`](Self::release)
/// gives it back.
#[derive(Debug)]
#[must_use = "a stack that is dropped is lost for the process; release it"]
pub struct Stack {
    base: usize,
    limit: usize,
    slot: SlotId,
}

impl Stack {
    /// Takes the stack that was released last, or a new one.
    #[inline]
    pub fn take() -> Result<Self, StackError> {
        let mut pool = lock();
        let Some(pool) = pool.as_mut() else {
            return Self::take_first(pool);
        };
        let (slot, start) = pool.take()?;
        let limit = start + GUARD;
        Ok(Self {
            base: limit + SIZE.load(Ordering::Relaxed),
            limit,
            slot,
        })
    }

    #[cold]
    fn take_first(mut pool: MutexGuard<'_, Option<Pool<Mapper>>>) -> Result<Self, StackError> {
        let layout = Layout::new(requested()?, mapping::page_size());
        *pool = Some(Pool::new(Mapper::new(layout)?, HOT));
        SIZE.store(layout.size, Ordering::Relaxed);
        drop(pool);
        Self::take()
    }

    /// Gives the stack back. Nothing on it, nor in its chunk, may be used afterwards.
    #[inline]
    pub fn release(self) {
        if let Some(pool) = lock().as_mut() {
            pool.release(self.slot);
        }
    }

    /// The high end of the C stack, aligned to 16 bytes.
    #[inline]
    pub fn base(&self) -> usize {
        self.base
    }

    /// The low end of the usable part; the guard ends here.
    #[inline]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The low end of the guard.
    #[inline]
    pub fn guard_start(&self) -> usize {
        self.limit - GUARD
    }

    /// The area above `base` kept for CPython's root data-stack chunk: start and length.
    ///
    /// What it holds when the stack is taken is undefined: zeros or an earlier user's bytes.
    #[inline]
    pub fn chunk(&self) -> (*mut u8, usize) {
        (self.base as *mut u8, CHUNK)
    }
}

/// Usable bytes of each stack.
///
/// Before the first stack is taken this is what the first one would get.
pub fn size() -> usize {
    match SIZE.load(Ordering::Relaxed) {
        0 => {
            let bytes = requested().unwrap_or(layout::DEFAULT_SIZE);
            Layout::new(bytes, mapping::page_size()).size
        }
        fixed => fixed,
    }
}

/// Sets the least number of usable bytes of each stack, in place of the environment's choice.
pub fn set_size(bytes: usize) -> Result<(), StackError> {
    layout::check_size(bytes)?;
    let pool = lock();
    if pool.is_some() {
        return Err(StackError::SizeFixed {
            current: SIZE.load(Ordering::Relaxed),
        });
    }
    REQUESTED.store(bytes, Ordering::Relaxed);
    Ok(())
}

/// Gives memory of released stacks back to the system, for at most about `max_stacks` of them.
///
/// The most recently used ones keep their shallow pages, the others lose all, slabs without
/// a stack in use are unmapped. Costs up to a microsecond for each stack; cheap when nothing
/// was released since. Returns how many stacks were trimmed: fewer than `max_stacks` means
/// that nothing is left to do.
pub fn trim(max_stacks: usize) -> usize {
    lock().as_mut().map_or(0, |pool| pool.trim(max_stacks))
}

/// What the pool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Stacks that were taken and not released.
    pub in_use: usize,
    /// Stacks ready to be taken again.
    pub free: usize,
    /// Free stacks that were used since they were trimmed.
    pub dirty: usize,
    /// Mappings that hold the stacks.
    pub slabs: usize,
    /// Usable bytes of each stack.
    pub size: usize,
    /// Bytes of address space from one stack to the next.
    pub stride: usize,
    /// How guards are made; `None` before the first stack.
    pub guard: Option<GuardKind>,
}

impl Statistics {
    /// Stacks that exist.
    pub fn mapped(&self) -> usize {
        self.in_use + self.free
    }
}

/// Counts what the pool holds.
pub fn statistics() -> Statistics {
    let pool = lock();
    let Some(pool) = pool.as_ref() else {
        return Statistics {
            size: size(),
            ..Statistics::default()
        };
    };
    let layout = pool.memory().layout();
    Statistics {
        in_use: pool.in_use(),
        free: pool.free(),
        dirty: pool.dirty(),
        slabs: pool.slabs(),
        size: layout.size,
        stride: layout.stride,
        guard: Some(pool.memory().guard()),
    }
}

#[inline]
fn lock() -> MutexGuard<'static, Option<Pool<Mapper>>> {
    // A panic inside the pool leaves at worst a leaked slot: its state stays usable.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn requested() -> Result<usize, StackError> {
    match REQUESTED.load(Ordering::Relaxed) {
        0 => layout::size_from_environment(),
        bytes => Ok(bytes),
    }
}
