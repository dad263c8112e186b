//! `reindex`: the lookup index, made anew from the log.

use std::path::Path;

use forelog::{EventSystem, Seq};
use forelog_dump::{Exit, Fault, Output};
use serde::Serialize;

use crate::args::ReindexArgs;
use crate::shown::path as shown;

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    path: &'a Path,
    indexed_upto: Seq,
    /// Bytes of keys and values.
    bytes: u64,
    /// Events that could not be read and are not in the index.
    unreadable: u64,
}

pub(crate) fn reindex(args: &ReindexArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let state = match args.key.key()? {
        Some(key) => EventSystem::reindex_encrypted(&args.path, key)?,
        None => EventSystem::reindex(&args.path)?,
    };
    let report = Report {
        v: VERSION,
        path: &args.path,
        indexed_upto: state.indexed_upto,
        bytes: state.bytes,
        unreadable: state.unreadable,
    };
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        let (path, upto) = (shown(report.path), report.indexed_upto);
        writeln!(
            out,
            "{path}: indexed up to Seq {upto}, {} bytes of keys and values",
            report.bytes
        )?;
    }
    Ok(if report.unreadable > 0 {
        Exit::Damaged
    } else {
        Exit::Good
    })
}
