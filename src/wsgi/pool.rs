//! Buffers that go from request to request, so that an idle connection holds none.

use std::sync::{Mutex, PoisonError};

/// Size of a fresh buffer: most requests fit at once.
pub(super) const SIZE: usize = 16 * 1024;
/// Larger buffers are not kept, nor are more than this many.
const KEPT: usize = 16;

static POOL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer of at least [`SIZE`] bytes.
pub(super) fn take() -> Vec<u8> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    pool.pop().unwrap_or_else(|| Vec::with_capacity(SIZE))
}

/// Gives a buffer back.
pub(super) fn give(mut buffer: Vec<u8>) {
    if (SIZE..=2 * SIZE).contains(&buffer.capacity()) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            buffer.clear();
            pool.push(buffer);
        }
    }
}
