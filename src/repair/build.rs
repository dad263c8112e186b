//! Writing one segment anew, from what is left of it.

use super::lay::Anew;
use crate::error::Result;
use crate::format::segment::SegmentHeader;
use crate::inspect::{Left, Slot};
use crate::log::remains::{Rebuild, build};
use crate::position::Seq;
use crate::storage::Storage;

/// Builds a segment of what is left of `slot` in the folder `into`, under a temporary name, durable on
/// return.
///
/// # Errors
/// If something cannot be read or written.
pub(super) fn rebuild(
    from: &dyn Storage,
    into: &dyn Storage,
    slot: &Slot,
    anew: &Anew,
    witness: Seq,
    told: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<SegmentHeader> {
    build(into, &anew.outline, &anew.left, |rebuild| {
        slot.visit(from, witness, &mut |left| copy(rebuild, &left, told))
    })
}

fn copy(
    rebuild: &mut Rebuild<'_>,
    left: &Left<'_>,
    told: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    match left {
        Left::Event(header, bytes) => {
            rebuild.event(header, bytes)?;
            told(bytes.len() as u64)
        }
        Left::Declared(range) => {
            rebuild.pass(range);
            Ok(())
        }
    }
}
