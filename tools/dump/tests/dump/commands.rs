//! The commands: `get`, `query`, `types`, `sources`, `tail`, `retention`.

use super::*;

fn forelog_dump(command: &str, dir: &Path, args: &[&str]) -> Output {
    let mut run = Command::new(BIN);
    run.arg(command).arg(dir).args(args).output().unwrap()
}

fn seqs(output: &Output) -> Vec<u64> {
    assert_eq!(code(output), 0, "{}", stderr(output));
    let seq = |line: &Value| line["seq"].as_u64().unwrap();
    lines(output).iter().map(seq).collect()
}

/// Events of which some have headers, in a log that took one each second.
fn with_headers(count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000_000)));
    let settings = EventSystem::builder()
        .persistence_path(dir.path())
        .segment_size(64 << 10)
        .durability(Durability::Os);
    let system = settings.clock(clock.clone()).open().unwrap();
    for number in 1..=count {
        clock.advance(std::time::Duration::from_secs(1));
        let tenant = (number % 5).to_string();
        system
            .emit(event(number).with_header("tenant", tenant))
            .unwrap();
    }
    system.close().unwrap();
    dir
}

#[test]
fn get_shows_one_event_by_seq_or_id() {
    let dir = with_headers(3);
    let expected = "\
seq          2
event_id     00000000-0000-0000-0000-000000000002
event_type   order.filled
source       even
timestamp    1970-01-01T00:00:02.000000000Z
appended_at  2023-11-14T22:13:22.000000000Z
header       tenant: 2
data         {\"n\":2}
";
    for key in ["2", "00000000-0000-0000-0000-000000000002"] {
        let output = forelog_dump("get", dir.path(), &[key]);
        assert_eq!((code(&output), stdout(&output).as_str()), (0, expected));
    }
    let json = forelog_dump("get", dir.path(), &["3", "--json"]);
    assert_eq!(seqs(&json), [3]);
    let missing = forelog_dump("get", dir.path(), &["4"]);
    assert_eq!((code(&missing), stdout(&missing).as_str()), (5, ""));
    let told = stderr(&missing);
    assert!(
        told.contains("no such event") && told.contains("Seq 4"),
        "{told}"
    );
    assert!(told.contains(dir.path().to_str().unwrap()), "{told}");
    assert_eq!(code(&forelog_dump("get", dir.path(), &["four"])), 2);
    flip(&segment(dir.path(), 1), 4096 + 64);
    let damaged = forelog_dump("get", dir.path(), &["1"]);
    assert_eq!(code(&damaged), 3, "it may have been there");
}

#[test]
fn a_header_that_is_there_twice_is_shown_twice() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    let tagged = event(1).with_header("tag", "a").with_header("tag", "b");
    system.emit(tagged.with_header("other", "c")).unwrap();
    system.close().unwrap();
    let fields = stdout(&forelog_dump("get", dir.path(), &["1"]));
    assert!(
        fields.contains("header       tag: a\nheader       tag: b\n"),
        "{fields}"
    );
    let headers = serde_json::json!({"tag": ["a", "b"], "other": "c"});
    for command in ["get", "query"] {
        let rest: &[&str] = if command == "get" { &["1"] } else { &[] };
        let json = forelog_dump(command, dir.path(), &[rest, &["--json"]].concat());
        assert_eq!(lines(&json)[0]["headers"], headers);
        let csv = stdout(&forelog_dump(
            command,
            dir.path(),
            &[rest, &["--format", "csv"]].concat(),
        ));
        assert!(
            csv.contains(r#""{""tag"":[""a"",""b""],""other"":""c""}""#),
            "{csv}"
        );
    }
}

#[test]
fn query_shows_columns() {
    let dir = with_headers(6);
    let args = ["--type", "order.*", "--newest-first", "--limit", "3"];
    let output = forelog_dump("query", dir.path(), &args);
    let expected = "\
# 1 segment
       seq  timestamp                       type                      source            data
         5  1970-01-01T00:00:05.000000000Z  order.filled              odd               {\"n\":5}
         4  1970-01-01T00:00:04.000000000Z  order.placed              even              {\"n\":4}
         2  1970-01-01T00:00:02.000000000Z  order.filled              even              {\"n\":2}
# 3 events
";
    assert_eq!((code(&output), stdout(&output).as_str()), (0, expected));
}

#[test]
fn query_writes_csv() {
    let dir = with_headers(2);
    let system = open(dir.path());
    let odd = Event::new("a,b", "say \"hi\"", &"two\nlines").unwrap();
    system
        .emit(odd.with_id(EventId(7)).at(Timestamp(0)))
        .unwrap();
    system.close().unwrap();
    let output = forelog_dump("query", dir.path(), &["--from", "2", "--format", "csv"]);
    let expected = "\
seq,event_id,event_type,source,timestamp,appended_at,headers,data
2,00000000-0000-0000-0000-000000000002,order.filled,even,1970-01-01T00:00:02.000000000Z,\
2023-11-14T22:13:22.000000000Z,\"{\"\"tenant\"\":\"\"2\"\"}\",\"{\"\"n\"\":2}\"
3,00000000-0000-0000-0000-000000000007,\"a,b\",\"say \"\"hi\"\"\",1970-01-01T00:00:00.000000000Z,\
2023-11-14T22:13:22.000000000Z,,\"\"\"two\\nlines\"\"\"
";
    assert_eq!((code(&output), stdout(&output).as_str()), (0, expected));
}

#[test]
fn query_selects_by_everything_that_an_event_has() {
    let dir = with_headers(3000);
    let ask = |args: &[&str]| {
        seqs(&forelog_dump(
            "query",
            dir.path(),
            &[args, &["--json"]].concat(),
        ))
    };
    assert_eq!(ask(&["--header", "tenant=3", "--to", "9"]), [3, 8]);
    let id = "00000000-0000-0000-0000-0000000003e8";
    assert_eq!(ask(&["--id", id]), [1000]);
    assert_eq!(
        ask(&["--from", "1970-01-01T00:49:59", "--type", "quote"]),
        [3000]
    );
    assert!(ask(&["--from", "1d"]).is_empty(), "nothing is that young");
    let taken = [
        "--appended-since",
        "2023-11-14T22:13:30Z",
        "--appended-until",
    ];
    assert_eq!(
        ask(&[&taken[..], &["2023-11-14T22:13:33Z"]].concat()),
        [10, 11, 12]
    );
    assert_eq!(
        ask(&["--source", "odd", "--source", "even", "--limit", "3"]),
        [1, 2, 3]
    );
    let newest: Vec<u64> = (1..=3000).rev().collect();
    assert_eq!(ask(&["--newest-first"]), newest);
    let part: Vec<u64> = (700..=1700).rev().collect();
    assert_eq!(
        ask(&["--newest-first", "--from", "700", "--to", "1700"]),
        part
    );
    for wrong in [["--header", "tenant"], ["--id", "7"], ["--from", "soon"]] {
        assert_eq!(
            code(&forelog_dump("query", dir.path(), &wrong)),
            2,
            "{wrong:?}"
        );
    }
    let both = forelog_dump("query", dir.path(), &["--json", "--format", "csv"]);
    assert_eq!(code(&both), 2);
    let turned = [
        "--appended-since",
        "2023-11-14T22:13:33Z",
        "--appended-until",
        "2023-11-14T22:13:30Z",
    ];
    let turned = forelog_dump("query", dir.path(), &turned);
    assert_eq!(code(&turned), 2);
    assert!(stderr(&turned).contains("exchange the two"));
}

#[test]
fn damage_is_told_once_in_both_directions() {
    let dir = with_headers(3000);
    flip(&segment(dir.path(), 2), 9000);
    fs::remove_file(segment(dir.path(), 4)).unwrap();
    let told = |args: &[&str]| {
        let output = forelog_dump("query", dir.path(), &[args, &["--json"]].concat());
        assert_eq!(code(&output), 3);
        let mut errors: Vec<String> = stderr(&output).lines().map(str::to_owned).collect();
        errors.sort();
        (lines(&output), errors)
    };
    let (oldest, errors) = told(&[]);
    let (mut newest, errors_back) = told(&["--newest-first"]);
    newest.reverse();
    assert_eq!(newest, oldest);
    assert_eq!(errors_back, errors);
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn types_and_sources_are_counted() {
    let dir = with_headers(1500);
    let output = forelog_dump("types", dir.path(), &[]);
    let expected = "\
type                  events       first        last  last appended
order.filled             500           2        1499  2023-11-14T22:38:19.000000000Z
order.placed             500           1        1498  2023-11-14T22:38:18.000000000Z
quote                    500           3        1500  2023-11-14T22:38:20.000000000Z
# 3 types, 1,500 events
";
    assert_eq!((code(&output), stdout(&output).as_str()), (0, expected));
    let output = forelog_dump("sources", dir.path(), &["--to", "3", "--format", "csv"]);
    let expected = "\
source,count,first_seq,last_seq,first_appended_at,last_appended_at
even,1,2,2,2023-11-14T22:13:22.000000000Z,2023-11-14T22:13:22.000000000Z
odd,2,1,3,2023-11-14T22:13:21.000000000Z,2023-11-14T22:13:23.000000000Z
";
    assert_eq!((code(&output), stdout(&output).as_str()), (0, expected));
    let json = lines(&forelog_dump(
        "types",
        dir.path(),
        &["--type", "quote", "--json"],
    ));
    assert_eq!(json[0]["event_type"], "quote");
    assert_eq!(
        (&json[0]["count"], &json[0]["last_seq"]),
        (&json!(500), &json!(1500))
    );
}

#[test]
fn tail_begins_with_the_newest_and_goes_on_with_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    for number in 1..=1000 {
        system.emit(event(number)).unwrap();
    }
    let mut child = Command::new(BIN)
        .args([
            "tail", "-n", "3", "--source", "even", "--json", "--limit", "500",
        ])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seqs: Vec<u64> = reader
        .by_ref()
        .take(3)
        .map(|line| seq_of(&line.unwrap()))
        .collect();
    for number in 1001..=2000 {
        system.emit(event(number)).unwrap();
    }
    seqs.extend(reader.map(|line| seq_of(&line.unwrap())));
    let expected: Vec<u64> = (996..).step_by(2).take(500).collect();
    assert_eq!(seqs, expected);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_command_leaves_the_directory_as_it_is() {
    let dir = with_headers(2000);
    let before = bytes_below(dir.path());
    for (command, args) in [
        ("get", &["5"][..]),
        ("query", &["--newest-first"]),
        ("types", &[]),
        ("sources", &[]),
        ("tail", &["--limit", "2", "-n", "2"]),
    ] {
        assert_eq!(
            code(&forelog_dump(command, dir.path(), args)),
            0,
            "{command}"
        );
    }
    assert_eq!(bytes_below(dir.path()), before);
}

#[test]
fn retention_shows_what_stays_for_whom_and_what_would_go() {
    let dir = with_headers(2_000);
    let system = open(dir.path());
    let begun = forelog::Subscription::named("slow").start(forelog::Start::At(forelog::Seq(900)));
    let handler = |_: &forelog::Delivery<'_>| {};
    system.register_handler(begun, handler).unwrap();
    system.close().unwrap();
    let run = |args: &[&str]| forelog_dump("retention", dir.path(), args);
    let report = |args: &[&str]| -> Value {
        let output = run(&[args, &["--json"]].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let all = report(&[]);
    let segments = all["segments"].as_array().unwrap();
    assert!(segments.len() > 3, "{all}");
    let last = segments.last().unwrap();
    assert_eq!(
        (&last["fate"], &last["last_seq"]),
        (&json!("active"), &json!(2_000))
    );
    assert!(
        segments[..segments.len() - 1]
            .iter()
            .all(|one| one["fate"] == "within_limits")
    );
    let events: u64 = segments
        .iter()
        .map(|one| one["events"].as_u64().unwrap())
        .sum();
    assert_eq!((events, all["events"].as_u64()), (2_000, Some(2_000)));
    assert!(
        segments
            .iter()
            .all(|one| one["bytes"].as_u64().unwrap() > 0)
    );
    assert_eq!(all["removed"]["segments"], 0);

    let limited = report(&["--max-bytes", "1"]);
    for one in limited["segments"].as_array().unwrap() {
        let is_needed = one["last_seq"].as_u64().unwrap() >= 900;
        let fate = match (one["fate"] == "active", is_needed) {
            (true, _) => "active",
            (false, true) => "needed",
            (false, false) => "goes",
        };
        assert_eq!(one["fate"], fate, "{one}");
        let names = one["needed_by"].as_array().unwrap();
        assert_eq!(names.len(), usize::from(is_needed), "{one}");
    }
    let old = report(&["--max-age", "1d"]);
    assert_eq!(old["segments"][0]["limit"], "max_age");
    let table = stdout(&run(&["--max-events", "1000"]));
    assert!(table.contains("goes by max_events"), "{table}");
    assert!(
        table.contains("subscription slow needs it from 900 on"),
        "{table}"
    );
    let csv = stdout(&run(&["--format", "csv"]));
    assert!(
        csv.starts_with("segment,first_seq,last_seq,events,bytes,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), segments.len() + 1);
    assert_eq!(code(&run(&["--max-age", "soon"])), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_full_is_an_error_and_one_that_is_closed_an_end() {
    let dir = fixture(200);
    let dir = dir.path().to_str().unwrap();
    for args in [&[dir][..], &[dir, "--stats"], &["types", dir], &["--help"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = Command::new(BIN).args(args).stdout(full.unwrap()).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(code(&output), 4, "{args:?}: {said}");
        assert!(said.contains("cannot write the output"), "{args:?}: {said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(BIN).args(args).stdout(writer).output();
        let output = output.unwrap();
        assert_eq!((code(&output), output.stderr), (0, vec![]), "{args:?}");
    }
}

#[test]
fn an_encrypted_log_is_shown_with_its_key_and_its_segments_without() {
    let (dir, key) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = key.path().join("key");
    let key = EncryptionKey::generate().unwrap();
    key.write_new_file(&file).unwrap();
    let settings = EventSystem::builder().persistence_path(dir.path());
    let system = settings.encryption_key(key).open().unwrap();
    for number in 1..=9 {
        system.emit(event(number)).unwrap();
    }
    system.close().unwrap();
    let key_file = ["--key-file", file.to_str().unwrap()];
    let reading: [&[&str]; 5] = [
        &["get", "4"],
        &["query", "--type", "quote"],
        &["types"],
        &["sources"],
        &["query", "--newest-first", "--limit", "1"],
    ];
    for command in reading {
        let (name, args) = command.split_first().unwrap();
        let without = forelog_dump(name, dir.path(), args);
        assert_eq!(code(&without), 4, "{command:?}");
        assert_eq!(stdout(&without), "", "{command:?}: not even a table head");
        assert!(
            stderr(&without).contains("--key-file"),
            "{}",
            stderr(&without)
        );
        let with = forelog_dump(name, dir.path(), &[args, &key_file].concat());
        assert_eq!(code(&with), 0, "{command:?}: {}", stderr(&with));
        assert!(!stdout(&with).is_empty());
    }
    for args in [&["--follow", "--limit", "1"][..], &["--limit", "1"]] {
        let without = dump(dir.path(), args);
        assert_eq!(
            (code(&without), stdout(&without)),
            (4, String::new()),
            "{args:?}"
        );
    }
    let shown = dump(dir.path(), &["--json", key_file[0], key_file[1]]);
    assert_eq!(seqs(&shown), (1..=9).collect::<Vec<u64>>());
    for args in [&["--headers"][..], &["--raw"]] {
        assert_eq!(code(&dump(dir.path(), args)), 0, "{args:?}");
    }
    assert_eq!(code(&forelog_dump("retention", dir.path(), &[])), 0);
}
