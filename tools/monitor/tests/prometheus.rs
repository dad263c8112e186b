//! The metrics, the alert rules and the Grafana dashboard, held against each other and against promtool.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::skip;
use forelog::{Delivery, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, Subscription};
use forelog_monitor::{NAMES, exposition};

const DASHBOARD: &str = include_str!("../grafana/dashboard.json");
const RULES: &str = include_str!("../grafana/rules.yml");

fn has_promtool() -> bool {
    let found = Command::new("promtool").arg("--version").output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        skip("no promtool");
    }
    has
}

/// What a system tells that has done a bit of everything.
fn metrics() -> String {
    let system = EventSystem::builder().open().unwrap();
    let settings = MonitorSettings {
        background: false,
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(&system, settings).unwrap();
    let odd = Subscription::named("odd \"name\"\\\n");
    system
        .register_handler(odd, |_: &Delivery<'_>| Outcome::Park("no".to_owned()))
        .unwrap();
    system
        .register_handler(Subscription::named("plain"), |_: &Delivery<'_>| {})
        .unwrap();
    system.start().unwrap();
    for number in 0..10 {
        system
            .emit(Event::new("order.placed", "web", &number).unwrap())
            .unwrap();
    }
    system.drain(None).unwrap();
    let health = monitor.health_check().get_health_status().unwrap();
    let text = exposition(&monitor.get_summary().unwrap(), &health);
    system.close().unwrap();
    text
}

#[test]
fn promtool_takes_the_metrics() {
    if !has_promtool() {
        return;
    }
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = metrics();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{text}"
    );
}

#[test]
fn promtool_takes_the_rules() {
    if !has_promtool() {
        return;
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("grafana/rules.yml");
    let output = Command::new("promtool")
        .args(["check", "rules"])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("8 rules found"),
        "{said}"
    );
}

/// The names of metrics that stand in a text.
fn named(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("forelog_") || word.starts_with("process_"));
    ours.collect()
}

#[test]
fn dashboard_and_rules_ask_for_metrics_that_are_there() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    let rules = RULES
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let rules = rules.collect::<Vec<_>>().join("\n");
    let all = queries.join("\n") + &rules;
    let asked = named(&all);
    assert!(asked.len() > 25, "{asked:?}");
    for name in asked {
        let is_there = NAMES.iter().any(|(known, kind, _)| {
            let parts = ["_bucket", "_sum", "_count"].iter();
            let mut parts = parts.filter_map(|end| name.strip_suffix(end));
            name == *known && *kind != "histogram"
                || *kind == "histogram" && parts.any(|base| base == *known)
        });
        assert!(is_there, "{name} is asked for, and there is no such metric");
    }
}

#[test]
fn every_rule_of_the_system_has_one_here() {
    let alerts = RULES
        .lines()
        .filter(|line| line.contains("- alert:"))
        .count();
    assert_eq!(alerts, forelog::Rule::ALL.len());
}
