//! A random order that can be had again: for tests that look for what relies on the order.
//!
//! Each choice is numbered. What is drawn for it depends on the seed and its number alone, so
//! that a run can be repeated with some of its choices taken back: those that matter remain.

#![forbid(unsafe_code)]

/// Chooses who is served next, where first in first out would serve the first.
#[derive(Debug, Default)]
pub struct Shuffle {
    seed: u64,
    /// How many choices there were.
    choices: u64,
    /// The only ones that may be drawn, in order; None for all.
    only: Option<Vec<u64>>,
    /// Those at which another than the first was taken.
    displaced: Vec<u64>,
}

impl Shuffle {
    /// The order of `seed`; with `only`, as far as the choices of these numbers go.
    pub fn new(seed: u64, only: Option<Vec<u64>>) -> Self {
        let only = only.map(|mut numbers| {
            numbers.sort_unstable();
            numbers
        });
        Self {
            seed,
            only,
            ..Self::default()
        }
    }

    /// Chooses one of `length`, of which there are two or more.
    pub fn choose(&mut self, length: usize) -> usize {
        let number = self.choices;
        self.choices += 1;
        if let Some(only) = &self.only
            && only.binary_search(&number).is_err()
        {
            return 0;
        }
        let chosen = (mix(self.seed ^ mix(number)) % length as u64) as usize;
        if chosen != 0 {
            self.displaced.push(number);
        }
        chosen
    }

    /// The numbers of the choices at which another than the first was taken.
    pub fn displaced(&self) -> &[u64] {
        &self.displaced
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): each bit depends on all.
const fn mix(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(shuffle: &mut Shuffle) -> Vec<usize> {
        (0..50).map(|_| shuffle.choose(4)).collect()
    }

    #[test]
    fn one_seed_gives_one_order_and_another_seed_another() {
        let first = draw(&mut Shuffle::new(1, None));
        assert_eq!(first, draw(&mut Shuffle::new(1, None)));
        assert_ne!(first, draw(&mut Shuffle::new(2, None)));
        assert!((0..4).all(|place| first.contains(&place)));
    }

    #[test]
    fn choices_that_are_left_are_drawn_as_before() {
        let mut all = Shuffle::new(7, None);
        let drawn = draw(&mut all);
        let kept: Vec<u64> = all.displaced().iter().copied().step_by(3).collect();
        let mut some = Shuffle::new(7, Some(kept.clone()));
        for (number, chosen) in draw(&mut some).into_iter().enumerate() {
            let expected = if kept.contains(&(number as u64)) {
                drawn[number]
            } else {
                0
            };
            assert_eq!(chosen, expected);
        }
        assert_eq!(some.displaced(), kept);
    }
}
