//! What a test needs of the machine: tools, rights, namespaces. Missing ones are said loudly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says why a test is passed over; fails where everything must run.
pub(crate) fn skip(why: &str) {
    println!("skipped: {why}");
    assert!(
        std::env::var("FORELOG_REQUIRE_ALL").as_deref() != Ok("1"),
        "FORELOG_REQUIRE_ALL=1, and {why}"
    );
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command for its status alone.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether system calls can be tampered with; says so if not.
pub(crate) fn has_strace() -> bool {
    let inject = [
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=fdatasync:error=EIO",
        "true",
    ];
    if !succeeds("strace", &["-V"]) {
        skip("no strace");
    } else if !succeeds("strace", &inject) {
        skip("strace may not trace here");
    } else {
        return true;
    }
    false
}

/// A wrapper that runs a command in a mount namespace of its own, after this shell script; what it
/// mounts ends with it. `None`, said loudly, where that is not possible.
pub(crate) fn mounted(script: &str) -> Option<Vec<String>> {
    let probe = [
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        "mount -t tmpfs -o size=4m none /mnt",
    ];
    if !is_root() || !succeeds("unshare", &probe) {
        skip("no right to mount");
        return None;
    }
    let script = format!("set -e\n{script}\nexec \"$@\"");
    let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
    let mut wrapper: Vec<String> = words.map(str::to_owned).to_vec();
    wrapper.extend([script, "sh".to_owned()]);
    Some(wrapper)
}

/// The same, with a new ext4 of 16 MiB in this file at `/mnt`.
pub(crate) fn mounted_ext4(image: &Path) -> Option<Vec<String>> {
    let file = std::fs::File::create(image).unwrap();
    file.set_len(16 << 20).unwrap();
    let image = image.to_str().unwrap();
    if !succeeds("mkfs.ext4", &["-q", image]) {
        skip("no mkfs.ext4");
        return None;
    }
    let mount = format!("mount -o loop {image} /mnt");
    if !is_root() || !succeeds("unshare", &["--mount", "sh", "-c", &mount]) {
        skip("no right to mount a loop device");
        return None;
    }
    mounted(&mount)
}

/// All files below a folder with their lengths and checksums, but for the lock, which any opener may
/// touch.
pub(crate) fn snapshot(folder: &Path) -> Vec<(PathBuf, usize, u32)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = std::fs::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.file_name().unwrap() != "LOCK" {
                let bytes = std::fs::read(&path).unwrap();
                files.push((path, bytes.len(), crc32fast::hash(&bytes)));
            }
        }
    }
    files.sort();
    files
}

/// The segment files of a system's log, sorted; none where there is no log.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("log")) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    paths.sort();
    paths
}

/// Copies a folder: what a killed process leaves of one that is open.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}
