//! The house style as a test: layers, lengths, fences and dead files, over the repository's own text.
//!
//! Each check is a function from a [`Tree`] to [`Finding`]s, so that the fixtures in `fixtures` can
//! show that it finds what it is there for; a check that finds nothing anywhere would pass for ever.

mod dead;
mod fences;
mod fixtures;
mod layers;
mod lengths;
mod lexer;
mod modules;
mod paths;
mod shown;
mod tree;

use std::path::Path;

use tree::{Finding, Tree};

fn assert_clean(check: fn(&Tree) -> Vec<Finding>) {
    let tree = Tree::load(Path::new(env!("CARGO_MANIFEST_DIR")));
    let findings = check(&tree);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} findings:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn modules_name_only_what_stands_above_them() {
    assert_clean(layers::check);
}

#[test]
fn files_and_functions_are_short() {
    assert_clean(lengths::check);
}

#[test]
fn dangerous_words_stay_behind_their_fences() {
    assert_clean(fences::check);
}

#[test]
fn every_file_is_alive() {
    assert_clean(dead::check);
}

#[test]
fn the_tests_that_the_manual_names_are_there() {
    assert_clean(shown::check);
}
