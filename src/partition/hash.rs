//! The hash that says where a key belongs, the same on every machine and in every version.
//!
//! FNV-1a with 64 bits (Fowler, Noll and Vo, 1991; `draft-eastlake-fnv`), whose low bits are weak for
//! short keys, so they are mixed by the finalizer of `SplitMix64` (Steele, Lea and Flood, 2014). The
//! high bits choose the partition, by multiplication (Lemire, 2019).

/// The algorithm's name, as the layout file has it. Another algorithm takes another name.
pub(super) const NAME: &str = "fnv1a64-splitmix64";

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(OFFSET_BASIS, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

fn split_mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash of a key.
pub(super) fn of(key: &[u8]) -> u64 {
    split_mix(fnv1a(key))
}

/// The place of a hash among so many.
pub(super) fn place(hash: u64, count: usize) -> usize {
    let wide = u128::from(hash) * count as u128;
    // Below `count`.
    usize::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_gives_its_authors_vectors() {
        let vectors = [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ];
        for (text, hash) in vectors {
            assert_eq!(fnv1a(text.as_bytes()), hash, "{text:?}");
        }
    }

    /// What is written down here must never change: events would be sought in the wrong place.
    #[test]
    fn keys_go_where_they_always_went() {
        let keys = ["", "web", "account-1", "account-2", "order.placed", "ä"];
        let places = keys.map(|key| place(of(key.as_bytes()), 16));
        assert_eq!(places, PLACES);
    }

    const PLACES: [usize; 6] = [12, 12, 15, 4, 13, 9];

    #[test]
    fn keys_that_are_alike_spread_evenly() {
        for count in [2, 3, 4, 7, 16, 64] {
            let mut sums = vec![0_usize; count];
            for n in 0..10_000 {
                sums[place(of(format!("account-{n}").as_bytes()), count)] += 1;
            }
            let fair = 10_000 / count;
            let near = |&sum: &usize| sum.abs_diff(fair) * 3 < fair;
            assert!(sums.iter().all(near), "{count}: {sums:?}");
        }
    }
}
