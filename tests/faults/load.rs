//! Events that carry their own proof: all of one follows from its [`Tag`], which is its id.

use forelog::{Data, Event, EventId, EventRef, Timestamp};

/// Who emitted an event, and as which of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The child process; 1 or more, so that no id is nil.
    pub(crate) run: u32,
    pub(crate) thread: u16,
    /// Counts the events of a thread, from 0.
    pub(crate) number: u32,
    pub(crate) batch_place: u16,
    pub(crate) batch_count: u16,
}

impl Tag {
    /// The tag of an event that is emitted alone.
    pub(crate) fn alone(run: u32, number: u32) -> Tag {
        Tag {
            run,
            thread: 0,
            number,
            batch_place: 0,
            batch_count: 1,
        }
    }

    pub(crate) fn id(self) -> EventId {
        let high = u64::from(self.run) << 32 | u64::from(self.number);
        let low = u64::from(self.thread) << 32
            | u64::from(self.batch_place) << 16
            | u64::from(self.batch_count);
        EventId(u128::from(high) << 64 | u128::from(low))
    }

    fn of(id: EventId) -> Tag {
        let part = |shift: u32| ((id.0 >> shift) & 0xffff) as u16;
        Tag {
            run: (id.0 >> 96) as u32,
            number: (id.0 >> 64) as u32,
            thread: part(32),
            batch_place: part(16),
            batch_count: part(0),
        }
    }

    /// The event: mostly small, some of several pages.
    pub(crate) fn event(self) -> Event {
        let mut random = Random(self.id().0 as u64 ^ (self.id().0 >> 64) as u64);
        let len_max = if random.below(16) == 0 { 9000 } else { 400 };
        self.event_of(random.below(len_max) as usize)
    }

    /// The event with this many bytes of data.
    pub(crate) fn event_of(self, len: usize) -> Event {
        let mut random = Random(u64::from(self.number) << 16 | u64::from(self.thread));
        let mut letter = || char::from(b'a' + random.below(26) as u8);
        let pattern: String = (0..61).map(|_| letter()).collect();
        let text: String = pattern.chars().cycle().take(len).collect();
        let data = Data::new(&text).unwrap();
        Event::with_data("load.event", format!("thread-{}", self.thread), data)
            .with_id(self.id())
            .with_header("run", self.run.to_string())
            .at(Timestamp(i64::from(self.number)))
    }
}

/// The tag of an event that was read, which must be the very event of that tag.
pub(crate) fn check(found: &EventRef<'_>) -> Tag {
    let tag = Tag::of(found.event_id());
    let text: &str = found.data().unwrap();
    let expected = tag.event_of(text.len());
    assert_eq!(found.to_event().unwrap(), expected, "seq {}", found.seq());
    assert_eq!(
        (found.batch_place(), found.batch_count()),
        (tag.batch_place, tag.batch_count),
        "seq {}",
        found.seq()
    );
    tag
}

/// Numbers from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}

/// The seed of a test: `FORELOG_TEST_SEED`, or a new one; printed, so that a failure can be had again.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("FORELOG_TEST_SEED").ok();
    let seed = given.map_or_else(
        || Timestamp::now().0.cast_unsigned(),
        |text| text.parse().expect("FORELOG_TEST_SEED is a number"),
    );
    println!("FORELOG_TEST_SEED={seed}");
    seed
}

/// `base`, times what `FORELOG_TEST_SCALE` asks for.
pub(crate) fn scaled(base: u64) -> u64 {
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    let scale = scale.map_or(1, |text| {
        text.parse().expect("FORELOG_TEST_SCALE is a number")
    });
    base * scale
}
