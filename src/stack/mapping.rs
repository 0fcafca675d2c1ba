//! Memory of stacks: the one file that maps, guards, trims and unmaps it.
//!
//! A guard made with `MADV_GUARD_INSTALL` (Linux 6.13) lives in the page tables and leaves the
//! mapping whole; whether one holds is tried out, once per process. Elsewhere it is a range without access, which splits the mapping: two per
//! stack, of which the kernel allows `vm.max_map_count` in a process. Once that is reached every
//! `mmap` of the process fails, allocators included, and both Rust and CPython abort. So the
//! mappings made here are counted, and the last ones left to the others.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use libc::{c_int, c_void};

use super::layout::{GUARD, Layout, SLOTS, TOP};
use super::pool::Memory;
use super::{StackError, overflow};

const VARIABLE: &str = "EVENTLET_ASYNCIO_STACK_GUARD";

/// `include/uapi/asm-generic/mman-common.h`, since Linux 6.13.
const MADV_GUARD_INSTALL: c_int = 102;

/// Bytes below `base` that a hot stack keeps when it is trimmed.
const SHALLOW: usize = 16 << 10;

/// What marks a mapping as a stack of its size. `MAP_STACK` does nothing of the kind: private
/// memory that can be written counts against `RLIMIT_DATA`, all that is reserved of it, unless it
/// may grow downwards (`is_data_mapping` in Linux's `mm/vma.h`). That it does not: whatever is
/// reached is mapped already.
#[cfg(target_os = "linux")]
const STACK: c_int = libc::MAP_STACK | libc::MAP_GROWSDOWN;
#[cfg(not(target_os = "linux"))]
const STACK: c_int = libc::MAP_STACK;

/// Mappings left to the rest of the process: libraries, threads, large allocations.
const SPARE: usize = 1024;

/// The kernel's default, for when /proc is not there to ask.
const DEFAULT_MAX_MAP_COUNT: usize = 65530;

/// How the guards below stacks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardKind {
    /// Markers in the page tables; costs no mapping.
    Madvise,
    /// Ranges without access; costs two mappings for each stack.
    Mprotect,
}

/// Several slots in one mapping. Unmapped only by [`Memory::unmap`].
#[derive(Debug)]
pub(super) struct Slab {
    mapping: usize,
    len: usize,
    first: usize,
    slots: u32,
    registration: overflow::Registration,
}

/// Maps slabs and looks after their pages.
#[derive(Debug)]
pub(super) struct Mapper {
    layout: Layout,
    guard: GuardKind,
    /// Mappings that our slabs have once all their slots are armed.
    reserved: usize,
    /// Slots armed so far, in all slabs.
    armed: usize,
    /// Mappings of the process that are not ours, when last counted.
    foreign: usize,
    /// `reserved` at that time.
    counted_at: usize,
    /// Refusals until the mappings are counted again.
    patience: u32,
}

impl Mapper {
    pub(super) fn new(layout: Layout) -> Result<Self, StackError> {
        Ok(Self {
            layout,
            guard: choose_guard(layout.page)?,
            reserved: 0,
            armed: 0,
            foreign: 0,
            counted_at: 0,
            patience: 0,
        })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn guard(&self) -> GuardKind {
        self.guard
    }

    /// Refuses a slab whose guards would not leave enough mappings to the process.
    fn check_mapping_limit(&mut self, slots: u32, in_use: usize) -> Result<(), StackError> {
        if self.guard == GuardKind::Madvise {
            return Ok(());
        }
        let limit = max_map_count();
        let wanted = self.reserved + mappings_of(slots) + SPARE;
        // Reading /proc/self/maps takes milliseconds when it is long: it is done as the
        // number of stacks doubles and when the limit is near.
        let near = wanted + self.foreign + SPARE > limit;
        if self.reserved >= 2 * self.counted_at || (near && self.patience == 0) {
            if let Some(total) = count_mappings() {
                self.foreign = total.saturating_sub(2 * self.armed);
            }
            self.counted_at = self.reserved.max(1);
        }
        if wanted + self.foreign > limit {
            self.patience = self.patience.checked_sub(1).unwrap_or(255);
            return Err(StackError::MappingLimit { limit, in_use });
        }
        self.patience = 0;
        Ok(())
    }

    fn map_slots(&self, slots: u32) -> io::Result<Slab> {
        let len = self.layout.mapping_len(slots);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | STACK;
        let mapping = map_anonymous(len, libc::PROT_READ | libc::PROT_WRITE, flags)?;
        // A huge page would cost 2 MiB for each stack. Kernels built without them refuse this
        // advice, and have no need of it.
        let _ = advise(mapping, len, libc::MADV_NOHUGEPAGE);
        let first = self.layout.first_slot(mapping);
        Ok(Slab {
            mapping,
            len,
            first,
            slots,
            registration: overflow::register(first, slots, self.layout.stride),
        })
    }
}

impl Memory for Mapper {
    type Slab = Slab;

