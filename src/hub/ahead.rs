//! Memory of green threads that run soon, fetched into the cache ahead of their turn.

use std::ptr;

use super::{Core, Ready};

/// From this many ready green threads on, those to come are fetched into the cache ahead.
pub(super) const CROWD: usize = 512;
/// So many stacks' addresses are looked up together.
const GROUP: usize = 8;

/// Fetches what a switch will touch of green threads that run soon into the cache. With very
/// many green threads nothing of the next one is there, and a switch would wait for memory.
///
/// Most of that wait is for the address of the stack: each lies in a page table of its own,
/// and a prefetch is not done before its address is known. So addresses are looked up in
/// groups, where the processor does it for several at a time, and the objects that tell
/// them one group earlier.
///
/// # Safety
/// As for [`super::successor`].
#[inline]
pub(super) unsafe fn fetch(core: *mut Core) {
    // SAFETY: by contract; entries own the greenlets they name, and a prefetch
    // reads nothing.
    unsafe {
        if (*core).fetched == 0 {
            (*core).fetched = GROUP;
            for place in 2 * GROUP..3 * GROUP {
                if let Some(Ready::Resume(parked, _)) = (*core).ready.peek(place) {
                    prefetch_lines(parked.greenlet().cast(), 6);
                }
            }
            for place in GROUP..2 * GROUP {
                if let Some(Ready::Resume(parked, _)) = (*core).ready.peek(place) {
                    prefetch_lines(
                        ptr::with_exposed_provenance((*parked.greenlet()).left_at),
                        1,
                    );
                }
            }
        }
        (*core).fetched -= 1;
        if let Some(Ready::Resume(parked, _)) = (*core).ready.peek(4) {
            let g = parked.greenlet();
            let stack = ptr::with_exposed_provenance::<u8>((*g).left_at);
            prefetch_lines(stack.wrapping_sub(192), 9);
            prefetch_lines((*g).bounds.chunk.cast_const(), 4);
        }
    }
}

#[inline]
fn prefetch_lines(address: *const u8, count: usize) {
    for line in 0..count {
        prefetch(address.wrapping_add(line * 64));
    }
}

#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on caches, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
