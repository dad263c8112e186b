//! The commands as they are typed: what they print, how they end, and that none panics on any directory.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use corpus::{COUNT, bytes_below, each, events, whole};
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn run(args: &[&str]) -> Output {
    Command::new(BIN).args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(all).unwrap()
}

fn json(args: &[&str]) -> (i32, Value) {
    let output = run(args);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{args:?}: {error}: {}", said(&output)));
    (output.status.code().unwrap(), report)
}

#[test]
fn no_command_panics_or_writes_on_any_damaged_directory() {
    let within = tempfile::tempdir().unwrap();
    let good = tempfile::tempdir().unwrap();
    whole(good.path());
    each(within.path(), |name, dir| {
        let before = bytes_below(dir);
        let (dir_text, good) = (text(dir), text(good.path()));
        let looks: [&[&str]; 9] = [
            &["verify", dir_text],
            &["verify", dir_text, "--fast", "--json"],
            &["verify", dir_text, "--skip-index", "--json"],
            &["doctor", dir_text],
            &["repair", dir_text, "--plan"],
            &["repair", dir_text, "--json"],
            &["diff", dir_text, good, "--json"],
            &["cursors", "list", dir_text],
            &["rebuild", dir_text],
        ];
        for args in looks {
            let output = run(args);
            let code = output.status.code().unwrap();
            assert!(
                [0, 1, 3].contains(&code),
                "{name} {args:?}: {}",
                said(&output)
            );
            assert!(!said(&output).contains("panicked"), "{name} {args:?}");
        }
        assert_eq!(bytes_below(dir), before, "{name}");
        check_doctor(name, dir);
    });
}

/// What the doctor names as the next command leads to a directory that is in order.
fn check_doctor(name: &str, dir: &Path) {
    for _ in 0..3 {
        let (code, report) = json(&["doctor", text(dir), "--json"]);
        let Some(next) = report["next"].as_str() else {
            assert!([0, 1].contains(&code), "{name}: {report}");
            return;
        };
        assert_eq!(code, 3, "{name}: {report}");
        let next = next.replace("--plan", "--apply");
        let words: Vec<&str> = next.split(' ').collect();
        assert_eq!(words[0], "forelog-recovery");
        let output = run(&words[1..]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name} {next}: {}",
            said(&output)
        );
    }
    panic!("{name}: the doctor never ends");
}

