//! Stacks on real memory.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use _core::stack::{self, GuardKind, Stack, StackError};
use _core::switch::Fiber;

use common::*;

// A stack and its measures

#[test]
fn stack_is_usable_from_limit_to_the_end_of_its_chunk() {
    let stack = Stack::take().unwrap();
    let (chunk, len) = stack.chunk();
    assert_eq!(stack.base(), chunk as usize);
    assert_eq!(stack.base() % 16, 0);
    assert_eq!(stack.base() % 4096, 2048);
    assert_eq!(stack.base() - stack.limit(), stack::size());
    assert!(stack::size() >= 8 * M);
    for address in [
        stack.limit(),
        stack.base() - 8,
        stack.base(),
        stack.base() + len - 8,
    ] {
        write(address, 1);
        assert_eq!(read(address), 1);
    }
    stack.release();
}

#[test]
fn deep_recursion_fits() {
    fn deep(_fiber: *const Fiber<usize>, limit: usize) -> usize {
        recurse(limit + M / 2)
    }
    run_on_a_green_stack(deep);
}

#[test]
fn released_stack_is_taken_first() {
    alone("released_stack_is_taken_first", &[], || {
        let stacks = take_many(3);
        let middle = stacks[1].base();
        let mut stacks = stacks.into_iter();
        let first = stacks.next().unwrap();
        stacks.next().unwrap().release();
        let again = Stack::take().unwrap();
        assert_eq!(again.base(), middle);
        release_all(stacks.chain([first, again]));
    });
}

#[test]
fn shallow_stack_costs_one_page() {
    alone("shallow_stack_costs_one_page", &[], || {
        take_many(1).pop().unwrap().release();
        let (_, before) = memory();
        let stacks = take_many(2000);
        for stack in &stacks {
            write(stack.base() - 8, 1);
            write(stack.base() + 8, 1);
        }
        let used = memory().1 - before;
        assert!(used < 2000 * 5 * K, "{used}");
        release_all(stacks);
    });
}

// Settings

#[test]
fn size_is_read_from_the_environment() {
    alone(
        "size_is_read_from_the_environment",
        &[(SIZE_VARIABLE, "256K")],
        || {
            let announced = stack::size();
            let stack = Stack::take().unwrap();
            assert_eq!(stack.base() - stack.limit(), announced);
            assert!((256 * K..512 * K).contains(&announced), "{announced}");
            stack.release();
        },
    );
}

#[test]
fn unusable_size_is_refused_with_the_fix() {
    alone(
        "unusable_size_is_refused_with_the_fix",
        &[(SIZE_VARIABLE, "8 gigs")],
        || {
            let text = Stack::take().unwrap_err().to_string();
            assert!(
                text.contains(SIZE_VARIABLE) && text.contains("8 gigs"),
                "{text}"
            );
            assert!(text.contains("8M"), "{text}");
            // The program may set it right.
            stack::set_size(M).unwrap();
            Stack::take().unwrap().release();
        },
    );
}

#[test]
fn unknown_guard_is_refused_with_the_fix() {
    alone(
        "unknown_guard_is_refused_with_the_fix",
        &[(GUARD_VARIABLE, "none")],
        || {
            let text = Stack::take().unwrap_err().to_string();
            assert!(
                text.contains(GUARD_VARIABLE) && text.contains("mprotect"),
                "{text}"
            );
        },
    );
}

#[test]
fn size_is_set_before_the_first_stack_only() {
    alone("size_is_set_before_the_first_stack_only", &[], || {
        assert!(matches!(
            stack::set_size(64 * K),
            Err(StackError::BadSize { .. })
        ));
        stack::set_size(3 * M).unwrap();
        stack::set_size(4 * M).unwrap();
        let stack = Stack::take().unwrap();
        assert!(stack.base() - stack.limit() >= 4 * M);
        let current = stack::size();
        assert_eq!(stack::set_size(M), Err(StackError::SizeFixed { current }));
        stack.release();
    });
}

// Giving memory back

#[test]
fn trim_gives_memory_back() {
    alone("trim_gives_memory_back", &[], || {
        let stacks = take_many(600);
        for stack in &stacks {
            for page in 1..=64 {
                write(stack.base() - page * 4 * K, 7);
            }
        }
        release_all(stacks);
        let (_, before) = memory();
        assert_eq!(stack::statistics().dirty, 600);
        while stack::trim(50) > 0 {}
        let given = before.saturating_sub(memory().1);
        // 256 stacks keep 5 of their 65 pages.
        assert!(given > (600 * 64 - 256 * 6) * 4 * K * 9 / 10, "{given}");
        assert_eq!(stack::statistics().dirty, 0);
    });
}

