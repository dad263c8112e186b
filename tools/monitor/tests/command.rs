//! The program: what it writes, serves and refuses.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use forelog::{Event, EventSystem};
use forelog_bench::EventSystemPerformanceTest;
use forelog_monitor::get;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_forelog-monitor"))
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn filled(dir: &Path) {
    let system = EventSystem::builder().persistence_path(dir).open().unwrap();
    for number in 0..10 {
        let event_type = if number < 7 {
            "order.<placed>"
        } else {
            "user.login"
        };
        system
            .emit(Event::new(event_type, "web", &number).unwrap())
            .unwrap();
    }
    system.close().unwrap();
}

#[test]
fn a_report_is_one_page_of_a_directory_and_of_performance_tests() {
    let dir = tempfile::tempdir().unwrap();
    let (data, results, page) = (
        dir.path().join("data"),
        dir.path().join("results.json"),
        dir.path().join("report.html"),
    );
    filled(&data);
    let mut measured = EventSystemPerformanceTest::builder().build().unwrap();
    measured.run_throughput_test(200, 10, 200, 1).unwrap();
    measured.run_latency_test(20).unwrap();
    measured.save_results(&results).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let output = run(&[
        "report",
        &text(&data),
        "--performance",
        &text(&results),
        "--output",
        &text(&page),
    ]);
    assert!(output.status.success(), "{output:?}");
    let html = std::fs::read_to_string(&page).unwrap();
    for part in [
        "<td>Events held</td><td class=\"n\">10</td>",
        "order.&lt;placed&gt;</text>",
        "Throughput, events/s</h3><svg",
        "Latency, ms</h3><svg",
        "1 throughput</text>",
        "2 latency p99</text>",
    ] {
        assert!(html.contains(part), "{part} is not in\n{html}");
    }
    assert!(!html.contains("http"), "it calls nobody");
}

#[test]
fn what_cannot_be_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let output = run(&["report", none.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(4));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("forelog-monitor: "),
        "{output:?}"
    );
    let wrong = dir.path().join("wrong.json");
    std::fs::write(&wrong, "{}").unwrap();
    let output = run(&["report", "--performance", wrong.to_str().unwrap()]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("save_results"),
        "{output:?}"
    );
    assert_eq!(run(&["dance"]).status.code(), Some(2));
}

#[test]
fn a_directory_is_served_until_the_program_ends() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let mut child = program()
        .args([
            "serve",
            dir.path().to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("http://").unwrap();
    let (status, body) = get(address, "/api/status", None).unwrap();
    assert!(status == 200 && body.contains("user.login"), "{body}");
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = run(&[
        "serve",
        dir.path().to_str().unwrap(),
        "--listen",
        "0.0.0.0:0",
    ]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("--token-file"),
        "{refused:?}"
    );
}
