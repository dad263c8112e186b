//! The runbook of the manual: every command that it shows is run, against a directory with that trouble.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::path::Path;
use std::process::Command;

use forelog::PartitionedEventSystem;

const PAGE: &str = include_str!("../../src/manual/recovery.md");

/// Commands that are shown together: the directory that they are run against, and how each ends.
struct Block<'a> {
    directory: &'a str,
    exits: Vec<i32>,
    commands: Vec<&'a str>,
}

fn blocks() -> Vec<Block<'static>> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        assert!(
            !line.starts_with("```sh"),
            "a block that no test is named for"
        );
        let Some(test) = line.strip_prefix("<!-- test: ") else {
            continue;
        };
        let test = test.strip_suffix(" -->").unwrap();
        let (directory, exits) = test.split_once(", exits ").unwrap();
        let exits = exits.split(' ').map(|exit| exit.parse().unwrap());
        assert_eq!(lines.next(), Some("```sh"), "behind {line}");
        blocks.push(Block {
            directory,
            exits: exits.collect(),
            commands: lines.by_ref().take_while(|line| *line != "```").collect(),
        });
    }
    blocks
}

/// Makes the directory that a block is about, and a backup from before the damage.
fn prepare(name: &str, within: &Path) {
    let is_killed = name.starts_with("killed");
    let dir = within.join("orders");
    if is_killed {
        corpus::killed(&dir);
    } else if name == "partitioned" {
        let system = PartitionedEventSystem::builder().persistence_path(&dir);
        let system = system.partitions(2).open().unwrap();
        system.emit(corpus::event(1)).unwrap();
        system.close().unwrap();
    } else {
        corpus::whole(&dir);
    }
    corpus::copy(&dir, &within.join("orders-backup"));
    let mut all = corpus::harms();
    all.extend(corpus::harms_of_killed());
    match all.iter().find(|harm| harm.name == name) {
        Some(harm) => (harm.harm)(&dir),
        None => assert!(["whole", "partitioned"].contains(&name), "{name}"),
    }
}

#[test]
fn every_command_of_the_runbook_runs() {
    let bin = Path::new(env!("CARGO_BIN_EXE_forelog-recovery"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", bin.parent().unwrap().display());
    let blocks = blocks();
    assert!(blocks.len() > 15);
    for block in blocks {
        let within = tempfile::tempdir().unwrap();
        prepare(block.directory, within.path());
        assert_eq!(
            block.exits.len(),
            block.commands.len(),
            "{:?}",
            block.commands
        );
        for (command, exit) in block.commands.iter().zip(&block.exits) {
            let here = format!("{}/", within.path().display());
            let typed = command.replace("/var/lib/", &here);
            let output = Command::new("sh")
                .args(["-c", &typed])
                .env("PATH", &path)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(*exit), "{command}: {output:?}");
        }
    }
}

#[test]
fn every_command_that_errors_name_is_one_of_the_tool() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let known = [
        "verify", "replay", "reindex", "repair", "salvage", "doctor", "cursors",
    ];
    let mut named = 0;
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // Messages run over several lines of code.
            let text = std::fs::read_to_string(&path).unwrap().replace("\\\n", " ");
            for (_, rest) in text
                .match_indices("forelog-recovery ")
                .map(|(at, found)| text.split_at(at + found.len()))
            {
                let word = rest
                    .trim_start()
                    .split(|c: char| !c.is_ascii_lowercase())
                    .next();
                let word = word.unwrap_or_default();
                let is_word = known.contains(&word)
                    || ["completions", "diff", "rebuild", "torture", ""].contains(&word);
                assert!(is_word, "{}: forelog-recovery {word}", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 10, "{named}");
}
