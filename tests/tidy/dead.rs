//! No dead files: each Rust file is a target or a module, each manual page is named somewhere.

use std::collections::BTreeSet;

use super::lexer::{Kind, reads};
use super::modules::{Modules, parent};
use super::tree::{Finding, Tree, extension};

const MANUAL: &str = "src/manual/";

/// Every file that nothing leads to.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut alive: BTreeSet<String> = BTreeSet::new();
    let roots: Vec<&str> = tree
        .rust()
        .map(|(path, _)| path)
        .filter(|p| is_root(tree, p))
        .collect();
    for root in roots {
        alive.extend(Modules::of(tree, root).0.into_values().map(|m| m.file));
    }
    let included: Vec<String> = alive.iter().flat_map(|path| includes(tree, path)).collect();
    alive.extend(included);
    let dead = tree
        .rust()
        .map(|(path, _)| path)
        .filter(|path| !alive.contains(*path));
    let message = "no mod line and no cargo target leads to this file";
    let mut findings: Vec<Finding> = dead.map(|path| Finding::new(path, 1, message)).collect();
    findings.extend(unnamed_pages(tree));
    findings
}

/// Whether cargo finds the file on its own or a manifest names it.
fn is_root(tree: &Tree, path: &str) -> bool {
    if path == "build.rs" || path.ends_with("/build.rs") {
        return true;
    }
    let parts: Vec<&str> = path.split('/').collect();
    let conventional = match parts.as_slice() {
        [.., "src", "lib.rs" | "main.rs"] | [.., "src", "bin", _] => true,
        [.., "tests" | "benches" | "examples", _]
        | [.., "tests" | "benches" | "examples", _, "main.rs"] => !parts.contains(&"src"),
        _ => false,
    };
    conventional || named_by_manifest(tree, path)
}

fn named_by_manifest(tree: &Tree, path: &str) -> bool {
    let manifests = tree
        .files()
        .filter(|(file, _)| file.ends_with("Cargo.toml"));
    let mut targets = manifests.flat_map(|(file, source)| {
        let folder = parent(file);
        let paths = source.text.lines().filter_map(|line| {
            let value = line
                .trim()
                .strip_prefix("path")?
                .trim_start()
                .strip_prefix('=')?;
            Some(value.trim().trim_matches('"'))
        });
        paths.map(move |p| {
            if folder.is_empty() {
                p.to_owned()
            } else {
                format!("{folder}/{p}")
            }
        })
    });
    targets.any(|target| target == path)
}

/// The files that `include!` pulls in.
fn includes(tree: &Tree, path: &str) -> Vec<String> {
    let tokens = tree.get(path).map_or(&[][..], |s| &s.tokens);
    let calls = (0..tokens.len()).filter(|&at| reads(tokens, at, &["include", "!", "("]));
    let texts = calls
        .filter_map(|at| tokens.get(at + 3))
        .filter(|t| t.kind == Kind::Text);
    texts
        .map(|t| format!("{}/{}", parent(path), t.text))
        .collect()
}

fn unnamed_pages(tree: &Tree) -> Vec<Finding> {
    let is_page = |path: &&str| path.starts_with(MANUAL) && extension(path) == "md";
    let pages = tree.files().map(|(path, _)| path).filter(is_page);
    let names = |file: &str| file.starts_with("src/") || file == "README.md";
    let is_named = |page: &str| {
        let name = page.rsplit('/').next().unwrap_or(page);
        let others = tree
            .files()
            .filter(|(file, _)| *file != page && names(file));
        others
            .into_iter()
            .any(|(_, source)| source.text.contains(name))
    };
    let unnamed = pages.filter(|page| !is_named(page));
    let message = "no module, other page or README names this page";
    unnamed.map(|page| Finding::new(page, 1, message)).collect()
}
