//! [`mutated`]: a directory, changed as some bytes say; and a source of such bytes.

use forelog::testing::fuzz::mend;

use super::Files;

/// How many bytes tell of one change.
const CHANGE_LEN: usize = 8;
/// How many changes count.
const CHANGES_MAX: usize = 8;
const HEADER_LEN: usize = 4096;
const TRAILER_LEN: usize = 512;
/// What is told of a length, a count or a Seq where it is to hurt.
const HURTING: [u64; 16] = [
    0,
    1,
    7,
    4096,
    65_535,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    1 << 62,
    u64::MAX >> 1,
    u64::MAX - 1,
    u64::MAX,
];

/// One of these directories, changed as `input` says: its first byte chooses the directory, eight bytes each
/// tell of a change. Checksums are made right afterwards, as a rule.
pub fn mutated(bases: &[Files], input: &[u8]) -> Files {
    let (first, changes) = input.split_first().unwrap_or((&0, &[]));
    let mut files = bases[usize::from(*first) % bases.len()].clone();
    for change in changes.chunks_exact(CHANGE_LEN).take(CHANGES_MAX) {
        if files.is_empty() {
            break;
        }
        apply(&mut files, change);
    }
    files
}

fn apply(files: &mut Files, change: &[u8]) {
    let [kind, file, a, b, c, d, value, mends] = *change else {
        return;
    };
    let index = usize::from(file) % files.len();
    let place = u32::from_le_bytes([a, b, c, d]) as usize;
    let other = place % files.len();
    let bytes = &mut files[index].1;
    let hurting = HURTING[usize::from(value) % HURTING.len()];
    match kind % 16 {
        // Any bit.
        0 | 1 => {
            if let Some(byte) = pick(bytes, 0, place) {
                *byte ^= 1 << (value % 8);
            }
        }
        // Numbers: of the header, of the trailer, of a frame's header, anywhere.
        2..=5 => set(bytes, place % 160 / 4 * 4, hurting, value),
        6..=8 => {
            let at = bytes.len().saturating_sub(TRAILER_LEN) + place % 208 / 4 * 4;
            set(bytes, at, hurting, value);
        }
        9 | 10 => {
            let room = bytes.len().saturating_sub(HEADER_LEN).max(1);
            set(
                bytes,
                HEADER_LEN + place % room.min(2048) / 4 * 4,
                hurting,
                value,
            );
        }
        11 => {
            let at = place % bytes.len().max(1) / 8 * 8;
            set(bytes, at, hurting, value);
        }
        12 => {
            let at = place % bytes.len().max(1) / 512 * 512;
            let end = bytes.len().min(at + 512 * (1 + usize::from(value) % 16));
            bytes[at..end].fill(0);
        }
        13 => bytes.truncate(place % bytes.len().max(1)),
        14 => {
            files.remove(index);
            return;
        }
        // A file in place of another, or behind its own end.
        _ => {
            let copy = files[other].1.clone();
            if value % 2 == 0 {
                files[index].1 = copy;
            } else {
                files[index].1.extend(copy);
            }
        }
    }
    if mends % 4 != 0 {
        mend(&mut files[index].1);
    }
}

fn pick(bytes: &mut [u8], from: usize, place: usize) -> Option<&mut u8> {
    let room = bytes.len().checked_sub(from).filter(|&room| room > 0)?;
    bytes.get_mut(from + place % room)
}

/// Sets four or eight bytes.
fn set(bytes: &mut [u8], at: usize, number: u64, value: u8) {
    let number = number.to_le_bytes();
    let len = if value & 0x80 == 0 { 8 } else { 4 };
    if let Some(place) = bytes.get_mut(at..at + len) {
        place.copy_from_slice(&number[..len]);
    }
}

/// Numbers that follow from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() >> 11) as usize % bound.max(1)
    }

    /// Changes some bytes: of each kind that fuzzers make.
    pub fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let hurting = HURTING[self.below(HURTING.len())].to_le_bytes();
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.number().to_le_bytes()[0],
                2 => set(
                    bytes,
                    at,
                    u64::from_le_bytes(hurting),
                    self.number().to_le_bytes()[0],
                ),
                3 => bytes.truncate(at),
                4 => bytes.extend(hurting),
                _ => {
                    let end = bytes.len().min(at + self.below(64));
                    let part = bytes[at.min(end)..end].to_vec();
                    bytes.extend(part);
                }
            }
        }
    }
}
