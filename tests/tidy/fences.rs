//! Words that may stand in one place only.

use super::lexer::{Kind, Token, reads};
use super::modules::Modules;
use super::paths::named;
use super::tree::{Finding, Source, Tree, extension};

const UNSAFE: &str = "src/storage/mmap.rs";
const SLED: &str = "src/index/store.rs";
const NAMES: &str = "src/format/names.rs";
/// Where files may be touched without going through a storage.
const FILES: &[&str] = &["src/storage/", SLED];

/// Words for work that was put off, in two halves so that this file does not hold them.
const PUT_OFF: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
const PUT_OFF_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
const PRINTING: &[&str] = &["println", "eprintln", "print", "eprint"];
/// The folders whose code runs at a user's, tests aside.
const SHIPPED: &[&str] = &["src/", "tools/", "recovery/"];
const ENDINGS: &[&str] = &[".seg", ".tmp", ".snapshot"];

/// Every word on the wrong side of its fence.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let tests: Vec<String> = test_files(tree);
    let mut findings = Vec::new();
    for (path, source) in tree.rust() {
        findings.extend(anywhere(path, source));
        if path.starts_with("src/") && !tests.iter().any(|test| test == path) {
            findings.extend(in_library(path, source));
        }
        let is_test = path.contains("/tests/") || tests.iter().any(|test| test == path);
        let shipped = SHIPPED.iter().any(|top| path.starts_with(top)) && !is_test;
        if shipped && path != NAMES {
            findings.extend(file_names(path, source));
        }
    }
    for (path, source) in tree.files() {
        findings.extend(put_off(path, &source.text));
    }
    findings
}

fn test_files(tree: &Tree) -> Vec<String> {
    let modules = Modules::of(tree, "src/lib.rs").0.into_values();
    modules.filter(|m| m.test).map(|m| m.file).collect()
}

fn word_findings(path: &str, tokens: &[Token], word: &str, message: &str) -> Vec<Finding> {
    let found = tokens.iter().filter(|t| t.kind == Kind::Word && t.is(word));
    found.map(|t| Finding::new(path, t.line, message)).collect()
}

/// What drives other engines, in a workspace of its own: their names and their interfaces stand there.
const OTHERS: &str = "benches/compare/";

/// Fences around all Rust code, tests included.
fn anywhere(path: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if path != UNSAFE && !path.starts_with(OTHERS) {
        let message = format!("unsafe code stands only in {UNSAFE}");
        findings.extend(word_findings(path, &source.tokens, "unsafe", &message));
    }
    if path != SLED && !path.starts_with(OTHERS) {
        let message = format!("sled is named only in {SLED}");
        findings.extend(word_findings(path, &source.tokens, "sled", &message));
    }
    for name in PUT_OFF_MACROS {
        let message = format!("`{name}!` is for work under way; finish it or leave it out");
        findings.extend(macro_calls(path, &source.tokens, name, &message));
    }
    findings
}

/// Fences around the library's code, tests excluded.
fn in_library(path: &str, source: &Source) -> Vec<Finding> {
    let code: Vec<Token> = source.code().cloned().collect();
    let mut findings = Vec::new();
    for name in PRINTING {
        let message = format!("`{name}!` in the library: return it, count it, or trace it");
        findings.extend(macro_calls(path, &code, name, &message));
    }
    for path_named in named(&code, &["std", "process", "rustix"]) {
        let parts: Vec<&str> = path_named.parts.iter().map(String::as_str).collect();
        let message = match parts.as_slice() {
            ["std", "process", "exit" | "abort"] | ["process", "exit" | "abort"] => {
                "a library does not end its user's process; return an error".to_owned()
            }
            ["std" | "rustix", "fs", ..] if !FILES.iter().any(|ok| path.starts_with(ok)) => {
                format!(
                    "files are touched only in {}; use a Storage",
                    FILES.join(" and ")
                )
            }
            _ => continue,
        };
        findings.push(Finding::new(path, path_named.line, message));
    }
    findings
}

fn macro_calls(path: &str, tokens: &[Token], name: &str, message: &str) -> Vec<Finding> {
    let calls = (0..tokens.len()).filter(|&at| reads(tokens, at, &[name, "!"]));
    calls
        .map(|at| Finding::new(path, tokens[at].line, message))
        .collect()
}

/// File names of the on-disk layout that are spelt out.
fn file_names(path: &str, source: &Source) -> Vec<Finding> {
    let names_file = |t: &&Token| {
        let text = t.text.as_str();
        t.kind == Kind::Text && (text == "LOCK" || ENDINGS.iter().any(|end| text.ends_with(end)))
    };
    let found = source.code().filter(names_file);
    let message =
        |text| format!("the file name \"{text}\" is spelt out; {NAMES} builds and parses");
    found
        .map(|t| Finding::new(path, t.line, message(&t.text)))
        .collect()
}

fn put_off(path: &str, text: &str) -> Vec<Finding> {
    if !matches!(extension(path), "rs" | "md" | "toml" | "sh" | "py") && !path.starts_with(".ci/") {
        return Vec::new();
    }
    let words = |line: &str| -> Option<&'static str> {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.find_map(|word| PUT_OFF.iter().find(|put_off| **put_off == word).copied())
    };
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(i, line)| Some((i + 1, words(line)?)));
    let message = |word| format!("{word}: finish it, or open an issue and leave no note");
    found
        .map(|(line, word)| Finding::new(path, line, message(word)))
        .collect()
}
