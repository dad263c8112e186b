//! [`Pace`]: how many requests each client may make, so that none of them takes the others' share.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many requests a client may make at once, and each second from then on.
const BURST: f64 = 200.0;
const PER_SECOND: f64 = 50.0;
/// How many clients are told apart; all others share.
const CLIENTS_MAX: usize = 1024;
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Buckets of rights to a request, which fill with time.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<IpAddr, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    at: Instant,
    left: f64,
}

impl Bucket {
    fn filled(self, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + seconds * PER_SECOND).min(BURST)
    }
}

impl Pace {
    /// Takes the right to one request; says whether there was one.
    pub(super) fn has_room(&self, client: IpAddr, now: Instant) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = network(client);
        if buckets.len() >= CLIENTS_MAX && !buckets.contains_key(&client) {
            buckets.retain(|_, bucket| bucket.filled(now) < BURST);
            if buckets.len() >= CLIENTS_MAX {
                client = OTHERS;
            }
        }
        let full = Bucket {
            at: now,
            left: BURST,
        };
        let bucket = buckets.entry(client).or_insert(full);
        let left = bucket.filled(now);
        let is_there = left >= 1.0;
        *bucket = Bucket {
            at: now,
            left: if is_there { left - 1.0 } else { left },
        };
        is_there
    }
}

/// Who owns one address of IPv6 owns its 64 bits of others.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() & !u128::from(u64::MAX)).into()),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last))
    }

    /// How many of so many requests are let through.
    fn passed(pace: &Pace, client: IpAddr, count: usize, now: Instant) -> usize {
        (0..count).filter(|_| pace.has_room(client, now)).count()
    }

    #[test]
    fn a_client_that_asks_too_much_takes_nothing_from_another() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert_eq!(passed(&pace, address(1), 500, now), 200);
        assert_eq!(passed(&pace, address(2), 10, now), 10);
        let later = now + Duration::from_secs(1);
        assert_eq!(passed(&pace, address(1), 500, later), 50);
    }

    #[test]
    fn many_clients_take_no_more_memory() {
        let (pace, now) = (Pace::default(), Instant::now());
        for last in 0..5_000 {
            pace.has_room(address(last), now);
        }
        assert!(pace.0.lock().unwrap().len() <= CLIENTS_MAX + 1);
        let later = now + Duration::from_secs(10);
        assert_eq!(
            passed(&pace, address(9_999), 10, later),
            10,
            "the idle are forgotten"
        );
        assert!(pace.0.lock().unwrap().len() < 10);
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let (pace, now) = (Pace::default(), Instant::now());
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(passed(&pace, six("2001:db8::1"), 200, now), 200);
        assert_eq!(passed(&pace, six("2001:db8::2"), 1, now), 0);
        assert_eq!(passed(&pace, six("2001:db8:0:1::2"), 1, now), 1);
        assert_eq!(passed(&pace, six("::ffff:10.0.0.1"), 200, now), 200);
        assert_eq!(passed(&pace, address(1), 1, now), 0);
    }
}
