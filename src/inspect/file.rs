//! [`File`]: one segment file, whatever is wrong with it.

use super::report::{FooterReport, HeaderReport, SegmentReport, SegmentState};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::TRAILER_LEN;
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, HeaderState, SegmentHeader};
use crate::log::survey::{Look, Surveyed, look, read_footer};
use crate::position::SegmentId;
use crate::storage::{Entry, Region, Storage};

/// One file, whatever is wrong with it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) entry: Entry,
    pub(super) named: Option<(SegmentId, u32)>,
    pub(super) segment: Option<Surveyed>,
    pub(super) state: SegmentState,
    pub(super) problem: Option<Error>,
}

impl File {
    /// The id by the header.
    pub(super) fn id(&self) -> Option<SegmentId> {
        self.segment.as_ref().map(|at| at.header.segment_id)
    }

    pub(super) fn report(&self) -> SegmentReport {
        let at = self.segment.as_ref();
        let by_header = at.map(|at| (at.header.segment_id, at.header.generation));
        let (segment, generation) = by_header.or(self.named).unwrap_or_default();
        SegmentReport {
            file: self.entry.name.clone(),
            segment,
            generation,
            state: self.state,
            bytes: self.entry.len,
            header: at.map(|at| HeaderReport::of(&at.header, at.damaged_copy)),
            footer: at.and_then(|at| at.footer.as_ref()).map(FooterReport::of),
            problem: self
                .problem
                .as_ref()
                .map(|problem| problem.message().to_owned()),
        }
    }
}

/// Looks at one file; `None` if it is no segment's and was not asked for by name.
pub(super) fn look_at(
    storage: &dyn Storage,
    entry: &Entry,
    asked_for: bool,
) -> Result<Option<File>> {
    let named = names::parse_segment(&entry.name);
    let file = |segment, state, problem| {
        Some(File {
            entry: entry.clone(),
            named,
            segment,
            state,
            problem,
        })
    };
    if names::is_damaged(&entry.name) && !asked_for {
        // Set aside, and no part of the log any more.
        return Ok(None);
    }
    if names::is_tmp(&entry.name) && !asked_for {
        return Ok(file(None, SegmentState::Unfinished, None));
    }
    let header = match salvage(storage, entry) {
        Ok(header) => header,
        Err(error) if is_environment(&error) => return Err(error),
        Err(error) => return Ok(file(None, SegmentState::Damaged, Some(error))),
    };
    let claimed = header
        .as_ref()
        .map(|at| (at.header.segment_id, at.header.generation));
    let Some((id, generation)) = named.or(claimed) else {
        let message = "this is no segment of Forelog: its header is not there";
        let problem = Error::new(ErrorKind::Corrupt, message).at_path(storage.path(&entry.name));
        let is_ours = names::is_segment_like(&entry.name);
        return Ok(
            file(None, SegmentState::Damaged, Some(problem)).filter(|_| asked_for || is_ours)
        );
    };
    Ok(match look(storage, entry, id, generation) {
        Ok(Look::Segment(at)) if named.is_some() || asked_for => {
            let sealed = at.footer.is_some();
            let state = if sealed {
                SegmentState::Sealed
            } else {
                SegmentState::Active
            };
            file(Some(*at), state, None)
        }
        Ok(Look::Segment(at)) => {
            let name = names::segment(id, generation);
            let message =
                format!("the file is a segment under a foreign name; rename it to {name}");
            let problem = Error::new(ErrorKind::ForeignSegment, message).at_segment(id);
            file(Some(*at), SegmentState::Damaged, Some(problem))
        }
        Ok(Look::Unused) => file(None, SegmentState::Prepared, None),
        Err(error) if is_environment(&error) => return Err(error),
        Err(error) => file(header, SegmentState::Damaged, Some(error)),
    })
}

/// The header of a file, and its footer, whatever else is wrong with it.
fn salvage(storage: &dyn Storage, entry: &Entry) -> Result<Option<Surveyed>> {
    if entry.len < BLOCK_LEN as u64 {
        return Ok(None);
    }
    let region = storage.open_read_only(&entry.name)?;
    let mut block = vec![0; BLOCK_LEN];
    region.read_at(0, &mut block)?;
    let HeaderState::Valid {
        header,
        damaged_copy,
    } = SegmentHeader::decode(&block)
    else {
        return Ok(None);
    };
    Ok(Some(Surveyed {
        name: entry.name.clone(),
        header,
        footer: read_footer(&region, &header)?,
        damaged_copy,
    }))
}

/// Whether an error says nothing about the bytes: who is not allowed to read cannot judge.
pub(super) fn is_environment(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::NotFound
    )
}

/// The header of a segment that is in use; `None` if it is not (yet).
pub(super) fn header_of(region: &Region) -> Result<Option<SegmentHeader>> {
    if region.len() < BLOCK_LEN.saturating_add(TRAILER_LEN) {
        return Ok(None);
    }
    let mut block = vec![0; BLOCK_LEN];
    region.read_at(0, &mut block)?;
    Ok(match SegmentHeader::decode(&block) {
        HeaderState::Valid { header, .. } => Some(header),
        _ => None,
    })
}
