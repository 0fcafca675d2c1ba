//! What green threads may do in one turn without waiting: the bound on those who never wait.

#![forbid(unsafe_code)]

/// Operations between two turns.
pub const OPERATIONS: u32 = 256;
/// Nanoseconds between two turns, for green threads whose operations never wait. Half of what
/// is promised: when they have passed, as many of CPU time are waited for.
pub const NANOS: u64 = 5_000_000;

/// Operations between two looks at the clock where they are short; the first look of a turn
/// comes sooner.
const STRIDE: u32 = 4;
const FIRST: u32 = 1;
/// The same for operations without a system call, which cost little more than the look.
const LIGHT_STRIDE: u32 = 32;
/// Nanoseconds between two looks from which on each operation looks at the clock.
const LONG: u64 = 500_000;

/// A number of operations and a time, which all green threads of a turn share.
///
/// The [`Budget`](super::Budget) bounds switches, so it never stops a green thread that does
/// not switch: one whose socket always has data, or always takes some. Such a one pays here,
/// for each operation, and gives way when that fails.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    left: u32,
    until_look: u32,
    looked: u64,
    deadline: u64,
    /// CPU time at the first look after the deadline.
    mark: Option<u64>,
}

/// Counts operations without a system call, of all hubs together: in which of them it is, is not
/// worth asking for each.
#[derive(Debug, Default)]
pub struct LightCount(u32);

