use super::*;
use crate::machine::Machine;
use crate::row::Pair;
use crate::target;

fn outcome() -> Outcome {
    let rates = |id: &str, what: &str, rate: f64| {
        let pair = Pair {
            engine: vec![rate],
            floor: vec![rate * 2.0],
        };
        Row::new(id, what, "events/s").rates(pair, "raw")
    };
    let latency = Latency {
        count: 10,
        avg: 110.0,
        p50: 100.0,
        p90: 130.0,
        p99: 200.0,
        p99_9: 300.0,
        max: 4000.0,
    };
    let mut rows = vec![
        rates("append_1", "emit, os, 1 thread", 12.5e6),
        rates("append_2", "emit, os, 2 threads", 12.9e6),
        rates("durable_8", "emit, sync, 8 threads", 40e3).latencies_beside(&[latency], &[latency]),
        Row::new("open_at_1000000", "open <1 M>", "ms")
            .values(vec![20.0])
            .events(1_000_000)
            .extra("get_ns", Some(250.0)),
        Row::new("get", "get", "ns").values(vec![250.0]),
        Row::new("scale_own_at_1000000", "get by id", "us")
            .values(vec![1.0])
            .events(1_000_000)
            .extra("index_events_s", Some(2e6)),
    ];
    for row in &mut rows {
        target::judge(row, true);
    }
    Outcome {
        v: 1,
        machine: Machine::this(),
        short: false,
        rows,
    }
}

#[test]
fn the_page_is_complete_in_itself() {
    let page = page(&outcome());
    for word in [
        "http:", "https:", "<script", "@import", "url(", "<link", "<img",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn every_plot_has_a_title_a_description_and_a_table() {
    let page = page(&outcome());
    let plots = page.matches("<svg").count();
    assert_eq!(
        plots, 6,
        "threads, percentiles, open, get, look-ups, an event"
    );
    assert_eq!(page.matches("<desc").count(), plots);
    assert_eq!(page.matches("aria-labelledby").count(), plots);
    assert_eq!(page.matches("<table").count(), plots + 1);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn figures_stand_in_their_places() {
    let page = page(&outcome());
    assert!(page.contains("12,500,000"));
    assert!(page.contains("open &lt;1 M&gt;"));
    assert!(
        page.contains("<td class=\"yes\">yes</td>"),
        "get is below its bound"
    );
    let plot = by_threads(&outcome().rows);
    assert_eq!(plot.x, ["1", "2", "8"]);
    assert_eq!(plot.lines.len(), 4);
    assert_eq!(plot.lines[0].points, [Some(12.5e6), Some(12.9e6), None]);
    assert_eq!(plot.lines[3].points, [None, None, Some(80e3)]);
}

#[test]
fn no_row_with_percentiles_is_left_out_of_the_plots() {
    let names: Vec<String> = (0..14).map(|nth| format!("row {nth}")).collect();
    let row = |name: &String| Row::new("a", name.clone(), "us").latencies(&[Latency::default()]);
    let rows: Vec<Row> = names.iter().map(row).collect();
    let plots = percentiles(&rows);
    let ids: Vec<&str> = plots.iter().map(|plot| plot.id.as_str()).collect();
    assert_eq!(ids, ["latency", "latency-2", "latency-3"]);
    let shown = plots.iter().flat_map(|plot| &plot.lines);
    let shown: Vec<&str> = shown.map(|line| line.name.as_str()).collect();
    assert_eq!(shown, names);
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    write_whole(&path, b"old").unwrap();
    write_whole(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = dir.path().join("none/report.html");
    assert!(write_whole(&missing, b"new").is_err());
}
