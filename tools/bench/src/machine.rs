//! Where and when a measurement was made, so that its figures can be judged later.

use forelog::Timestamp;
use serde::Serialize;

/// Where and when.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// When the measurement began.
    pub at: Timestamp,
    /// The version of Forelog.
    pub version: &'static str,
    /// The processor.
    pub cpu: Option<String>,
    /// Threads that can run at once.
    pub cores: usize,
    /// The operating system and its version.
    pub system: String,
    /// Whether the compiler was asked for speed; without that the figures say nothing.
    pub optimised: bool,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn this() -> Machine {
        let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            at: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION"),
            cpu: read("/proc/cpuinfo").and_then(|info| model(&info)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, release.trim()),
            optimised: !cfg!(debug_assertions),
        }
    }

    /// In a line for people.
    pub(crate) fn line(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or("an unknown processor");
        let debug = if self.optimised {
            ""
        } else {
            "; NOT OPTIMISED: these figures say nothing"
        };
        let Machine {
            at,
            version,
            cores,
            system,
            ..
        } = self;
        format!(
            "forelog {version}, {at}, {cores} × {cpu}, {}{debug}",
            system.trim()
        )
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn model(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The process's own memory in bytes, maps of files aside; `None` where the system does not tell.
pub(crate) fn own_memory() -> Option<u64> {
    let status = read("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
