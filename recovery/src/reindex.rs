//! `reindex`: the lookup index, made anew from the log.

use std::path::Path;

use forelog::{Error, ErrorKind};
use forelog_dump::{Exit, Fault, Output};
use serde::Serialize;

use crate::args::ReindexArgs;

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    path: &'a Path,
    indexed: u64,
}

pub(crate) fn reindex(args: &ReindexArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let report = Report {
        v: VERSION,
        path: &args.path,
        indexed: rebuild(&args.path)?,
    };
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "{}: {} events indexed",
            report.path.display(),
            report.indexed
        )?;
    }
    Ok(Exit::Good)
}

/// The seam to the index: rebuilds it under the directory's lock; returns how many events it has.
fn rebuild(path: &Path) -> forelog::Result<u64> {
    let message = "this build has no lookup index; look-ups scan the log";
    Err(Error::new(ErrorKind::Index, message).at_path(path))
}
