//! This very program once more, as a child: what it prints, and how it ends.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use forelog::{Error, Result};

/// The program.
///
/// # Errors
/// If the system does not say where it is.
pub(crate) fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| Error::io("find the program", "itself", e))
}

/// Whether a command runs and succeeds.
pub(crate) fn succeeds(words: &[&str]) -> bool {
    let Some((program, args)) = words.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What a child has printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) printed: Vec<u8>,
    pub(crate) told: String,
    pub(crate) status: ExitStatus,
}

/// Runs `torture` with these words, perhaps behind a wrapper, to its end.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn finish(wrapper: &[OsString], words: &[OsString]) -> Result<Ended> {
    let output = command(wrapper, words)?
        .output()
        .map_err(|e| Error::io("run", "torture", e))?;
    Ok(Ended {
        printed: output.stdout,
        told: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status,
    })
}

/// Starts `torture` with these words and kills it once it has printed so many lines; returns all that it
/// printed.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn kill_after(lines: u64, words: &[OsString]) -> Result<Vec<u8>> {
    let failed = |e| Error::io("run", "torture", e);
    let mut command = command(&[], words)?;
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let mut printed = Vec::new();
    if let Some(out) = child.stdout.take() {
        let mut out = BufReader::new(out);
        for _ in 0..lines {
            if out.read_until(b'\n', &mut printed).map_err(failed)? == 0 {
                break;
            }
        }
        // One that has ended by itself is past killing.
        let _ = child.kill();
        out.read_to_end(&mut printed).map_err(failed)?;
    }
    child.wait().map_err(failed)?;
    Ok(printed)
}

fn command(wrapper: &[OsString], words: &[OsString]) -> Result<Command> {
    let program = program()?.into_os_string();
    let mut all = wrapper.iter().cloned().chain([program]);
    let mut command = Command::new(all.next().unwrap_or_default());
    command.args(all).arg("torture").args(words);
    command.stdin(Stdio::null());
    Ok(command)
}

/// Words of a command line.
pub(crate) fn words<const N: usize>(words: [&dyn AsRef<std::ffi::OsStr>; N]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

/// A folder of its own for one run.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("forelog-torture-")
        .tempdir()
        .map_err(|e| Error::io("make a folder in", std::env::temp_dir(), e))
}

/// Adds what was printed to a file.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn note(path: &Path, printed: &[u8]) -> Result<()> {
    use std::io::Write;
    let opened = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path);
    let written = opened.and_then(|mut file| file.write_all(printed));
    written.map_err(|e| Error::io("write", path, e))
}
