//! Projections that go on by themselves, and how they end.

use super::*;

#[test]
fn a_live_projection_follows_and_gives_the_projection_back() {
    let bed = Bed::new();
    bed.emit_all(1..=10);
    let live = bed.sums(1).unwrap().snapshot_every(4).follow().unwrap();
    let by = Some(Instant::now() + Duration::from_secs(30));
    assert!(live.wait_for(Seq(10), by).unwrap());
    for number in 11..=200 {
        let seq = bed.emit(number).unwrap();
        if number % 7 == 0 {
            assert!(live.wait_for(seq, by).unwrap());
            assert!(live.read(|sums| *sums) == sum_upto(number));
        }
    }
    assert!(!live.wait_for(Seq(201), Some(Instant::now())).unwrap());
    assert!(live.wait_for(Seq(200), by).unwrap());
    assert_eq!(live.state(), (Seq(200), sum_upto(200)));
    let back = live.stop().unwrap();
    assert_eq!(back.saved(), Some(Seq(200)), "it is saved when it ends");
    let live = back.follow().unwrap();
    bed.emit(201).unwrap();
    bed.ground.log.close().unwrap();
    assert!(
        live.wait_for(Seq(201), by).unwrap(),
        "closing loses nothing"
    );
    let error = live.wait_for(Seq(202), by).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_live_projection_that_fails_says_so() {
    let bed = Bed::new();
    let apply = |_: &mut u64, event: &EventRef<'_>| match event.data::<u64>()? {
        3 => Err(Error::new(ErrorKind::Handler, "three")),
        _ => Ok(()),
    };
    let ground = bed.ground.clone();
    let projection = Projection::open("picky", 1, 0, ground, Box::new(apply)).unwrap();
    let live = projection.follow().unwrap();
    bed.emit_all(1..=3);
    let by = Some(Instant::now() + Duration::from_secs(30));
    let error = live.wait_for(Seq(3), by).unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::Handler, Some(Seq(3)))
    );
    assert_eq!(live.stop().unwrap_err().message(), "three");
}

/// A state whose own code panics once it is told to, in this place.
#[derive(Default)]
struct Fragile {
    sum: u64,
    panics: Option<(Place, Arc<AtomicBool>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Serialize,
    Clone,
}

impl Fragile {
    fn pass(&self, here: Place) {
        if let Some((place, is_on)) = &self.panics {
            assert!(*place != here || !is_on.load(Ordering::SeqCst), "fragile");
        }
    }
}

impl serde::Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.pass(Place::Serialize);
        serializer.serialize_u64(self.sum)
    }
}

impl<'de> serde::Deserialize<'de> for Fragile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Fragile {
            sum: serde::Deserialize::deserialize(deserializer)?,
            panics: None,
        })
    }
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        self.pass(Place::Clone);
        Fragile {
            sum: self.sum,
            panics: self.panics.clone(),
        }
    }
}

#[test]
fn a_live_projection_whose_state_panics_says_so() {
    for place in [Place::Serialize, Place::Clone] {
        let bed = Bed::new();
        let is_on = Arc::new(AtomicBool::new(false));
        let initial = Fragile {
            sum: 0,
            panics: Some((place, is_on.clone())),
        };
        let apply = move |state: &mut Fragile, event: &EventRef<'_>| {
            let number: u64 = event.data()?;
            state.sum += number;
            // After an error the state is made anew, from a copy of the first one.
            if number == 3 && place == Place::Clone {
                return Err(Error::new(ErrorKind::Invalid, "three"));
            }
            Ok(())
        };
        let ground = bed.ground.clone();
        let projection = Projection::open("fragile", 1, initial, ground, Box::new(apply)).unwrap();
        let live = projection.snapshot_every(3).follow().unwrap();
        bed.emit_all(1..=2);
        let by = Some(Instant::now() + Duration::from_secs(30));
        assert!(live.wait_for(Seq(2), by).unwrap());
        is_on.store(true, Ordering::SeqCst);
        bed.emit_all(3..=3);
        let error = live.wait_for(Seq(4), by).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handler, "{place:?}: {error}");
        assert!(error.message().contains("fragile"), "{place:?}: {error}");
        assert!(live.read(|state| state.sum) <= 6, "it can be looked at");
        let error = live.stop().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handler, "{place:?}: {error}");
    }
}
