//! The alert of a disk that is nearly full, on real small file systems: raised, and resolved.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forelog::{
    Alert, AlertState, Durability, Event, EventMonitor, EventSystem, Health, ManualClock,
    MonitorSettings, Rule, Severity, Timestamp,
};

use crate::child::Child;
use crate::roles::say;
use crate::tools;

const FREE_MIN: u64 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

type Said = Arc<Mutex<Vec<(Rule, AlertState)>>>;

/// A system that is watched, with a clock that stands still.
struct Watched {
    system: EventSystem,
    monitor: EventMonitor,
    clock: Arc<ManualClock>,
    said: Said,
}

impl Watched {
    fn new(disk: &Path) -> Watched {
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000_000)));
        let builder = EventSystem::builder().persistence_path(disk.join("data"));
        let builder = builder.segment_size(256 << 10).durability(Durability::Os);
        let system = builder.clock(clock.clone()).open().unwrap();
        let settings = MonitorSettings {
            disk_free_min: FREE_MIN,
            background: false,
            ..MonitorSettings::default()
        };
        let monitor = EventMonitor::new(&system, settings).unwrap();
        let said = Said::default();
        let book = said.clone();
        monitor.on_alert(move |alert: &Alert| {
            book.lock().unwrap().push((alert.issue.rule, alert.state));
        });
        Watched {
            system,
            monitor,
            clock,
            said,
        }
    }

    /// What is wrong after this time.
    fn check_after(&self, time: Duration) -> Vec<(Rule, Severity)> {
        self.clock.advance(time);
        let issues = self.monitor.check().unwrap();
        issues.iter().map(|one| (one.rule, one.severity)).collect()
    }

    fn free(&self) -> u64 {
        let summary = self.monitor.get_summary().unwrap();
        summary.resources.disk_free_bytes.unwrap()
    }

    fn said(&self) -> Vec<(Rule, AlertState)> {
        self.said.lock().unwrap().clone()
    }
}

/// A system on a disk of 16 MiB: the child's role. The log takes a part of it, other files the rest.
pub(crate) fn watch(disk: &Path) {
    let (first, second) = (disk.join("other"), disk.join("another"));
    let watched = Watched::new(disk);
    assert_eq!(watched.check_after(SECOND), [], "there is room");
    std::fs::write(&first, vec![1; 4 << 20]).unwrap();
    let blob = Event::new("blob", "test", &"x".repeat(8_000)).unwrap();
    while watched.free() >= FREE_MIN {
        watched.system.emit(&blob).unwrap();
    }
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    assert_eq!(watched.check_after(SECOND), [(Rule::DiskSpace, warning)]);
    assert_eq!(watched.said(), [], "it has to hold first");
    watched.check_after(10 * SECOND);
    let raised = (Rule::DiskSpace, AlertState::Raised);
    assert_eq!(watched.said(), [raised]);
    let issue = &watched.monitor.check().unwrap()[0];
    assert!(
        issue.segment.is_some() && issue.next_step.contains("max_bytes"),
        "{issue}"
    );

    let rest = usize::try_from(watched.free() - (1 << 20)).unwrap();
    std::fs::write(&second, vec![1; rest]).unwrap();
    assert_eq!(watched.check_after(SECOND), [(Rule::DiskSpace, critical)]);
    let health = watched.monitor.health_check().get_health_status().unwrap();
    assert_eq!(health.status, Health::Unhealthy);

    std::fs::remove_file(&first).unwrap();
    std::fs::remove_file(&second).unwrap();
    // A file system may give room back late.
    let deadline = Instant::now() + PATIENCE;
    while watched.free() < FREE_MIN {
        assert!(Instant::now() < deadline, "the room does not come back");
        std::thread::yield_now();
    }
    assert_eq!(watched.check_after(SECOND), []);
    assert_eq!(watched.said(), [raised], "once, whatever it has come to");
    watched.check_after(60 * SECOND);
    assert_eq!(
        watched.said(),
        [raised, (Rule::DiskSpace, AlertState::Resolved)]
    );
    watched.system.close().unwrap();
    say("raised and resolved");
}

fn run(wrapper: Option<Vec<String>>) {
    if let Some(wrapper) = wrapper {
        let lines = Child::start(&wrapper, "small disk", &["/mnt"]).succeed();
        assert_eq!(lines, ["raised and resolved"]);
    }
}

#[test]
fn a_small_tmpfs_is_told() {
    run(tools::mounted("mount -t tmpfs -o size=16m none /mnt"));
}

#[test]
fn a_small_ext4_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    run(tools::mounted_ext4(&image));
}
