//! What the process uses and a file system has left, as far as the operating system tells.

use std::path::Path;
use std::time::Duration;

/// What the process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProcessUse {
    /// The time on processors.
    pub(crate) cpu: Option<Duration>,
    /// The memory that is in RAM.
    pub(crate) resident_bytes: Option<u64>,
    /// The bytes that were fetched from disks.
    pub(crate) read_bytes: Option<u64>,
    /// The bytes that were sent to disks.
    pub(crate) written_bytes: Option<u64>,
}

/// The space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total_bytes: u64,
    /// What may still be written without privileges.
    pub(crate) free_bytes: u64,
}

/// What this process has used so far.
pub(crate) fn process() -> ProcessUse {
    let status = read("/proc/self/status");
    let io = read("/proc/self/io");
    ProcessUse {
        cpu: cpu(),
        resident_bytes: figure(&status, "VmRSS:").map(|kib| kib.saturating_mul(1024)),
        read_bytes: figure(&io, "read_bytes:"),
        written_bytes: figure(&io, "write_bytes:"),
    }
}

/// The space of the file system that a path lies in.
pub(crate) fn space(path: &Path) -> Option<Space> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(path).ok()?;
        Some(Space {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

fn cpu() -> Option<Duration> {
    #[cfg(unix)]
    {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let (seconds, nanos) = (u64::try_from(used.tv_sec), u32::try_from(used.tv_nsec));
        Some(Duration::new(seconds.ok()?, nanos.ok()?))
    }
    #[cfg(not(unix))]
    None
}

/// An empty text where there is no such file.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a name in a table of the kernel.
fn figure(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let table = "Name:\tx\nVmRSS:\t  1234 kB\nread_bytes: 7\nbad: x\n";
        assert_eq!(figure(table, "VmRSS:"), Some(1234));
        assert_eq!(figure(table, "read_bytes:"), Some(7));
        assert_eq!(figure(table, "bad:"), None);
        assert_eq!(figure(table, "none:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let used = process();
        assert!(used.cpu.unwrap() > Duration::ZERO);
        assert!(used.resident_bytes.unwrap() > 100_000);
        let space = space(Path::new("/")).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
    }
}
