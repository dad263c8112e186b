//! Forelog, through its public API. Durable: a receipt of `Durability::Sync`, which a group commit
//! answers. Buffered: `Durability::Os`, published in the map. The checksum covers header and payload of
//! each event; a replay and a read check it.

use std::path::Path;

use ::forelog::{Durability, EventSystem, Seq};

use crate::engine::{Engine, Facts, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: super::OWN,
    origin: Origin::Package("forelog"),
    weaker: &[],
    remarks: &[],
    open,
};

struct Forelog(EventSystem);

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let durability = match mode {
        Mode::Buffered => Durability::Os,
        Mode::Durable => Durability::Sync,
    };
    let builder = EventSystem::builder().persistence_path(dir);
    Ok(Some(Box::new(Forelog(
        builder.durability(durability).open()?,
    ))))
}

impl Engine for Forelog {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let receipt = self.0.emit_with(record.event, Durability::Os)?;
        Ok(Some(Place(receipt.seq.0, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let receipt = self.0.emit_with(record.event, Durability::Sync)?;
        Ok(Some(Place(receipt.seq.0, 0)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let receipts = self.0.emit_batch(batch.events)?;
        places.extend(receipts.iter().map(|receipt| Place(receipt.seq.0, 0)));
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let all = self.0.replay();
        all.run_until(|event| Ok(visit(event.data_bytes())))?;
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        if let Some(stored) = self.0.store().get(Seq(place.0))? {
            visit(stored.event().data_bytes());
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.0.close()?)
    }
}
