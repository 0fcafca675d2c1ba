//! The ready queue, and the budget a turn may spend on it.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::Shuffle;

/// What is ready to run, in rounds: first in, first out unless it is shuffled.
///
/// A round is what was ready when it began. What becomes ready meanwhile belongs to the next one,
/// and so between two rounds there is a moment to look at what else has become ready, which
/// then comes before it.
#[derive(Debug)]
pub struct ReadyQueue<T> {
    items: VecDeque<T>,
    /// So many from the front belong to the round.
    round: usize,
    shuffle: Option<Box<Shuffle>>,
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ReadyQueue<T> {
    /// An empty queue, without memory until the first push.
    pub const fn new() -> Self {
        Self {
            items: VecDeque::new(),
            round: 0,
            shuffle: None,
        }
    }

    /// Chooses a random order from here on, or first in, first out again.
    pub fn set_shuffle(&mut self, shuffle: Option<Shuffle>) {
        self.shuffle = shuffle.map(Box::new);
    }

    /// The random order, if one was chosen.
    pub fn shuffle(&self) -> Option<&Shuffle> {
        self.shuffle.as_deref()
    }

    /// Before one is taken: in a random order, brings one of those for which `movable` holds to
    /// the front. What may not move is not overtaken while it is the first.
    #[inline]
    pub fn stir(&mut self, movable: impl Fn(&T) -> bool) {
        if self.shuffle.is_some() {
            self.bring_to_front(movable);
        }
    }

    #[cold]
    fn bring_to_front(&mut self, movable: impl Fn(&T) -> bool) {
        if !self.items.front().is_some_and(&movable) {
            return;
        }
        let places: Vec<usize> = (0..self.items.len())
            .filter(|&at| movable(&self.items[at]))
            .collect();
        let Some(shuffle) = self.shuffle.as_mut().filter(|_| places.len() > 1) else {
            return;
        };
        let at = places[shuffle.choose(places.len())];
        if let Some(item) = self.items.remove(at) {
            self.items.push_front(item);
        }
    }

    /// Puts `item` behind all others.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    /// Puts `item` before all others: for one that was popped and could not run after all.
    #[inline]
    pub fn push_front(&mut self, item: T) {
        self.items.push_front(item);
        self.round += 1;
    }

    /// Puts items behind those of the round, in their order, and before all that have become
    /// ready since it began.
    pub fn insert_behind_round(&mut self, items: impl Iterator<Item = T>) {
        let rest = self.items.len() - self.round;
        self.items.rotate_left(self.round);
        self.items.extend(items);
        self.items.rotate_left(rest);
    }

    /// Whether all that were ready when the round began have been taken.
    #[inline]
    pub const fn round_is_over(&self) -> bool {
        self.round == 0
    }

    /// Begins a round with all that are ready.
    #[inline]
    pub fn begin_round(&mut self) {
        self.round = self.items.len();
    }

    /// Takes the one that has waited longest.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.round = self.round.saturating_sub(1);
        self.items.pop_front()
    }

    /// Looks at the `index`-th from the front, to prefetch what it will need.
    #[inline]
    pub fn peek(&self, index: usize) -> Option<&T> {
        self.items.get(index)
    }

    /// How many are ready.
    #[inline]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nobody is ready.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes one of the first `depth` out of its place.
    pub fn take(&mut self, depth: usize, mut wanted: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.items.iter().take(depth).position(&mut wanted)?;
        if at < self.round {
            self.round -= 1;
        }
        self.items.remove(at)
    }

    /// Drops those for which `keep` is false; the others stay in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let (mut place, mut round) = (0, self.round);
        self.items.retain(|item| {
            let kept = keep(item);
            if !kept && place < self.round {
                round -= 1;
            }
            place += 1;
            kept
        });
        self.round = round;
    }

    /// All that are ready, next one first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }
}

/// Most switches between two looks at the clock.
const CLOCK_STRIDE: u32 = 16;

/// What one turn may spend on the ready queue: a time, and a number of switches.
///
/// The clock is looked at after 1, 2, 4, 8 and from then on every 16 switches: green threads
/// that run long end a turn early, and the many that run briefly do not pay for the clock.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    switches: u32,
    nanos: u64,
    switches_left: u32,
    until_look: u32,
    stride: u32,
    deadline_ns: u64,
}

impl Budget {
    /// A budget of `switches` and `nanos` per turn; call [`Budget::start`] before spending.
    pub const fn new(switches: u32, nanos: u64) -> Self {
        Self {
            switches,
            nanos,
            switches_left: 0,
            until_look: 1,
            stride: 1,
            deadline_ns: 0,
        }
    }

    /// Begins a turn at `now`: the whole budget is there again.
    #[inline]
    pub fn start(&mut self, now: u64) {
        self.switches_left = self.switches;
        self.until_look = 1;
        self.stride = 1;
        self.deadline_ns = now.saturating_add(self.nanos);
    }

