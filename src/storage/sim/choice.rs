//! Which of the legal images: [`Choice`] names one, [`Plan`] goes through many.

/// One legal image of a system crash. Printed by [`describe`](super::SimDisk::describe), so that a
/// failing image can be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nothing pending survives.
    AllLost,
    /// Everything pending survives.
    AllKept,
    /// Only the slot of this number survives.
    OnlyKept(usize),
    /// Only the slot of this number is lost.
    OnlyLost(usize),
    /// Chance decides.
    Seed(u64),
    /// For each slot: 0 is lost, the highest is kept, between lie the older versions of a sector.
    /// Missing digits are 0; ones that are too high mean kept.
    Digits(Vec<usize>),
}

impl Choice {
    /// A digit below its radix for each slot.
    pub(super) fn digits(&self, radices: &[usize]) -> Vec<usize> {
        let each = |digit: &dyn Fn(usize, usize) -> usize| {
            let slots = radices.iter().enumerate();
            slots.map(|(slot, radix)| digit(slot, radix - 1)).collect()
        };
        match self {
            Choice::AllLost => each(&|_, _| 0),
            Choice::AllKept => each(&|_, highest| highest),
            Choice::OnlyKept(kept) => {
                each(&|slot, highest| if slot == *kept { highest } else { 0 })
            }
            Choice::OnlyLost(lost) => {
                each(&|slot, highest| if slot == *lost { 0 } else { highest })
            }
            Choice::Digits(digits) => {
                each(&|slot, highest| digits.get(slot).map_or(0, |digit| highest.min(*digit)))
            }
            Choice::Seed(seed) => by_chance(*seed, radices),
        }
    }
}

/// Digits by chance. The share that is kept is drawn first: with a fixed one, images of many slots
/// would all be half and half.
fn by_chance(seed: u64, radices: &[usize]) -> Vec<usize> {
    let mut random = Random(seed);
    let eighths_kept = [1, 4, 7]
        .into_iter()
        .nth(random.below(3))
        .unwrap_or_default();
    let mut digit = |radix: &usize| {
        if random.below(8) < eighths_kept {
            radix - 1
        } else {
            random.below(radix - 1)
        }
    };
    radices.iter().map(&mut digit).collect()
}

/// `SplitMix64`: small, and the same everywhere.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        // The modulo's bias does not matter for choosing tests.
        usize::try_from(self.next() >> 33).unwrap_or_default() % end.max(1)
    }
}

/// How many slots a sampled plan keeps, and how many it loses, each alone.
const ALONE: usize = 8;

/// How many choices are drawn for each sample.
const SPARE: u64 = 4;

/// The choices to go through, one by one.
#[derive(Debug)]
pub(super) struct Plan {
    radices: Vec<usize>,
    next: u64,
    count: u64,
    /// `None` to go through all combinations.
    seed: Option<u64>,
}

impl Plan {
    /// All combinations if there are at most 2 to the `max_exhaustive_bits`, else samples; of these
    /// some more than asked for, since many lose the names that make them differ.
    pub(super) fn new(
        radices: Vec<usize>,
        max_exhaustive_bits: u32,
        samples: u64,
        seed: u64,
    ) -> Self {
        let most = 1_u64.checked_shl(max_exhaustive_bits).unwrap_or(u64::MAX);
        let combine = |all: u64, radix: &usize| all.checked_mul(*radix as u64);
        let combinations = radices.iter().try_fold(1, combine);
        let exhaustive = combinations.filter(|count| *count <= most);
        Plan {
            radices,
            next: 0,
            count: exhaustive.unwrap_or(samples.saturating_mul(SPARE)),
            seed: exhaustive.is_none().then_some(seed),
        }
    }

    pub(super) fn is_exhaustive(&self) -> bool {
        self.seed.is_none()
    }

    pub(super) fn next(&mut self) -> Option<Choice> {
        let index = self.next;
        if index == self.count {
            return None;
        }
        self.next += 1;
        Some(match self.seed {
            None => self.combination(index),
            Some(seed) => self.sample(index, seed),
        })
    }

    /// The digits of `index`, written in the slots' radices.
    fn combination(&self, mut index: u64) -> Choice {
        let mut digits = Vec::with_capacity(self.radices.len());
        for radix in &self.radices {
            let radix = *radix as u64;
            // Below the radix, which is a usize.
            digits.push(usize::try_from(index % radix).unwrap_or_default());
            index /= radix;
        }
        Choice::Digits(digits)
    }

    fn sample(&self, index: u64, seed: u64) -> Choice {
        let slots = self.radices.len();
        let alone = slots.min(ALONE);
        // Spread over all slots, the first and the last among them.
        let spread = |nth: usize| nth * (slots - 1) / (alone - 1).max(1);
        match usize::try_from(index).unwrap_or(usize::MAX) {
            0 => Choice::AllLost,
            1 => Choice::AllKept,
            nth if nth < 2 + alone => Choice::OnlyKept(spread(nth - 2)),
            nth if nth < 2 + 2 * alone => Choice::OnlyLost(spread(nth - 2 - alone)),
            _ => Choice::Seed(Random(seed ^ index.rotate_left(32)).next()),
        }
    }
}