#[test]
fn trim_keeps_the_shallow_part_of_hot_stacks() {
    alone("trim_keeps_the_shallow_part_of_hot_stacks", &[], || {
        let stacks = take_many(640);
        for stack in &stacks {
            write(stack.base() - 8, 1);
            write(stack.base() + 8, 2);
            write(stack.base() - 64 * K, 3);
        }
        // One in each slab stays in use, so that all slabs stay.
        let (kept, released): (Vec<_>, Vec<_>) = stacks
            .into_iter()
            .enumerate()
            .partition(|(index, _)| index % 64 == 0);
        release_all(released.into_iter().map(|(_, stack)| stack));
        assert_eq!(stack::trim(usize::MAX), 630);
        for (index, stack) in take_many(630).iter().enumerate() {
            let hot = u64::from(index < 256);
            assert_eq!(read(stack.base() - 8), hot);
            assert_eq!(read(stack.base() + 8), 2 * hot);
            assert_eq!(read(stack.base() - 64 * K), 0);
        }
        for (_, stack) in &kept {
            assert_eq!(read(stack.base() - 64 * K), 3);
        }
    });
}

#[test]
fn free_slab_is_unmapped() {
    alone("free_slab_is_unmapped", &[], || {
        let stacks = take_many(10 * 64);
        let before = stack::statistics();
        let (space, _) = memory();
        assert_eq!((before.slabs, before.in_use), (10, 640));
        release_all(stacks);
        while stack::trim(64) > 0 {}
        let after = stack::statistics();
        assert_eq!((after.slabs, after.free, after.in_use), (4, 256, 0));
        assert!(space - memory().0 >= 6 * 64 * before.stride);
        release_all(take_many(640));
        assert_eq!(stack::statistics().slabs, 10);
    });
}

// Limits

#[test]
fn mapping_limit_is_an_error_and_the_process_goes_on() {
    let variables = [(GUARD_VARIABLE, "mprotect")];
    alone(
        "mapping_limit_is_an_error_and_the_process_goes_on",
        &variables,
        || {
            let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
            let limit: usize = limit.trim().parse().unwrap();
            if limit > 300_000 {
                // Getting there would take minutes.
                return;
            }
            let mut stacks = Vec::new();
            let error = loop {
                match Stack::take() {
                    Ok(stack) => stacks.push(stack),
                    Err(error) => break error,
                }
            };
            let in_use = stacks.len();
            assert_eq!(error, StackError::MappingLimit { limit, in_use });
            assert!(in_use > (limit - 2500) / 2, "{in_use}");
            let text = error.to_string();
            for part in [
                "vm.max_map_count",
                &limit.to_string(),
                &in_use.to_string(),
                "sysctl",
            ] {
                assert!(text.contains(part), "{text}");
            }
            // Others still get a thousand mappings; each second page differs from its
            // neighbours, so that the kernel cannot merge them.
            let pages = 1000;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let readable = libc::PROT_READ;
            // SAFETY: a new mapping replaces nothing.
            let start =
                unsafe { libc::mmap(std::ptr::null_mut(), pages * 4 * K, readable, flags, -1, 0) };
            assert_ne!(start, libc::MAP_FAILED);
            for page in (0..pages).step_by(2) {
                let address = start.wrapping_byte_add(page * 4 * K);
                // SAFETY: the page is ours and nobody reads it.
                let result = unsafe { libc::mprotect(address, 4 * K, libc::PROT_NONE) };
                assert_eq!(result, 0, "page {page}");
            }
            let thread = std::thread::spawn(|| vec![1_u8; 64 * M].len());
            assert_eq!(thread.join().unwrap(), 64 * M);
            assert_eq!(
                Stack::take().unwrap_err(),
                StackError::MappingLimit { limit, in_use }
            );
            // A stack that comes free is used, and what is trimmed can be mapped again.
            stacks.pop().unwrap().release();
            Stack::take().unwrap().release();
            release_all(stacks);
            while stack::trim(1000) > 0 {}
            assert!(stack::statistics().slabs < 10);
            release_all(take_many(1000));
            assert_eq!(stack::statistics().guard, Some(GuardKind::Mprotect));
        },
    );
}

#[test]
fn refused_address_space_is_an_error_with_the_fix() {
    alone(
        "refused_address_space_is_an_error_with_the_fix",
        &[],
        || {
            let space = memory().0 + 100 * M;
            let limit = libc::rlimit {
                rlim_cur: space as u64,
                rlim_max: space as u64,
            };
            // SAFETY: the limit is valid.
            let result = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
            assert_eq!(result, 0);
            let mut stacks = Vec::new();
            let error = loop {
                match Stack::take() {
                    Ok(stack) => stacks.push(stack),
                    Err(error) => break error,
                }
            };
            // A whole slab does not fit, some stacks do.
            assert!((3..10).contains(&stacks.len()), "{}", stacks.len());
            let text = error.to_string();
            assert!(matches!(error, StackError::OutOfMemory { .. }), "{text}");
            assert!(
                text.contains("ulimit -v") && text.contains(SIZE_VARIABLE),
                "{text}"
            );
            stacks.pop().unwrap().release();
            Stack::take().unwrap().release();
            release_all(stacks);
        },
    );
}
