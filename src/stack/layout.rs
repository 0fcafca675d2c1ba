//! Sizes and places within slots and slabs.
#![forbid(unsafe_code)]

use super::StackError;

/// Bytes of CPython's root data-stack chunk. Profilers that read the memory of other processes
/// (CPython 3.15's `profiling.sampling`) ask for as much before they know a chunk's size, and get
/// nothing if the end of it cannot be read.
pub(super) const CHUNK: usize = 16 * 1024;

/// Bytes above the C stack: the chunk and 2 KiB more, so that `base` lies in the middle of a 4 KiB
/// page and both sides have 2 KiB of the page they share.
pub(super) const TOP: usize = CHUNK + 2 * 1024;

/// Bytes of guard. The largest fixed frame found in the wild (OpenBLAS, 540,800 bytes) steps
/// over 512 KiB, so the next power of two.
pub(super) const GUARD: usize = 1 << 20;

/// Slots in a slab: 64 stacks of 10 MiB are 640 MiB of address space.
pub(super) const SLOTS: u32 = 64;

pub(super) const DEFAULT_SIZE: usize = 8 << 20;

const MIN_SIZE: usize = 128 << 10;
const MAX_SIZE: usize = 64 << 30;
const VARIABLE: &str = "EVENTLET_ASYNCIO_STACK_SIZE";

/// Bytes that one page of page tables reaches, for pages of 4 KiB.
const TABLE_REACH: usize = 2 << 20;

/// The measures all slots have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Usable bytes of the C stack.
    pub(super) size: usize,
    /// Bytes from one slot to the next.
    pub(super) stride: usize,
    /// The first slot starts at a multiple of this, plus `phase`.
    pub(super) align: usize,
    pub(super) phase: usize,
    pub(super) page: usize,
}

impl Layout {
    pub(super) fn new(requested: usize, page: usize) -> Self {
        let slot = GUARD + (requested + TOP).next_multiple_of(page);
        // Small stacks lie close together: several share a page of page tables anyway.
        let (stride, align, phase) = if page == 4096 && slot >= TABLE_REACH {
            (
                slot.next_multiple_of(TABLE_REACH),
                TABLE_REACH,
                TABLE_REACH - GUARD,
            )
        } else {
            (slot, page, 0)
        };
        Self {
            size: stride - GUARD - TOP,
            stride,
            align,
            phase,
            page,
        }
    }

    /// Where the first slot starts in a mapping at `start`.
    pub(super) fn first_slot(&self, start: usize) -> usize {
        let from = start.max(self.phase) - self.phase;
        from.next_multiple_of(self.align) + self.phase
    }

    /// Bytes to map so that `slots` slots find room wherever the mapping starts.
    pub(super) fn mapping_len(&self, slots: u32) -> usize {
        let slack = if self.align > self.page {
            self.align
        } else {
            0
        };
        slots as usize * self.stride + slack
    }
}

pub(super) fn check_size(bytes: usize) -> Result<(), StackError> {
    if (MIN_SIZE..=MAX_SIZE).contains(&bytes) {
        return Ok(());
    }
    Err(StackError::BadSize {
        source: "stack size",
        value: bytes.to_string(),
    })
}

pub(super) fn size_from_environment() -> Result<usize, StackError> {
    let Some(value) = std::env::var_os(VARIABLE) else {
        return Ok(DEFAULT_SIZE);
    };
    let value = value.to_string_lossy();
    parse_size(&value).ok_or_else(|| StackError::BadSize {
        source: VARIABLE,
        value: value.into_owned(),
    })
}

fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bytes = digits.parse::<usize>().ok()?.checked_mul(unit)?;
    check_size(bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_lies_in_mid_page_and_is_aligned() {
        for page in [4096, 16384, 65536] {
            for requested in [MIN_SIZE, 1 << 20, 3_000_001, DEFAULT_SIZE, 1 << 30] {
                let layout = Layout::new(requested, page);
                let base = GUARD + layout.size;
                assert!(layout.size >= requested);
                assert_eq!(layout.stride % page, 0);
                assert_eq!(base % 16, 0);
                assert_eq!((layout.stride - base), TOP);
                assert_eq!(base % 4096, 2048);
            }
        }
    }

    #[test]
    fn top_of_a_slot_and_next_guard_share_a_page_table() {
        let layout = Layout::new(DEFAULT_SIZE, 4096);
        for start in [4096, 0x7f00_0000_0000, 0x7f00_0012_3000] {
            let first = layout.first_slot(start);
            let end = first + SLOTS as usize * layout.stride;
            assert!(first >= start);
            assert!(end <= start + layout.mapping_len(SLOTS));
            let top_page = first + layout.stride - TOP - 1;
            let next_guard_end = first + layout.stride + GUARD - 1;
            assert_eq!(top_page / TABLE_REACH, next_guard_end / TABLE_REACH);
        }
    }

    #[test]
    fn small_stacks_are_not_spread() {
        let layout = Layout::new(MIN_SIZE, 4096);
        assert_eq!(layout.stride, GUARD + MIN_SIZE + 5 * 4096);
        assert_eq!(layout.first_slot(0x1000), 0x1000);
        assert_eq!(layout.mapping_len(2), 2 * layout.stride);
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_size("8388608"), Some(8 << 20));
        assert_eq!(parse_size(" 256k "), Some(256 << 10));
        assert_eq!(parse_size("8M"), Some(8 << 20));
        for bad in [
            "",
            "M",
            "8G",
            "-1",
            "+8M",
            "8 M",
            "1e6",
            "127K",
            "0",
            "99999999999999M",
        ] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn size_out_of_range_is_refused_with_the_fix() {
        let text = check_size(4096).unwrap_err().to_string();
        assert!(text.contains("4096") && text.contains("128K"), "{text}");
    }
}
