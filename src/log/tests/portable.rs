//! Where a system has to be told of stores into a map, that call may fail as well: this test starts
//! itself again under `strace`, which makes every `msync` after the first few fail.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::clock::{SystemClock, Timestamp};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::format::record::Record;
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;

const DIR: &str = "FORELOG_MSYNC_DIR";

fn open(dir: &Path) -> Log {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::create(dir, Sys::PORTABLE).unwrap());
    let config = LogConfig {
        segment_len: 64 << 10,
        background: false,
        ..LogConfig::default()
    };
    Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap()
}

fn emit(log: &Log) -> Result<()> {
    let record = Record::new("test.sync", "unit", Timestamp(1), &[0xc0])?;
    let appended = log.append(&[record], Durability::Sync)?;
    log.wait_durable(appended.last)
}

#[test]
#[ignore = "the child process of another test"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let log = open(Path::new(&dir));
    let acked = (0..20).take_while(|_| emit(&log).is_ok()).count();
    for _ in 0..3 {
        assert_eq!(emit(&log).unwrap_err().kind(), ErrorKind::Poisoned);
    }
    assert_eq!(log.flush().unwrap_err().kind(), ErrorKind::SyncFailed);
    assert!(log.close().is_err());
    println!("\nacked {acked}");
}

#[test]
fn a_failed_msync_is_final_too() {
    let dir = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let name = concat!(module_path!(), "::child").split_once("::");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=msync:error=EIO:when=6+",
    ]);
    command
        .arg(this)
        .args([name.unwrap().1, "--exact", "--ignored", "--nocapture"]);
    command.arg("--test-threads=1").env(DIR, dir.path());
    let Ok(output) = command.output() else {
        println!("skipped: no strace");
        assert_ne!(std::env::var("FORELOG_REQUIRE_ALL").as_deref(), Ok("1"));
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let acked = said.lines().find_map(|line| line.strip_prefix("acked "));
    let acked: u64 = acked.unwrap().parse().unwrap();
    assert!((1..20).contains(&acked), "{said}");
    let log = open(dir.path());
    assert!(log.recovery().last >= Seq(acked), "{:?}", log.recovery());
}