impl LightCount {
    /// None so far.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Counts one; true if [`Allowance::spend_light`] is to be asked.
    #[inline]
    pub const fn is_due(&mut self) -> bool {
        self.0 += 1;
        self.0 >= LIGHT_STRIDE
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

impl Allowance {
    /// A whole allowance, whose time is not limited before the first [`Allowance::start`].
    pub const fn new() -> Self {
        Self {
            left: OPERATIONS,
            until_look: FIRST,
            looked: 0,
            deadline: u64::MAX,
            mark: None,
        }
    }

    /// Begins a turn at `now`: the whole allowance is there again.
    #[inline]
    pub fn start(&mut self, now: u64) {
        self.left = OPERATIONS;
        self.until_look = FIRST;
        self.looked = now;
        self.deadline = now.saturating_add(NANOS);
        self.mark = None;
    }

    /// Pays for one operation; false if the allowance does not cover it.
    ///
    /// Once false, stays false until the next start. Without a turn in progress (`in_turn`)
    /// one that nobody has looked at for longer than a turn may last is begun anew: nothing
    /// tells when those began whose turn this is.
    ///
    /// `clock` is asked now and then only; `cpu`, the CPU time of this OS thread, when time is
    /// up: an OS thread that had to wait for a processor has not served anybody too long.
    #[inline]
    pub fn spend(
        &mut self,
        in_turn: bool,
        clock: impl FnOnce() -> u64,
        cpu: impl FnOnce() -> u64,
    ) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        if self.until_look > 0 {
            self.until_look -= 1;
            return true;
        }
        self.look(in_turn, clock(), cpu)
    }

    /// [`Allowance::spend`] for an operation without a system call, which is so short that time
    /// alone limits it: for those of them of which `count` says so.
    pub fn spend_light(
        &mut self,
        count: &mut LightCount,
        in_turn: bool,
        clock: impl FnOnce() -> u64,
        cpu: impl FnOnce() -> u64,
    ) -> bool {
        if self.left == 0 {
            return false;
        }
        let fine = self.look(in_turn, clock(), cpu);
        count.0 = if self.until_look == 0 {
            LIGHT_STRIDE - 1
        } else {
            0
        };
        fine
    }

    /// Takes more than the one operation that was paid: it makes work for others.
    #[inline]
    pub fn burden(&mut self, operations: u32) {
        self.left = self.left.saturating_sub(operations);
    }

    fn look(&mut self, in_turn: bool, now: u64, cpu: impl FnOnce() -> u64) -> bool {
        let passed = now.saturating_sub(self.looked);
        self.until_look = STRIDE - 1;
        if passed >= LONG {
            self.until_look = 0;
        }
        self.looked = now;
        if now < self.deadline {
            return true;
        }
        if !in_turn && passed > NANOS {
            self.start(now);
            return true;
        }
        self.until_look = 0;
        let cpu = cpu();
        if cpu < self.mark.get_or_insert(cpu).saturating_add(NANOS) {
            return true;
        }
        self.left = 0;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A clock, by which CPU time goes, too.
    #[derive(Default)]
    struct Time {
        now: Cell<u64>,
        looks: Cell<u32>,
    }

    impl Time {
        fn spend(&self, allowance: &mut Allowance, in_turn: bool) -> bool {
            let look = || {
                self.looks.set(self.looks.get() + 1);
                self.now.get()
            };
            allowance.spend(in_turn, look, || self.now.get())
        }

        /// Operations of `nanos` each, until one is refused; 1000 at most.
        fn granted(&self, allowance: &mut Allowance, nanos: u64) -> u32 {
            for count in 0..1000 {
                if !self.spend(allowance, true) {
                    return count;
                }
                self.now.set(self.now.get() + nanos);
            }
            1000
        }
    }

    fn spend_light(
        allowance: &mut Allowance,
        count: &mut LightCount,
        clock: impl FnOnce() -> u64,
        cpu: u64,
    ) -> bool {
        !count.is_due() || allowance.spend_light(count, true, clock, || cpu)
    }

    #[test]
    fn allowance_ends_after_its_operations() {
        let (time, mut allowance) = (Time::default(), Allowance::new());
        for _ in 0..2 {
            allowance.start(0);
            assert_eq!(time.granted(&mut allowance, 0), OPERATIONS);
            assert_eq!(time.granted(&mut allowance, 0), 0);
        }
    }

    #[test]
    fn allowance_ends_with_its_time_where_operations_are_long() {
        let (time, mut allowance) = (Time::default(), Allowance::new());
        allowance.start(0);
        let count = time.granted(&mut allowance, NANOS / 4);
        assert!((8..12).contains(&count), "{count}");
        // Each so long that the first look finds time used up, and the second CPU time.
        allowance.start(time.now.get());
        assert_eq!(time.granted(&mut allowance, 2 * NANOS), 2);
    }

    #[test]
    fn waiting_for_a_processor_uses_nothing_up() {
        let (time, mut allowance) = (Time::default(), Allowance::new());
        allowance.start(0);
        time.now.set(100 * NANOS);
        assert!((0..OPERATIONS).all(|_| allowance.spend(true, || time.now.get(), || 7)));
    }

    #[test]
    fn short_operations_look_at_the_clock_now_and_then() {
        let (time, mut allowance) = (Time::default(), Allowance::new());
        allowance.start(0);
        time.granted(&mut allowance, 0);
        assert_eq!(time.looks.get(), 64);
    }

    #[test]
    fn burden_counts_as_operations() {
        let (time, mut allowance) = (Time::default(), Allowance::new());
        allowance.start(0);
        let count = (0..1000)
            .take_while(|_| {
                let granted = time.spend(&mut allowance, true);
                allowance.burden(7);
                granted
            })
            .count();
        assert_eq!(count, OPERATIONS as usize / 8);
    }

    #[test]
    fn light_operations_are_limited_by_time_alone() {
        let (mut allowance, mut light) = (Allowance::new(), LightCount::new());
        allowance.start(0);
        assert!((0..100_000).all(|_| spend_light(&mut allowance, &mut light, || NANOS - 1, 0)));
        let now = Cell::new(NANOS);
        let count = (0..100_000)
            .take_while(|_| {
                now.set(now.get() + NANOS / 100);
                spend_light(&mut allowance, &mut light, || now.get(), now.get())
            })
            .count();
        assert!(count < 2 * LIGHT_STRIDE as usize + 100, "{count}");
        assert!(!allowance.spend(true, || 0, || 0));
        assert!(!spend_light(&mut allowance, &mut light, || 0, 0));
    }

    #[test]
    fn light_operations_that_turn_out_long_are_looked_at_each() {
        let (mut allowance, mut light) = (Allowance::new(), LightCount::new());
        allowance.start(0);
        let now = Cell::new(0);
        let mut looks = 0;
        for _ in 0..LIGHT_STRIDE + 3 {
            let look = || {
                looks += 1;
                now.set(now.get() + LONG);
                now.get()
            };
            spend_light(&mut allowance, &mut light, look, 0);
        }
        assert_eq!(looks, 4);
    }

    #[test]
    fn time_that_passed_between_turns_is_nobodys() {
        let mut allowance = Allowance::new();
        allowance.start(0);
        assert!((0..100).all(|_| allowance.spend(false, || 50 * NANOS, || 0)));
    }

    #[test]
    fn operations_before_the_first_turn_are_limited_in_number() {
        let (time, mut allowance) = (Time::default(), Allowance::new());
        assert_eq!(time.granted(&mut allowance, NANOS), OPERATIONS);
    }
}
