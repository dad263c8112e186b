//! The records that every engine gets: 256 bytes that no compressor shortens, the same in each run.

use forelog::{Data, Event};

/// The bytes of a record: what a rival stores as its payload, and what type, source and data of the
/// event take together.
pub const RECORD_LEN: usize = 256;
/// How many different records there are: 1 MiB, beyond the window of any compressor used here.
const RECORDS: usize = 4096;
const SEED: u64 = 0x0F02_E106_0000_0001;
const EVENT_TYPE: &str = "bench";
const SOURCE: &str = "b";

/// One record in both of its shapes, made before any clock runs.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub bytes: &'a [u8],
    pub event: &'a Event,
}

/// Records that are appended together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub bytes: &'a [Vec<u8>],
    pub events: &'a [Event],
}

impl Batch<'_> {
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The pool of records; record `n` of a run is the pool's `n` modulo its size.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<Vec<u8>>,
    events: Vec<Event>,
}

impl Records {
    /// The same pool each time.
    ///
    /// # Errors
    /// If an event cannot be made of a record, which would be a mistake here.
    pub fn new() -> anyhow::Result<Self> {
        let mut random = Random::new(SEED);
        let bytes: Vec<Vec<u8>> = (0..RECORDS).map(|_| random.bytes(RECORD_LEN)).collect();
        let events = bytes.iter().map(|bytes| event(bytes)).collect();
        let events = Result::<Vec<_>, _>::from_iter::<Vec<_>>(events)?;
        Ok(Records { bytes, events })
    }

    /// Record number `n`.
    pub fn get(&self, n: u64) -> Record<'_> {
        let at = index(n);
        Record {
            bytes: &self.bytes[at],
            event: &self.events[at],
        }
    }

    /// `len` records from number `n` on, or fewer at the pool's end.
    pub fn batch(&self, n: u64, len: usize) -> Batch<'_> {
        let from = index(n);
        let to = (from + len).min(RECORDS);
        Batch {
            bytes: &self.bytes[from..to],
            events: &self.events[from..to],
        }
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n % RECORDS as u64).unwrap_or(0)
}

/// The event that holds a record: type, source and data take `RECORD_LEN` bytes together. The data
/// is a `MessagePack` byte string, as a user's would be.
fn event(bytes: &[u8]) -> forelog::Result<Event> {
    const HEADER_LEN: usize = 2;
    const BIN_8: u8 = 0xC4;
    const LEN: usize = RECORD_LEN - EVENT_TYPE.len() - SOURCE.len() - HEADER_LEN;
    const LEN_BYTE: u8 = {
        assert!(LEN <= 0xFF);
        LEN.to_le_bytes()[0]
    };
    let mut data = vec![BIN_8, LEN_BYTE];
    data.extend_from_slice(&bytes[..LEN]);
    Ok(Event::with_data(
        EVENT_TYPE,
        SOURCE,
        Data::from_msgpack(data)?,
    ))
}

/// A small seeded generator (splitmix64): runs must be repeatable, not secret.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0. The bias is beyond any figure's digits.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next_u64() % end as u64).unwrap_or(0)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = (0..len.div_ceil(8)).flat_map(|_| self.next_u64().to_le_bytes());
        words.take(len).collect()
    }
}
