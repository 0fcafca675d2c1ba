//! CPython's data stack: where the frames of Python functions live since 3.11.
//!
//! It is a list of chunks; CPython frees a chunk when the frame that opened it is popped,
//! but never the root. A new stack would thus cost a mapping of 16 KiB with a page fault
//! and an unmapping, which was most of the price of a green thread. We put the root chunk
//! into memory that belongs to the C stack and is pooled with it.

use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::ptr;

use pyo3::ffi::PyObject;

/// Mirror of `PyObjectArenaAllocator`, part of CPython's documented interface.
#[repr(C)]
struct ArenaAllocator {
    ctx: *mut c_void,
    alloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void, usize),
}

unsafe extern "C" {
    fn PyObject_GetArenaAllocator(allocator: *mut ArenaAllocator);
}

/// Mirror of `_PyStackChunk`, the same on all versions that have it.
#[repr(C)]
pub(super) struct Chunk {
    /// The chunk opened before this one, NULL in the root.
    pub(super) previous: *mut Chunk,
    /// Bytes in this chunk, this head included.
    pub(super) size: usize,
    /// Words in use, kept only while a later chunk is the current one.
    pub(super) top: usize,
    /// The frames.
    pub(super) data: [*mut PyObject; 1],
}

/// The thread state's `datastack_chunk`, `_top` and `_limit`, which always come together.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct DataStack {
    /// Chunk the innermost Python frames are in.
    pub(super) chunk: *mut Chunk,
    /// Where the next frame goes.
    pub(super) top: *mut *mut PyObject,
    /// Where the chunk ends.
    pub(super) limit: *mut *mut PyObject,
}

impl DataStack {
    /// No data stack: CPython would map a root chunk at the first call.
    pub(super) const NONE: Self = Self {
        chunk: ptr::null_mut(),
        top: ptr::null_mut(),
        limit: ptr::null_mut(),
    };

    /// Makes an empty data stack of `memory`.
    ///
    /// # Safety
    /// `memory` must be aligned as a pointer, have `len` writable bytes (a multiple of a
    /// pointer's size and enough for some frames) and outlive the stack.
    #[inline]
    #[expect(clippy::cast_ptr_alignment, reason = "the caller vouches for it")]
    pub(super) unsafe fn embed(memory: *mut u8, len: usize) -> Self {
        let chunk = memory.cast::<Chunk>();
        let head = Chunk {
            previous: ptr::null_mut(),
            size: len,
            top: 0,
            data: [ptr::null_mut()],
        };
        // SAFETY: the caller vouches for `len` writable, aligned bytes.
        unsafe { chunk.write(head) };
        Self {
            chunk,
            // The first word of a root chunk stays unused: CPython frees a chunk when a
            // frame at its very start is popped (Python/pystate.c, push_chunk).
            top: memory
                .wrapping_add(offset_of!(Chunk, data) + size_of::<*mut PyObject>())
                .cast(),
            limit: memory.wrapping_add(len).cast(),
        }
    }

    /// Frees chunks that were added to the root and not popped.
    ///
    /// After a function has returned there are none; this is for stacks whose end was
    /// not orderly.
    ///
    /// # Safety
    /// No frame on this data stack may be in use any more, its root must be one that
    /// `embed` made, and the interpreter must be attached.
    pub(super) unsafe fn free_extra(mut self) {
        // SAFETY: chunks of a data stack are valid until freed, and CPython takes them
        // from the arena allocator with the size in their head (pystate.c).
        unsafe {
            if self.chunk.is_null() || (*self.chunk).previous.is_null() {
                return;
            }
            let mut arena = MaybeUninit::<ArenaAllocator>::uninit();
            PyObject_GetArenaAllocator(arena.as_mut_ptr());
            let arena = arena.assume_init();
            while !(*self.chunk).previous.is_null() {
                let previous = (*self.chunk).previous;
                (arena.free)(arena.ctx, self.chunk.cast(), (*self.chunk).size);
                self.chunk = previous;
            }
        }
    }

    /// Says whether the pointers are in the order a data stack has.
    ///
    /// # Safety
    /// `chunk` must be NULL or readable.
    pub(super) unsafe fn plausible(self) -> bool {
        if self.chunk.is_null() {
            return self.top.is_null() && self.limit.is_null();
        }
        // SAFETY: the caller vouches for it.
        let size = unsafe { (*self.chunk).size };
        let start = self.chunk as usize;
        start + offset_of!(Chunk, data) <= self.top as usize
            && self.top <= self.limit
            && self.limit as usize == start + size
    }
}
