//! The program: what it writes, serves and refuses.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use forelog::{
    Delivery, EncryptionKey, Event, EventMonitor, EventSystem, MonitorSettings, Outcome,
    Subscription,
};
use forelog_bench::EventSystemPerformanceTest;
use forelog_monitor::{Server, ServerSettings, get};

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
fn a_page_has_no_control_characters() {
    let dir = tempfile::tempdir().unwrap();
    let settings = EventSystem::builder().persistence_path(dir.path());
    let system = settings.open().unwrap();
    let event = Event::new("a\u{0}\u{1b}[31m", "s", &1).unwrap();
    system.emit(event).unwrap();
    system.close().unwrap();
    let output = run(&["report", dir.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("a\\u{0}\\u{1b}[31m"), "{page}");
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "{page}");
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
    assert!(!html.contains("://"), "it calls nobody");
}

/// Names in the log, in the path, in results and in what a server tells are data in a report.
#[test]
fn markup_in_data_is_data_in_a_report() {
    const SCRIPT: &str = "<script>alert(1)<!--\"'&";
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("<script>alert(2)");
    let system = EventSystem::builder()
        .persistence_path(&data)
        .open()
        .unwrap();
    let park = |_: &Delivery<'_>| Outcome::Park(SCRIPT.to_owned());
    system
        .register_handler(Subscription::named(SCRIPT), park)
        .unwrap();
    system.start().unwrap();
    system
        .emit(Event::new(SCRIPT, SCRIPT, &SCRIPT).unwrap())
        .unwrap();
    system.drain(None).unwrap();
    let monitor = EventMonitor::new(&system, MonitorSettings::default()).unwrap();
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..ServerSettings::default()
    };
    let server = Server::embedded(&system, &monitor, settings).unwrap();
    let results = dir.path().join("results.json");
    let evil = serde_json::json!({ "tests": [{ "test": SCRIPT, "results": { "throughput": { "events_per_second": 1.0 } } }] });
    std::fs::write(&results, evil.to_string()).unwrap();
    for subject in [data.to_str().unwrap(), &server.address().to_string()] {
        let output = run(&[
            "report",
            subject,
            "--performance",
            results.to_str().unwrap(),
        ]);
        let html = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && html.contains("&lt;script&gt;alert(1)&lt;!--"),
            "{html}"
        );
        assert!(
            !html.contains("<script") && !html.contains("<!--"),
            "{html}"
        );
    }
    server.stop();
    system.close().unwrap();
}

#[test]
fn a_report_of_a_running_system_tells_what_handlers_do() {
    let system = EventSystem::builder().open().unwrap();
    let handler = |delivery: &Delivery<'_>| match delivery.event_type() {
        "order.refused" => Outcome::Park("no funds".to_owned()),
        _ => Outcome::Ack,
    };
    system
        .register_handler(Subscription::named("billing"), handler)
        .unwrap();
    system.start().unwrap();
    for event_type in ["order.placed", "order.placed", "order.refused"] {
        system
            .emit(Event::new(event_type, "web", &1).unwrap())
            .unwrap();
    }
    system.drain(None).unwrap();
    let monitor = EventMonitor::new(&system, MonitorSettings::default()).unwrap();
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..ServerSettings::default()
    };
    let server = Server::embedded(&system, &monitor, settings).unwrap();
    let output = run(&["report", &server.address().to_string()]);
    let html = String::from_utf8(output.stdout).unwrap();
    for part in [
        "The system is degraded",
        "billing has 1 parked event",
        "<td>billing</td><td>running</td>",
        "<td>order.refused</td><td class=\"n\">1</td>",
        "<td>Delivered</td><td class=\"n\">2</td>",
    ] {
        assert!(html.contains(part), "{part} is not in\n{html}");
    }
    server.stop();
    system.close().unwrap();
}

