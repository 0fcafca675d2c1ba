//! Stacks on real memory. What looks at the whole process, or ends it, runs in a child: the
//! test binary once more, told by a variable to run one test's body.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use _core::stack::{self, GuardKind, Stack, StackError};
use _core::switch::Fiber;

const CHILD: &str = "STACK_TEST_CHILD";
const GUARD_VARIABLE: &str = "EVENTLET_ASYNCIO_STACK_GUARD";
const SIZE_VARIABLE: &str = "EVENTLET_ASYNCIO_STACK_SIZE";

const K: usize = 1 << 10;
const M: usize = 1 << 20;

/// Runs `body` in a child; `None` in that child, when `body` returned.
fn in_child(test: &str, variables: &[(&str, &str)], body: fn()) -> Option<Output> {
    if std::env::var_os(CHILD).is_some() {
        body();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env_remove(GUARD_VARIABLE)
        .env_remove(SIZE_VARIABLE)
        .env(CHILD, "1")
        .envs(variables.iter().copied());
    Some(command.output().unwrap())
}

/// Runs `body` in a child, where it must succeed.
fn alone(test: &str, variables: &[(&str, &str)], body: fn()) {
    if let Some(output) = in_child(test, variables, body) {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", errors(&output));
        assert!(said.contains("1 passed"), "{said}");
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `body` in a child, which must die of SIGSEGV; returns what it said.
fn dies(test: &str, variables: &[(&str, &str)], body: fn()) -> String {
    let Some(output) = in_child(test, variables, body) else {
        panic!("the child lives");
    };
    let said = errors(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{said}");
    said
}

fn write(address: usize, value: u64) {
    // SAFETY: the tests write to stacks they took; where they mean to crash, they do so in a
    // process of its own.
    unsafe { (address as *mut u64).write_volatile(value) }
}

fn read(address: usize) -> u64 {
    // SAFETY: as in `write`.
    unsafe { (address as *const u64).read_volatile() }
}

fn take_many(count: usize) -> Vec<Stack> {
    (0..count).map(|_| Stack::take().unwrap()).collect()
}

fn release_all(stacks: impl IntoIterator<Item = Stack>) {
    stacks.into_iter().for_each(Stack::release);
}

/// Bytes of address space and of resident memory.
fn memory() -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let mut pages = text
        .split(' ')
        .map(|field| field.parse::<usize>().unwrap() * 4 * K);
    (pages.next().unwrap(), pages.next().unwrap())
}

fn run_on_a_green_stack(entry: fn(*const Fiber<usize>, usize) -> usize) {
    let stack = Stack::take().unwrap();
    let limit = stack.limit();
    let mut fiber = Box::new(Fiber::new(stack, limit, entry));
    // SAFETY: the fiber is new, in a box, and resumed once, from this thread's own stack.
    unsafe { Fiber::resume(&raw mut *fiber) };
}

/// Recurses, 4 KiB or more a level, until the stack is used down to an address.
fn recurse(down_to: usize) -> usize {
    let frame = black_box([1_u64; 512]);
    if (&raw const frame as usize) < down_to {
        return 0;
    }
    recurse(down_to) + frame[511] as usize
}

fn recurse_without_end(_fiber: *const Fiber<usize>, _limit: usize) -> usize {
    recurse(0)
}

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

// The guard

#[test]
fn recursion_without_end_is_told_and_ends_the_process() {
    for guard in ["auto", "mprotect"] {
        let variables = [(GUARD_VARIABLE, guard)];
        let text = dies(
            "recursion_without_end_is_told_and_ends_the_process",
            &variables,
            || {
                stack::watch_overflow();
                run_on_a_green_stack(recurse_without_end);
            },
        );
        assert_eq!(
            text.matches("ran out of its C stack of").count(),
            1,
            "{text}"
        );
        assert!(
            text.contains("9422848 bytes") && text.contains(SIZE_VARIABLE),
            "{text}"
        );
    }
}

#[test]
fn frame_larger_than_any_known_does_not_jump_the_guard() {
    let text = dies(
        "frame_larger_than_any_known_does_not_jump_the_guard",
        &[],
        || {
            fn jump(_fiber: *const Fiber<usize>, limit: usize) -> usize {
                // The lowest byte of OpenBLAS's getrf frame, entered with hardly any stack left.
                write(limit + 256 - 540_800, 1);
                0
            }
            stack::watch_overflow();
            // The slot of a neighbour lies below.
            let _below = Stack::take().unwrap();
            run_on_a_green_stack(jump);
        },
    );
    assert!(text.contains("ran out of its C stack"), "{text}");
}

#[test]
fn every_stack_of_a_slab_is_guarded() {
    alone("every_stack_of_a_slab_is_guarded", &[], || {
        // The kernel reports EFAULT where the process itself would get SIGSEGV.
        let readable = |address: usize| {
            // SAFETY: write reads one byte, which the kernel checks.
            let written = unsafe { libc::write(pipe(), address as *const _, 1) };
            written == 1
        };
        let stacks = take_many(100);
        for stack in &stacks {
            assert!(readable(stack.limit()));
            assert!(!readable(stack.limit() - 1));
            assert!(!readable(stack.limit() - M / 2));
            assert!(!readable(stack.guard_start()));
        }
        // Trimming a stack leaves its guard.
        let guards: Vec<_> = stacks.iter().map(Stack::limit).collect();
        let (kept, released): (Vec<_>, Vec<_>) = stacks
            .into_iter()
            .enumerate()
            .partition(|(index, _)| index % 64 == 0);
        release_all(released.into_iter().map(|(_, stack)| stack));
        assert_eq!(stack::trim(usize::MAX), 98);
        assert!(guards.iter().all(|limit| !readable(limit - 1)));
        drop(kept);
    });
}

/// The writing end of a pipe with room for what the tests write.
fn pipe() -> i32 {
    static PIPE: std::sync::OnceLock<i32> = std::sync::OnceLock::new();
    *PIPE.get_or_init(|| {
        let mut ends = [0; 2];
        // SAFETY: pipe writes two descriptors.
        let result = unsafe { libc::pipe(ends.as_mut_ptr()) };
        assert_eq!(result, 0);
        ends[1]
    })
}

#[test]
fn other_faults_are_none_of_our_business() {
    let text = dies("other_faults_are_none_of_our_business", &[], || {
        stack::watch_overflow();
        Stack::take().unwrap().release();
        write(black_box(16), 1);
    });
    assert!(!text.contains("green thread"), "{text}");
}

#[test]
fn signal_that_was_sent_still_ends_the_process() {
    let text = dies("signal_that_was_sent_still_ends_the_process", &[], || {
        // Rust's own handler, which lets one sent signal pass, is not there under Python.
        // SAFETY: the default action is valid.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        stack::watch_overflow();
        // SAFETY: raise has no preconditions.
        unsafe { libc::raise(libc::SIGSEGV) };
    });
    assert!(!text.contains("green thread"), "{text}");
}

#[test]
fn guard_works_in_a_forked_child() {
    alone("guard_works_in_a_forked_child", &[], || {
        stack::watch_overflow();
        Stack::take().unwrap().release();
        // SAFETY: the child only runs into the guard.
        let child = unsafe { libc::fork() };
        if child == 0 {
            run_on_a_green_stack(recurse_without_end);
            // SAFETY: the child has nothing to clean up.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the status has room.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status));
        assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
    });
}

#[test]
fn thread_without_a_signal_stack_gets_one() {
    let text = dies("thread_without_a_signal_stack_gets_one", &[], || {
        // Rust gave this thread one; take it away.
        let off = libc::stack_t {
            ss_sp: std::ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: 64 * K,
        };
        // SAFETY: no handler runs.
        let result = unsafe { libc::sigaltstack(&raw const off, std::ptr::null_mut()) };
        assert_eq!(result, 0);
        stack::watch_overflow();
        run_on_a_green_stack(recurse_without_end);
    });
    assert!(text.contains("ran out of its C stack"), "{text}");
}

// Passing the signal on

/// A handler in the manner of faulthandler: says something, puts the previous action back and
/// raises the signal anew.
mod late {
    use std::sync::atomic::{AtomicPtr, Ordering};

    static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

    extern "C" fn handler(signal: i32) {
        if PREVIOUS.load(Ordering::Relaxed).is_null() {
            return;
        }
        say();
        disable();
        // SAFETY: raise has no preconditions.
        unsafe { libc::raise(signal) };
    }

    extern "C" fn idle_handler(_signal: i32) {
        say();
    }

    fn say() {
        let text = b"late handler\n";
        // SAFETY: the length is that of the text.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }

    fn install(handler: extern "C" fn(i32)) -> *mut libc::sigaction {
        // SAFETY: zeroed is the default action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: see above.
        let previous = Box::into_raw(Box::new(unsafe { std::mem::zeroed() }));
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_NODEFER | libc::SA_ONSTACK;
        // SAFETY: both are valid.
        unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, previous) };
        previous
    }

    pub(super) fn enable() {
        PREVIOUS.store(install(handler), Ordering::Relaxed);
    }

    pub(super) fn disable() {
        let previous = PREVIOUS.swap(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: `enable` stored a valid action.
        unsafe { libc::sigaction(libc::SIGSEGV, previous, std::ptr::null_mut()) };
    }

    /// Installs one that only returns.
    pub(super) fn install_idle() {
        install(idle_handler);
    }
}

const ROUNDS: &str = "STACK_TEST_ROUNDS";

fn rounds_told() -> usize {
    std::env::var(ROUNDS).unwrap().parse().unwrap()
}

/// The message, then the other handler, once each.
fn told_in_order(text: &str) {
    assert_eq!(text.matches("ran out of its C stack").count(), 1, "{text}");
    assert_eq!(text.matches("late handler").count(), 1, "{text}");
    assert!(text.find("ran out") < text.find("late handler"), "{text}");
}

#[test]
fn earlier_handler_is_called_after_the_message() {
    let text = dies("earlier_handler_is_called_after_the_message", &[], || {
        late::enable();
        stack::watch_overflow();
        run_on_a_green_stack(recurse_without_end);
    });
    told_in_order(&text);
}

#[test]
fn later_handler_is_called_after_the_message() {
    let text = dies("later_handler_is_called_after_the_message", &[], || {
        stack::watch_overflow();
        late::enable();
        // It maps a slab, which is when the handler puts itself in front again.
        run_on_a_green_stack(recurse_without_end);
    });
    told_in_order(&text);
}

#[test]
fn handler_that_comes_and_goes_is_called_once() {
    for rounds in ["1", "7", "100"] {
        let text = dies(
            "handler_that_comes_and_goes_is_called_once",
            &[(ROUNDS, rounds)],
            || {
                stack::watch_overflow();
                for _ in 0..rounds_told() {
                    late::enable();
                    stack::watch_overflow();
                    late::disable();
                    stack::watch_overflow();
                }
                late::enable();
                stack::watch_overflow();
                run_on_a_green_stack(recurse_without_end);
            },
        );
        told_in_order(&text);
    }
}

#[test]
fn handler_that_went_is_not_called() {
    for rounds in ["1", "7", "100"] {
        let text = dies(
            "handler_that_went_is_not_called",
            &[(ROUNDS, rounds)],
            || {
                stack::watch_overflow();
                for _ in 0..rounds_told() {
                    late::enable();
                    stack::watch_overflow();
                    late::disable();
                }
                run_on_a_green_stack(recurse_without_end);
            },
        );
        assert_eq!(text.matches("ran out of its C stack").count(), 1, "{text}");
        assert!(!text.contains("late handler"), "{text}");
    }
}

#[test]
fn handler_that_only_returns_does_not_repeat_the_message() {
    const TEST: &str = "handler_that_only_returns_does_not_repeat_the_message";
    let text = dies(TEST, &[], || {
        late::install_idle();
        stack::watch_overflow();
        run_on_a_green_stack(recurse_without_end);
    });
    told_in_order(&text);
}

#[test]
fn later_handler_alone_still_ends_the_process() {
    let text = dies("later_handler_alone_still_ends_the_process", &[], || {
        Stack::take().unwrap().release();
        stack::watch_overflow();
        late::enable();
        run_on_a_green_stack(recurse_without_end);
    });
    assert_eq!(text.matches("late handler").count(), 1, "{text}");
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
            // Others still get mappings: threads take two each, large blocks one.
            let blocks: Vec<_> = (0..200).map(|_| vec![1_u8; M]).collect();
            let thread = std::thread::spawn(move || blocks.iter().map(Vec::len).sum::<usize>());
            assert_eq!(thread.join().unwrap(), 200 * M);
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
