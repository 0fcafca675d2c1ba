//! The guards, and the end of a process whose green thread runs into one.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::hint::black_box;

use _core::stack::{self, Stack};
use _core::switch::Fiber;

use common::*;

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
            text.contains("9418752 bytes") && text.contains(SIZE_VARIABLE),
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
