//! What a crash left torn is copied aside before anything is changed.

use super::examine::{Examination, Torn};
use super::opening::Opening;
use crate::error::Result;
use crate::format::names;

/// Copies the bytes of a torn tail into a file of their own.
pub(super) fn set_aside(
    opening: &Opening<'_>,
    examination: &Examination,
    torn: &Torn,
) -> Result<()> {
    let Some(open) = examination.open.get(torn.segment) else {
        return Ok(());
    };
    let mut bytes = vec![0; torn.len];
    open.region.read_at(torn.offset, &mut bytes)?;
    let aside = opening.storage.folder(names::ASIDE)?;
    aside.replace(&names::torn_tail(&open.at.name, torn.offset), &bytes)
}