    /// Pays for one switch; false if the budget does not cover it.
    ///
    /// Calls `clock` now and then only. Once false, stays false until the next start.
    #[inline]
    pub fn spend(&mut self, clock: impl FnOnce() -> u64) -> bool {
        if self.switches_left == 0 {
            return false;
        }
        self.switches_left -= 1;
        if self.until_look == 0 {
            self.stride = (self.stride * 2).min(CLOCK_STRIDE);
            self.until_look = self.stride;
            if clock() >= self.deadline_ns {
                self.switches_left = 0;
                return false;
            }
        }
        self.until_look -= 1;
        true
    }

    /// Spends what is left: the next [`Budget::spend`] fails.
    #[inline]
    pub fn exhaust(&mut self) {
        self.switches_left = 0;
    }

    /// Switches still paid for, if time does not run out before.
    #[inline]
    pub const fn switches_left(&self) -> u32 {
        self.switches_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_queue_is_first_in_first_out() {
        let mut queue = ReadyQueue::new();
        for item in 0..5 {
            queue.push(item);
        }
        assert_eq!(queue.peek(1), Some(&1));
        assert_eq!(queue.peek(5), None);
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_comes_between_two_rounds_comes_before_what_came_during_the_first() {
        let mut queue = ReadyQueue::new();
        queue.push(1);
        queue.push(2);
        assert!(queue.round_is_over());
        queue.begin_round();
        assert_eq!(queue.pop(), Some(1));
        queue.push(5);
        assert!(!queue.round_is_over());
        queue.insert_behind_round([3, 4].into_iter());
        queue.push_front(0);
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 2, 3, 4, 5]);
        assert!(queue.round_is_over());
    }

    #[test]
    fn a_round_shrinks_with_what_is_taken_out() {
        let mut queue = ReadyQueue::new();
        for item in 0..6 {
            queue.push(item);
        }
        queue.begin_round();
        queue.push(6);
        queue.retain(|item| item % 2 == 0);
        assert_eq!(queue.take(9, |item| *item == 2), Some(2));
        assert_eq!(queue.pop(), Some(0));
        assert!(!queue.round_is_over());
        assert_eq!(queue.pop(), Some(4));
        assert!(queue.round_is_over());
        assert_eq!(queue.pop(), Some(6));
    }

    #[test]
    fn one_near_the_front_can_be_taken_out() {
        let mut queue = ReadyQueue::new();
        for item in 0..5 {
            queue.push(item);
        }
        assert_eq!(queue.take(2, |item| *item == 3), None);
        assert_eq!(queue.take(4, |item| *item == 3), Some(3));
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 1, 2, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn one_put_back_runs_before_all_others() {
        let mut queue = ReadyQueue::new();
        queue.push('a');
        queue.push('b');
        let first = queue.pop().expect("two were pushed");
        queue.push('c');
        queue.push_front(first);
        assert_eq!(queue.iter().copied().collect::<String>(), "abc");
    }

    #[test]
    fn shuffled_queue_serves_all_and_moves_only_what_may_move() {
        let mut queue = ReadyQueue::new();
        queue.set_shuffle(Some(Shuffle::new(3, None)));
        (0..20).for_each(|item| queue.push(item));
        let mut order = Vec::new();
        while !queue.is_empty() {
            queue.stir(|item| item % 5 != 0);
            order.extend(queue.pop());
        }
        assert!(!order.is_sorted());
        let fixed: Vec<i32> = order.iter().copied().filter(|i| i % 5 == 0).collect();
        assert_eq!(fixed, [0, 5, 10, 15]);
        order.sort_unstable();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
        assert!(queue.shuffle().is_some_and(|s| !s.displaced().is_empty()));
    }

    #[test]
    fn retain_keeps_the_order_of_the_rest() {
        let mut queue = ReadyQueue::new();
        (0..10).for_each(|item| queue.push(item));
        queue.retain(|item| item % 3 == 0);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [0, 3, 6, 9]);
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn budget_ends_after_the_given_number_of_switches() {
        let mut budget = Budget::new(100, u64::MAX);
        budget.start(0);
        let granted = (0..200).filter(|_| budget.spend(|| 0)).count();
        assert_eq!(granted, 100);
        budget.start(0);
        assert_eq!(budget.switches_left(), 100);
    }

    #[test]
    fn budget_ends_at_the_first_look_at_the_clock_after_its_time() {
        let mut budget = Budget::new(1000, 50);
        budget.start(100);
        let granted = (0..200).filter(|_| budget.spend(|| 150)).count();
        assert_eq!(granted, 1);
        budget.start(100);
        let granted = (0..20).filter(|_| budget.spend(|| 149)).count();
        assert_eq!(granted, 20);
    }

    #[test]
    fn budget_reads_the_clock_less_and_less_often_up_to_every_sixteenth_switch() {
        let mut budget = Budget::new(160, 1000);
        let mut reads = Vec::new();
        budget.start(0);
        for switch in 0..64 {
            budget.spend(|| {
                reads.push(switch);
                0
            });
        }
        assert_eq!(reads, [1, 3, 7, 15, 31, 47, 63]);
    }

    #[test]
    fn budget_without_start_covers_nothing() {
        assert!(!Budget::new(10, 10).spend(|| 0));
    }
}
