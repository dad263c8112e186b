//! Whether bytes are one whole `MessagePack` value: the quick look, for what is almost always right.

/// How deep maps and arrays of an event's data may nest.
pub const MAX_DEPTH: usize = 64;

/// Whether `bytes` are certain to be exactly one value that nests no deeper than [`MAX_DEPTH`].
///
/// `false` says nothing: the decoder, which is slower and explains itself, has the last word. The
/// first bytes are those of the `MessagePack` specification, section "Formats".
pub(super) fn is_one_value(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // How many values are still to come at each open depth. The decoder counts the innermost value
    // as a depth of its own.
    let mut open = [0_u64; MAX_DEPTH - 1];
    let mut depth = 0_usize;
    let mut left = 1_u64;
    loop {
        while left == 0 {
            let Some(outer) = depth.checked_sub(1) else {
                return rest.is_empty();
            };
            depth = outer;
            left = open.get(depth).copied().unwrap_or_default();
        }
        let Some(step) = step(rest) else {
            return false;
        };
        left -= 1;
        let Some(behind) = rest.get(step.len..) else {
            return false;
        };
        rest = behind;
        if step.values > 0 {
            let Some(place) = open.get_mut(depth) else {
                return false;
            };
            *place = left;
            depth += 1;
            left = step.values;
        }
    }
}

/// One value without those inside it.
struct Step {
    /// Its length in bytes: all of it, or for an array or a map its head.
    len: usize,
    /// How many values stand inside it.
    values: u64,
}

fn step(bytes: &[u8]) -> Option<Step> {
    let first = *bytes.first()?;
    let scalar = |len: usize| Some(Step { len, values: 0 });
    // A head of `1 + width` bytes whose number says how many bytes, or values, follow.
    let number = |width: usize| {
        let digits = bytes.get(1..1 + width)?;
        Some(
            digits
                .iter()
                .fold(0_u64, |sum, &digit| sum << 8 | u64::from(digit)),
        )
    };
    let run = |width: usize, more: usize| {
        let len = usize::try_from(number(width)?).ok()?;
        scalar(len.checked_add(1 + width + more)?)
    };
    let nest = |width: usize, each: u64| {
        Some(Step {
            len: 1 + width,
            values: number(width)?.checked_mul(each)?,
        })
    };
    let short = |mask: u8| usize::from(first & mask);
    match first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => scalar(1),
        0x80..=0x8f => Some(Step {
            len: 1,
            values: 2 * short(0x0f) as u64,
        }),
        0x90..=0x9f => Some(Step {
            len: 1,
            values: short(0x0f) as u64,
        }),
        0xa0..=0xbf => scalar(1 + short(0x1f)),
        0xc1 => None,
        0xc4 | 0xd9 => run(1, 0),
        0xc5 | 0xda => run(2, 0),
        0xc6 | 0xdb => run(4, 0),
        // Extensions have a type byte before their data.
        0xc7 => run(1, 1),
        0xc8 => run(2, 1),
        0xc9 => run(4, 1),
        0xd4..=0xd8 => scalar(2 + (1 << (first - 0xd4))),
        0xcc | 0xd0 => scalar(2),
        0xcd | 0xd1 => scalar(3),
        0xca | 0xce | 0xd2 => scalar(5),
        0xcb | 0xcf | 0xd3 => scalar(9),
        0xdc => nest(2, 1),
        0xdd => nest(4, 1),
        0xde => nest(2, 2),
        0xdf => nest(4, 2),
    }
}