#[test]
fn a_repair_that_is_killed_is_gone_on_with() {
    let within = tempfile::tempdir().unwrap();
    each(within.path(), |name, dir| {
        if name != "everything" {
            return;
        }
        let whole = tempfile::tempdir().unwrap();
        corpus::copy(dir, whole.path());
        assert_eq!(
            run(&["repair", text(whole.path()), "--apply"])
                .status
                .code(),
            Some(0)
        );
        let mut kills = 0;
        for wait in (0..).map(|round| round * 200) {
            let mut child = Command::new(BIN)
                .args(["repair", text(dir), "--apply"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            // Let it come a little further each time; a count, so that no time is waited for.
            for _ in 0..wait {
                if fs::read_dir(dir.join("log")).is_err() || child.try_wait().unwrap().is_some() {
                    break;
                }
            }
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            let status = ended.unwrap_or(child.wait().unwrap());
            if status.success() {
                break;
            }
            kills += 1;
        }
        assert!(kills > 0);
        assert_eq!(events(dir), events(whole.path()), "after {kills} kills");
        assert_eq!(run(&["verify", text(dir)]).status.code(), Some(0));
    });
}

#[test]
fn of_a_cursor_beyond_the_end_only_what_is_there_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let system = corpus::open(dir.path());
    let long = forelog::Subscription::named("a-name-of-some-length");
    let id = system
        .register_handler(long, |_: &forelog::Delivery<'_>| ())
        .unwrap();
    system.unregister_handler(id).unwrap();
    let short = forelog::Subscription::named("short");
    system
        .register_handler(short, |_: &forelog::Delivery<'_>| ())
        .unwrap();
    let event = forelog::Event::new("t", "s", &1).unwrap();
    for _ in 0..3 {
        system.emit(&event).unwrap();
    }
    let far = forelog::Start::At(forelog::Seq(1_000));
    system.seek("short", far).unwrap();
    system.close().unwrap();
    let path = text(dir.path());
    let list = said(&run(&["cursors", "list", path]));
    let places: Vec<_> = list
        .lines()
        .skip(1)
        .filter_map(|line| line.find(" at Seq"))
        .collect();
    assert!(places.len() == 2 && places[0] == places[1], "{list}");
    let plan = said(&run(&["cursors", "set", path, "short", "1"]));
    assert!(plan.contains("Seqs 2 to 3 are delivered again"), "{plan}");
    let (_, plan) = json(&["cursors", "set", path, "short", "1", "--json"]);
    assert_eq!(plan["again"], 2);
}

#[test]
fn a_cursor_moves_only_when_told_and_never_beyond_the_end() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let path = text(dir.path());
    let before = bytes_below(dir.path());
    let (code, plan) = json(&["cursors", "set", path, "billing", "1000", "--json"]);
    assert_eq!(
        (code, &plan["applied"], &plan["again"]),
        (0, &false.into(), &(COUNT - 1000).into())
    );
    let far = (COUNT + 1).to_string();
    assert_eq!(
        run(&["cursors", "set", path, "billing", &far, "--apply"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(
        run(&["cursors", "set", path, "nobody", "1", "--apply"])
            .status
            .code(),
        Some(5)
    );
    assert_eq!(bytes_below(dir.path()), before);
    let cursor =
        || json(&["cursors", "list", path, "--json"]).1["subscriptions"][0]["cursor"].clone();
    for (args, due) in [
        (
            &["cursors", "set", path, "billing", "1000", "--apply"][..],
            1000,
        ),
        (&["cursors", "reset", path, "billing", "--apply"], 0),
        (
            &["cursors", "set", path, "billing", "end", "--apply"],
            COUNT,
        ),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(cursor(), due, "{args:?}");
    }
    let system = corpus::open(dir.path());
    let output = run(&["cursors", "reset", path, "billing", "--apply"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains(&format!("process {}", std::process::id())));
    system.close().unwrap();
}

#[test]
fn a_replay_runs_a_command_for_each_event_until_one_fails() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let path = text(dir.path());
    let log = dir.path().join("handed.jsonl");
    let append = format!("cat >> {}", log.display());
    let output = run(&[
        "replay", path, "--from", "10", "--to", "14", "--rate", "1000", "--exec", &append,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let handed = fs::read_to_string(&log).unwrap();
    let seqs: Vec<u64> = handed
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(seqs, [10, 11, 12, 13, 14]);
    let fails = format!("test $FORELOG_SEQ != 12 && {append}");
    let args = [
        "replay", path, "--from", "10", "--to", "14", "--exec", &fails,
    ];
    fs::remove_file(&log).unwrap();
    let output = run(&args);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("seq 12"), "{}", said(&output));
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 2);
    let output = run(&[&args[..], &["--keep-going"]].concat());
    assert_eq!(
        output.status.code(),
        Some(4),
        "a failure is told in the end"
    );
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 6);
}

#[test]
fn snapshots_are_listed_and_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let path = text(dir.path());
    let (code, plan) = json(&["rebuild", path, "--json"]);
    assert_eq!(
        (code, &plan["snapshots"][0]["position"]),
        (0, &COUNT.into())
    );
    assert_eq!(plan["snapshots"][0]["projection"], "count");
    assert_eq!(
        run(&["rebuild", path, "--projection", "other"])
            .status
            .code(),
        Some(5)
    );
    let (code, done) = json(&[
        "rebuild",
        path,
        "--projection",
        "count",
        "--apply",
        "--json",
    ]);
    assert_eq!((code, &done["applied"]), (0, &true.into()));
    let (_, left) = json(&["rebuild", path, "--json"]);
    assert_eq!(left["snapshots"], Value::Array(vec![]));
    let system = corpus::open(dir.path());
    let add = |count: &mut u64, _: &forelog::EventRef<'_>| {
        *count += 1;
        Ok(())
    };
    let mut count = system.projection("count", 1, 0_u64, add).unwrap();
    assert_eq!(count.position().0, 0, "made anew");
    count.catch_up().unwrap();
    assert_eq!(*count.state(), COUNT);
    system.close().unwrap();
}

#[test]
fn directories_are_compared_event_by_event() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    whole(left.path());
    corpus::copy(left.path(), right.path());
    let args = ["diff", text(left.path()), text(right.path()), "--json"];
    let (code, report) = json(&args);
    assert_eq!((code, &report["same"]), (0, &COUNT.into()), "{report}");
    let system = corpus::open(right.path());
    system.emit(corpus::event(7)).unwrap();
    system.close().unwrap();
    corpus::edit(&corpus::segment(right.path(), 2), |bytes| bytes[5000] ^= 1);
    let (code, report) = json(&args);
    assert_eq!(code, 1, "{report}");
    assert_eq!(
        (&report["only_left"], &report["only_right"]),
        (&1.into(), &1.into())
    );
    assert_eq!(report["unreadable_right"], 1);
    let seq = report["first_difference"]["seq"].as_u64().unwrap();
    assert!((2..COUNT).contains(&seq), "{report}");
}

#[test]
fn pages_and_completions_name_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let page = run(&["man"]);
    assert!(said(&page).starts_with(".ie"), "{}", said(&page));
    assert_eq!(
        run(&["man", "--out", text(folder.path())]).status.code(),
        Some(0)
    );
    let bash = said(&run(&["completions", "bash"]));
    for command in [
        "verify", "doctor", "repair", "salvage", "diff", "replay", "cursors", "rebuild",
    ] {
        assert!(
            folder
                .path()
                .join(format!("forelog-recovery-{command}.1"))
                .exists()
        );
        assert!(bash.contains(command), "{command}");
        let help = said(&run(&[command, "--help"]));
        assert!(
            help.contains("Examples:") && help.contains("Exit codes:"),
            "{command}"
        );
    }
}