    fn map(&mut self, in_use: usize) -> Result<Slab, StackError> {
        self.check_mapping_limit(SLOTS, in_use)?;
        // Under a tight limit of address space a smaller slab may still fit.
        let slab = self
            .map_slots(SLOTS)
            .or_else(|_| self.map_slots(SLOTS / 8))
            .or_else(|_| self.map_slots(1))
            .map_err(|error| StackError::OutOfMemory {
                bytes: self.layout.mapping_len(1),
                in_use,
                reason: error.to_string(),
            })?;
        self.reserved += mappings_of(slab.slots);
        overflow::keep_on_top();
        Ok(slab)
    }

    fn slots(&self, slab: &Slab) -> u32 {
        slab.slots
    }

    #[inline]
    fn start(&self, slab: &Slab, slot: u32) -> usize {
        slab.first + slot as usize * self.layout.stride
    }

    fn arm(&mut self, slab: &Slab, slot: u32, in_use: usize) -> Result<(), StackError> {
        let start = self.start(slab, slot);
        let made = match self.guard {
            GuardKind::Madvise => advise(start, GUARD, MADV_GUARD_INSTALL),
            GuardKind::Mprotect => forbid_access(start, GUARD),
        };
        match made {
            Ok(()) => {
                self.armed += 1;
                Ok(())
            }
            Err(error)
                if self.guard == GuardKind::Mprotect
                    && error.raw_os_error() == Some(libc::ENOMEM) =>
            {
                // Others took what was left to them and more.
                Err(StackError::MappingLimit {
                    limit: max_map_count(),
                    in_use,
                })
            }
            Err(error) => Err(StackError::Guard {
                reason: error.to_string(),
            }),
        }
    }

    fn discard_deep(&mut self, slab: &Slab, slot: u32) {
        let limit = self.start(slab, slot) + GUARD;
        let keep = (limit + self.layout.size - SHALLOW) & !(self.layout.page - 1);
        if keep > limit {
            discard(limit, keep - limit);
        }
    }

    fn discard_all(&mut self, slab: &Slab, slot: u32) {
        let limit = self.start(slab, slot) + GUARD;
        discard(limit, self.layout.size + TOP);
    }

    fn unmap(&mut self, slab: Slab, armed: u32) {
        self.reserved -= mappings_of(slab.slots);
        self.armed -= armed as usize;
        overflow::unregister(slab.registration);
        unmap(slab.mapping, slab.len);
    }
}

/// Mappings that a slab has once all its slots are armed: a guard and a stack for each, and
/// what lies before the first guard.
fn mappings_of(slots: u32) -> usize {
    2 * slots as usize + 1
}

/// Bytes in a page of memory.
pub(super) fn page_size() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: sysconf only reads its argument.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    })
}

fn choose_guard(page: usize) -> Result<GuardKind, StackError> {
    match std::env::var_os(VARIABLE) {
        Some(value) if value == "mprotect" => Ok(GuardKind::Mprotect),
        Some(value) if !value.is_empty() && value != "auto" => Err(StackError::BadGuard {
            value: value.to_string_lossy().into_owned(),
        }),
        _ if kernel_has_guards(page) => Ok(GuardKind::Madvise),
        _ => Ok(GuardKind::Mprotect),
    }
}

