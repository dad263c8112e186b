//! Folders of the index: copied, and harmed.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::Harm;

/// Copies a folder with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    // A folder of a live index may be made, or a file of it go, while it is copied.
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let _ = fs::copy(entry.path(), target);
        }
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            files.extend(files_in(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Harms one file of a folder, or removes the folder.
pub(super) fn damage(folder: &Path, harm: Harm, place: u64) {
    if harm == Harm::Delete {
        let _ = fs::remove_dir_all(folder);
        return;
    }
    let files = files_in(folder);
    let place = usize::try_from(place >> 1).unwrap();
    let Some(file) = files.get(place % files.len().max(1)) else {
        return;
    };
    let mut bytes = fs::read(file).unwrap();
    let at = (place >> 8) % bytes.len().max(1);
    match harm {
        Harm::Truncate => bytes.truncate(at),
        _ => bytes
            .iter_mut()
            .skip(at)
            .take(1)
            .for_each(|byte| *byte ^= 0x10),
    }
    fs::write(file, bytes).unwrap();
}