#[test]
fn what_is_no_whole_directory_is_salvaged_and_not_repaired() {
    let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    whole(dir.path());
    let (log, file) = (dir.path().join("log"), corpus::segment(dir.path(), 2));
    let inside = dir.path().join("new");
    for (number, source) in [&log, &file].into_iter().enumerate() {
        let output = run(&["repair", text(source), "--apply"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let into = target.path().join(number.to_string());
        let output = run(&["salvage", text(source), "--into", text(&inside)]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let output = run(&["salvage", text(source), "--into", text(&into)]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(events(source), events(&into));
        assert_eq!(run(&["verify", text(&into)]).status.code(), Some(0));
    }
    assert!(!inside.exists());
}

#[test]
fn a_salvage_that_was_cut_off_is_begun_again_and_opened_by_nobody() {
    let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    whole(dir.path());
    let into = target.path().join("new");
    for stop in 0.. {
        let mut steps = 0;
        let stopped = forelog::repair::salvage(dir.path(), &into, &mut |_| {
            steps += 1;
            if steps > stop {
                let cut = forelog::ErrorKind::Io;
                return Err(forelog::Error::new(cut, "the power is cut"));
            }
            Ok(())
        });
        if stopped.is_ok() {
            break;
        }
        let begun = into.join("log.salvaging").exists();
        let opened = forelog::EventSystem::builder()
            .persistence_path(&into)
            .open();
        if begun {
            let error = opened.map(drop).unwrap_err();
            assert_eq!(
                error.kind(),
                forelog::ErrorKind::ForeignDirectory,
                "{error}"
            );
        } else if let Ok(system) = opened {
            system.close().unwrap();
            fs::remove_dir_all(&into).unwrap();
        }
    }
    assert_eq!(events(dir.path()), events(&into));
}

#[test]
fn questions_without_an_answer_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let path = text(dir.path());
    let backwards = run(&["replay", path, "--from", "10", "--to", "5"]);
    assert_eq!(backwards.status.code(), Some(2), "{}", said(&backwards));
    assert!(said(&backwards).contains("before --from"));
    let last = u64::MAX.to_string();
    for args in [
        &["torture", "--sim", "--seeds", "0"][..],
        &["torture", "--sim", "--seed", &last],
        &["torture", "--sim", "--seed", &last, "--seeds", "2"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
    }
}

#[test]
fn one_file_is_not_said_to_be_closed_and_a_missing_control_log_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let one = run(&["verify", text(&corpus::segment(dir.path(), 2))]);
    assert_eq!(one.status.code(), Some(0), "{}", said(&one));
    assert!(!said(&one).contains("closed"), "{}", said(&one));
    let begins = "every handler begins at its start";
    assert!(!said(&run(&["doctor", text(dir.path())])).contains(begins));
    fs::remove_dir_all(dir.path().join("control")).unwrap();
    let told = run(&["doctor", text(dir.path())]);
    assert_eq!(told.status.code(), Some(0), "{}", said(&told));
    assert!(said(&told).contains(begins), "{}", said(&told));
}

#[test]
fn an_index_that_cannot_be_copied_is_not_compared_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let none = dir.path().join("no-such-folder");
    for command in ["verify", "doctor"] {
        let output = Command::new(BIN)
            .args([command, text(dir.path())])
            .env("TMPDIR", &none)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        if command == "verify" {
            let told = said(&output);
            assert!(told.contains("not compared: "), "{told}");
            assert!(told.contains(text(&none)), "{told}");
        }
    }
}
