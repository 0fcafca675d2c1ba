//! What the tests of stacks share. What looks at the whole process, or ends it, runs in a child:
//! the test binary once more, told by a variable to run one test's body.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use _core::stack::Stack;
use _core::switch::Fiber;

const CHILD: &str = "STACK_TEST_CHILD";
pub(crate) const GUARD_VARIABLE: &str = "EVENTLET_ASYNCIO_STACK_GUARD";
pub(crate) const SIZE_VARIABLE: &str = "EVENTLET_ASYNCIO_STACK_SIZE";

pub(crate) const K: usize = 1 << 10;
pub(crate) const M: usize = 1 << 20;

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
pub(crate) fn alone(test: &str, variables: &[(&str, &str)], body: fn()) {
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
pub(crate) fn dies(test: &str, variables: &[(&str, &str)], body: fn()) -> String {
    let Some(output) = in_child(test, variables, body) else {
        panic!("the child lives");
    };
    let said = errors(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{said}");
    said
}

pub(crate) fn write(address: usize, value: u64) {
    // SAFETY: the tests write to stacks they took; where they mean to crash, they do so in a
    // process of its own.
    unsafe { (address as *mut u64).write_volatile(value) }
}

pub(crate) fn read(address: usize) -> u64 {
    // SAFETY: as in `write`.
    unsafe { (address as *const u64).read_volatile() }
}

pub(crate) fn take_many(count: usize) -> Vec<Stack> {
    (0..count).map(|_| Stack::take().unwrap()).collect()
}

pub(crate) fn release_all(stacks: impl IntoIterator<Item = Stack>) {
    stacks.into_iter().for_each(Stack::release);
}

/// Bytes of address space and of resident memory.
pub(crate) fn memory() -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let mut pages = text
        .split(' ')
        .map(|field| field.parse::<usize>().unwrap() * 4 * K);
    (pages.next().unwrap(), pages.next().unwrap())
}

pub(crate) fn run_on_a_green_stack(entry: fn(*const Fiber<usize>, usize) -> usize) {
    let stack = Stack::take().unwrap();
    let limit = stack.limit();
    let mut fiber = Box::new(Fiber::new(stack, limit, entry));
    // SAFETY: the fiber is new, in a box, and resumed once, from this thread's own stack.
    unsafe { Fiber::resume(&raw mut *fiber) };
}

/// Recurses, 4 KiB or more a level, until the stack is used down to an address.
pub(crate) fn recurse(down_to: usize) -> usize {
    let frame = black_box([1_u64; 512]);
    if (&raw const frame as usize) < down_to {
        return 0;
    }
    recurse(down_to) + frame[511] as usize
}

pub(crate) fn recurse_without_end(_fiber: *const Fiber<usize>, _limit: usize) -> usize {
    recurse(0)
}