/// Whether guards can be made in the page tables, tried out with one page: an emulator takes any
/// advice, as a hint that it need not follow, and says that all went well.
fn kernel_has_guards(page: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let Ok(probe) = map_anonymous(page, libc::PROT_READ | libc::PROT_WRITE, flags) else {
        return false;
    };
    let made = advise(probe, page, MADV_GUARD_INSTALL).is_ok() && is_inaccessible(probe);
    unmap(probe, page);
    made
}

/// Whether an access to the page at `start` fails, found out without a signal: the kernel, which
/// is to copy a byte of it into a pipe, answers EFAULT. False if there is nothing to ask with.
fn is_inaccessible(start: usize) -> bool {
    let Ok((_read, write)) = io::pipe() else {
        return false;
    };
    // SAFETY: the kernel checks the address; an empty pipe takes the byte at once.
    let count = unsafe { libc::write(write.as_raw_fd(), start as *const c_void, 1) };
    count < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

fn max_map_count() -> usize {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT_MAX_MAP_COUNT)
}

/// Counts the mappings of this process.
fn count_mappings() -> Option<usize> {
    let mut maps = File::open("/proc/self/maps").ok()?;
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        match maps.read(&mut buffer).ok()? {
            0 => return Some(lines),
            len => lines += count_lines(&buffer[..len]),
        }
    }
}

#[expect(
    clippy::naive_bytecount,
    reason = "rare, and the kernel's part takes far longer"
)]
fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// An anonymous mapping with an inaccessible page below it, for the alternate
/// signal stack of a thread. Returns its usable part.
pub(super) fn map_signal_stack(len: usize) -> io::Result<usize> {
    let page = page_size();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let mapping = map_anonymous(page + len, libc::PROT_READ | libc::PROT_WRITE, flags)?;
    // Without the page the stack works too.
    let _ = forbid_access(mapping, page);
    Ok(mapping + page)
}

/// Unmaps what `map_signal_stack` returned.
pub(super) fn unmap_signal_stack(start: usize, len: usize) {
    let page = page_size();
    unmap(start - page, page + len);
}

fn map_anonymous(len: usize, protection: c_int, flags: c_int) -> io::Result<usize> {
    // Not by the C library's function: profilers of memory replace that one, and would count
    // what is reserved as if it were used.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    // SAFETY: without MAP_FIXED a new mapping replaces nothing.
    let start = unsafe { libc::syscall(libc::SYS_mmap, 0_usize, len, protection, flags, -1, 0) };
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    // SAFETY: as above.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) } as isize;
    if start == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(start as usize)
}

fn advise(start: usize, len: usize, advice: c_int) -> io::Result<()> {
    // SAFETY: the callers in this file pass a range of a mapping of ours that nobody uses: a
    // new one, a fresh slot's guard, or a free slot (P1 in pool.rs).
    let result = unsafe { libc::madvise(start as *mut c_void, len, advice) };
    check(result)
}

fn forbid_access(start: usize, len: usize) -> io::Result<()> {
    // SAFETY: as in `advise`: the range is the guard of a slot not yet taken, or new.
    let result = unsafe { libc::mprotect(start as *mut c_void, len, libc::PROT_NONE) };
    check(result)
}

/// Gives pages back; the next access finds zeros.
fn discard(start: usize, len: usize) {
    // It fails for locked memory (mlockall), which then stays as it is.
    let _ = advise(start, len, libc::MADV_DONTNEED);
}

fn unmap(start: usize, len: usize) {
    // SAFETY: the callers pass exactly one mapping of ours, which nobody uses: its `Slab` was
    // given up, and no slot in it is in use (P1 in pool.rs).
    let result = unsafe { libc::munmap(start as *mut c_void, len) };
    // It fails when it would split a mapping at the limit: ours are whole, though the kernel
    // may have merged them with neighbours. Then the address space stays, without memory.
    if result != 0 {
        discard(start, len);
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