/// What a newcomer meets: each says what is wrong and what to do, and the exit code is that of the help.
#[test]
fn mistakes_are_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (data, empty, file) = (
        dir.path().join("data"),
        dir.path().join("empty"),
        dir.path().join("file"),
    );
    filled(&data);
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&file, " \n").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let none = text(&dir.path().join("none"));
    for (arguments, said) in [
        (vec!["serve", &none], "none"),
        (vec!["serve", &text(&empty)], "empty"),
        (vec!["serve", &text(&data), "--listen", &port], "--listen"),
        (vec!["serve", &text(&data), "--token-file", &none], "none"),
        (
            vec!["serve", &text(&data), "--token-file", &text(&file)],
            "holds no token",
        ),
        (
            vec![
                "serve",
                &text(&data),
                "--tls-cert",
                &text(&file),
                "--tls-key",
                &text(&file),
            ],
            "PEM",
        ),
        (vec!["top", &nobody], &nobody),
        (
            vec!["top", "https://127.0.0.1:1", "--tls-ca", &text(&file)],
            "PEM",
        ),
        (vec!["report", &nobody], &nobody),
        (
            vec![
                "report",
                &text(&data),
                "--output",
                &text(&dir.path().join("no/such/folder.html")),
            ],
            "folder.html",
        ),
    ] {
        let output = run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {error}");
        assert!(
            error.starts_with("forelog-monitor: ") && error.contains(said),
            "{arguments:?}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for arguments in [
        vec![],
        vec!["serve"],
        vec!["serve", "a", "--listen", "nowhere"],
        vec!["report"],
    ] {
        assert_eq!(run(&arguments).status.code(), Some(2), "{arguments:?}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(
        help.contains("Exit codes:") && help.contains("Examples:"),
        "{help}"
    );
}

#[test]
fn a_token_that_is_wrong_is_told_before_the_screen_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (wrong, right) = (dir.path().join("wrong"), dir.path().join("right"));
    std::fs::write(&wrong, "wrong").unwrap();
    std::fs::write(&right, "a secret of the test\n").unwrap();
    let system = EventSystem::builder().open().unwrap();
    let monitor = EventMonitor::new(&system, MonitorSettings::default()).unwrap();
    let settings = ServerSettings {
        listen: "0.0.0.0:0".parse().unwrap(),
        token: Some("a secret of the test".to_owned()),
        ..ServerSettings::default()
    };
    let server = Server::embedded(&system, &monitor, settings).unwrap();
    let address = format!("127.0.0.1:{}", server.address().port());
    for arguments in [
        vec!["top", &address],
        vec!["top", &address, "--token-file", wrong.to_str().unwrap()],
    ] {
        let output = run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(4) && error.contains("--token-file"),
            "{error}"
        );
        assert!(output.stdout.is_empty(), "nothing was drawn");
    }
    let output = run(&["report", &address, "--token-file", right.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    server.stop();
    system.close().unwrap();
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
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("save_results"), "{told}");
    assert!(told.contains(wrong.to_str().unwrap()), "{told}");
    assert_eq!(run(&["dance"]).status.code(), Some(2));
}

#[test]
fn an_output_that_is_full_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    if full().is_err() {
        eprintln!("skipped: no /dev/full");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let path = dir.path().to_str().unwrap();
    for arguments in [
        ["serve", path, "--listen", "127.0.0.1:0"].as_slice(),
        &["report", path],
    ] {
        let mut command = program();
        command.args(arguments).stdout(full().unwrap());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("the standard output"), "{told}");
        command.stderr(full().unwrap());
        assert_eq!(command.status().unwrap().code(), Some(4));
    }
}

/// What a server that is started with these arguments says of its state before it is ended.
fn served(args: &[&str]) -> (u16, String) {
    let mut command = program();
    let mut child = command.args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("http://").unwrap();
    let answer = get(address, "/api/status", None).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    answer
}

#[test]
fn a_directory_is_served_until_the_program_ends() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let serve = ["serve", dir.path().to_str().unwrap()];
    let (status, body) = served(&[&serve[..], &["--listen", "127.0.0.1:0"]].concat());
    assert!(status == 200 && body.contains("user.login"), "{body}");
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

/// A directory whose events are encrypted is shown to whoever has the key, and to nobody else.
#[test]
fn an_encrypted_directory_is_served_and_reported_with_its_key_alone() {
    let home = tempfile::tempdir().unwrap();
    let text = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (data, right, wrong) = (text("data"), text("right"), text("wrong"));
    let key = EncryptionKey::generate().unwrap();
    key.write_new_file(&right).unwrap();
    let other = EncryptionKey::generate().unwrap();
    other.write_new_file(&wrong).unwrap();
    let settings = EventSystem::builder().persistence_path(&data);
    let system = settings.encryption_key(key).open().unwrap();
    for number in 0..10 {
        let event = Event::new("user.login", "web", &number).unwrap();
        system.emit(event).unwrap();
    }
    system.close().unwrap();
    let serve = ["serve", &data, "--listen", "127.0.0.1:0"];
    for command in [&["report", &data][..], &serve] {
        for key in [&[][..], &["--key-file", &wrong]] {
            let output = run(&[command, key].concat());
            assert_eq!(output.status.code(), Some(4), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains("encrypted"), "{told}");
        }
    }
    let output = run(&["report", &data, "--key-file", &right]);
    assert!(output.status.success(), "{output:?}");
    let html = String::from_utf8_lossy(&output.stdout);
    for part in [
        "<td>Events held</td><td class=\"n\">10</td>",
        "user.login</text>",
    ] {
        assert!(html.contains(part), "{part} is not in\n{html}");
    }
    let (status, body) = served(&[&serve[..], &["--key-file", &right]].concat());
    assert!(status == 200 && body.contains("user.login"), "{body}");
}
