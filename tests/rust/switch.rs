//! Fibers over pooled stacks: what a switch must keep, and what becomes of the stack.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::cell::RefCell;
use std::hint::black_box;

use _core::stack::Stack;
use _core::switch::{Fiber, Step};

type Numbered = Fiber<usize>;

#[expect(
    clippy::unnecessary_box_returns,
    reason = "a started fiber must not move"
)]
fn fiber(me: usize, entry: fn(*const Numbered, usize) -> usize) -> Box<Numbered> {
    Box::new(Fiber::new(Stack::take().unwrap(), me, entry))
}

fn resume(fiber: &mut Box<Numbered>) -> Step<usize> {
    // SAFETY: the tests resume from their own stack, neither move a fiber out of its box nor
    // resume it after it finished.
    unsafe { Fiber::resume(&raw mut **fiber) }
}

fn suspend(fiber: *const Numbered, to: usize) {
    // SAFETY: the entry functions below call it on their own stack.
    unsafe { Fiber::suspend(fiber, to) }
}

fn three_times(fiber: *const Numbered, me: usize) -> usize {
    for round in 1..=3 {
        suspend(fiber, me + round);
    }
    me + 100
}

fn at_once(_fiber: *const Numbered, me: usize) -> usize {
    me
}

#[test]
fn fiber_names_its_targets_in_order() {
    let mut fiber = fiber(10, three_times);
    let steps: Vec<_> = (0..4).map(|_| resume(&mut fiber)).collect();
    let expected = [
        Step::Switch(11),
        Step::Switch(12),
        Step::Switch(13),
        Step::Finish(110),
    ];
    assert_eq!(steps, expected);
    fiber.into_stack().release();
}

#[test]
fn fiber_runs_on_its_own_stack() {
    thread_local! {
        static SEEN: RefCell<usize> = const { RefCell::new(0) };
    }
    fn look(_fiber: *const Numbered, me: usize) -> usize {
        let local = 0_u8;
        SEEN.set(&raw const *black_box(&local) as usize);
        me
    }
    let stack = Stack::take().unwrap();
    let (limit, base) = (stack.limit(), stack.base());
    let mut fiber = Box::new(Fiber::new(stack, 0, look));
    assert_eq!(resume(&mut fiber), Step::Finish(0));
    let seen = SEEN.take();
    assert!((limit..base).contains(&seen));
    assert!(
        base - seen < 2048,
        "the first frames share a page with the chunk"
    );
    fiber.into_stack().release();
}

#[test]
fn locals_survive_switches_of_other_fibers() {
    fn sums(fiber: *const Numbered, me: usize) -> usize {
        let bytes = [me as u8; 512];
        let (mut whole, mut real) = (me, f64::from(me as u32) / 3.0);
        for round in 0..10 {
            whole = black_box(whole) * 3 + round;
            real = black_box(real) * 1.5 + f64::from(round as u32);
            suspend(fiber, me);
        }
        let intact = black_box(&bytes).iter().all(|&byte| byte == me as u8);
        let (mut whole_again, mut real_again) = (me, f64::from(me as u32) / 3.0);
        for round in 0..10 {
            whole_again = black_box(whole_again) * 3 + round;
            real_again = black_box(real_again) * 1.5 + f64::from(round as u32);
        }
        let same = whole == whole_again && real.to_bits() == real_again.to_bits();
        usize::from(intact && same)
    }
    let mut fibers: Vec<_> = (0..50).map(|me| fiber(me, sums)).collect();
    for _ in 0..10 {
        for (me, fiber) in fibers.iter_mut().enumerate() {
            assert_eq!(resume(fiber), Step::Switch(me));
        }
    }
    for mut fiber in fibers {
        assert_eq!(resume(&mut fiber), Step::Finish(1));
        fiber.into_stack().release();
    }
}

#[test]
fn ten_thousand_fibers_live_at_a_time() {
    let mut fibers: Vec<_> = (0..10_000).map(|me| fiber(me, three_times)).collect();
    for round in 1..=3 {
        for (me, fiber) in fibers.iter_mut().enumerate() {
            assert_eq!(resume(fiber), Step::Switch(me + round));
        }
    }
    for (me, mut fiber) in fibers.into_iter().enumerate() {
        assert_eq!(resume(&mut fiber), Step::Finish(me + 100));
        fiber.into_stack().release();
    }
}

#[test]
fn fiber_starts_another_one() {
    fn outer(this: *const Numbered, me: usize) -> usize {
        let mut inner = fiber(me + 1, at_once);
        let Step::Finish(answer) = resume(&mut inner) else {
            return 0;
        };
        inner.into_stack().release();
        suspend(this, answer);
        me
    }
    let mut fiber = fiber(1, outer);
    assert_eq!(resume(&mut fiber), Step::Switch(2));
    assert_eq!(resume(&mut fiber), Step::Finish(1));
    fiber.into_stack().release();
}

#[test]
fn os_threads_run_their_fibers_apart() {
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..200 {
                    let me = thread * 1000 + round;
                    let mut fiber = fiber(me, three_times);
                    for step in 1..=3 {
                        assert_eq!(resume(&mut fiber), Step::Switch(me + step));
                    }
                    assert_eq!(resume(&mut fiber), Step::Finish(me + 100));
                    fiber.into_stack().release();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn fiber_knows_whether_it_started() {
    let mut fiber = fiber(0, three_times);
    assert!(!fiber.started());
    resume(&mut fiber);
    assert!(fiber.started());
    while matches!(resume(&mut fiber), Step::Switch(_)) {}
    assert!(fiber.started());
    fiber.into_stack().release();
}

#[test]
fn fiber_that_never_ran_returns_its_stack() {
    let stack = Stack::take().unwrap();
    let base = stack.base();
    let stack = Fiber::new(stack, 0, three_times).into_stack();
    assert_eq!(stack.base(), base);
    stack.release();
}

#[test]
#[should_panic(expected = "a suspended fiber keeps its stack")]
fn suspended_fiber_keeps_its_stack() {
    let mut fiber = fiber(0, three_times);
    resume(&mut fiber);
    let _ = fiber.into_stack();
}

#[test]
fn dropped_fiber_is_not_unwound() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            DROPPED.set(true);
        }
    }
    thread_local! {
        static DROPPED: RefCell<bool> = const { RefCell::new(false) };
    }
    fn holds(fiber: *const Numbered, me: usize) -> usize {
        let _loud = Loud;
        suspend(fiber, me);
        me
    }
    let mut fiber = fiber(0, holds);
    resume(&mut fiber);
    drop(fiber);
    assert!(!DROPPED.take());
}
