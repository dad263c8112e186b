//! The checks checked: each finds its violation in a small tree, and nothing in a clean one.

use super::tree::{Finding, Tree};
use super::{dead, fences, layers, lengths};

type Check = fn(&Tree) -> Vec<Finding>;

/// Asserts that `check` finds exactly these places (`file:line`), in order.
#[track_caller]
fn finds(check: Check, files: &[(&str, &str)], places: &[&str]) {
    let findings = check(&Tree::of(files));
    let found: Vec<String> = findings
        .iter()
        .map(|f| format!("{}:{}", f.path, f.line))
        .collect();
    assert_eq!(found, places, "{findings:#?}");
}

const LIB: &str = "//! Docs\n// 1 words\nmod a;\nmod b;\n// 2 uses\nmod c;\n";

/// Three modules in two sections; each with this text.
fn three<'a>(a: &'a str, b: &'a str, c: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("src/lib.rs", LIB),
        ("src/a.rs", a),
        ("src/b.rs", b),
        ("src/c.rs", c),
    ]
}

#[test]
fn a_downward_arrow_is_fine_and_an_upward_or_sideways_one_is_found() {
    let fine = three(
        "use std::fmt;",
        "",
        "use crate::a::X;\nfn f() { crate::b::g() }",
    );
    finds(layers::check, &fine, &[]);
    let upward = three("\nuse crate::c::X;", "", "");
    finds(layers::check, &upward, &["src/a.rs:2"]);
    let sideways = three("", "fn f(x: super::a::X) {}", "");
    finds(layers::check, &sideways, &["src/b.rs:1"]);
}

#[test]
fn arrows_are_found_in_groups_and_bodies() {
    let grouped = three(
        "use crate::{\n    a::Y,\n    c::{self, X as Z},\n};",
        "",
        "",
    );
    finds(layers::check, &grouped, &["src/a.rs:3", "src/a.rs:3"]);
    let nested = three("fn f() -> u8 {\n    g::<{ crate::c::N }>()\n}", "", "");
    finds(layers::check, &nested, &["src/a.rs:2"]);
    let inline = three(
        "mod inner {\n    use super::super::c::X;\n    use super::Y;\n}",
        "",
        "",
    );
    finds(layers::check, &inline, &["src/a.rs:2"]);
}

#[test]
fn comments_strings_and_tests_name_what_they_like() {
    let text = "//! [`crate::c::X`]\n/* crate::c /* nested */ crate::c::Y */\n\
        const A: &str = \"crate::c::X \\\" crate::c::Y\";\n\
        const B: &str = r#\"crate::c::X \" \"#;\nconst C: char = '\"';\n\
        fn f<'a>(x: &'a str) -> char { '\\'' }\n\
        #[cfg(test)]\nuse crate::c::Z;\n\
        #[cfg(test)]\n#[allow(dead_code)]\nmod tests {\n    use super::*;\n    use crate::c::X;\n}\n";
    finds(layers::check, &three(text, "", ""), &[]);
    let after = format!("{text}use crate::c::X;");
    finds(layers::check, &three(&after, "", ""), &["src/a.rs:15"]);
}

#[test]
fn test_files_name_what_they_like() {
    let files = [
        ("src/lib.rs", "// 1 words\nmod a;\n// 2 uses\nmod c;\n"),
        ("src/a.rs", "#[cfg(test)]\nmod tests;\n"),
        (
            "src/a/tests.rs",
            "mod more;\nuse crate::c::X;\nuse crate::X;",
        ),
        ("src/a/tests/more.rs", "use crate::c::X;"),
        ("src/c.rs", ""),
    ];
    finds(layers::check, &files, &[]);
    let untested = files.map(|(p, t)| {
        if p == "src/a.rs" {
            (p, "mod tests;")
        } else {
            (p, t)
        }
    });
    let places = [
        "src/a/tests.rs:2",
        "src/a/tests.rs:3",
        "src/a/tests/more.rs:1",
    ];
    finds(layers::check, &untested, &places);
}

#[test]
fn re_exports_of_the_root_and_globs_are_found() {
    let files = three(
        "",
        "",
        "use crate::Error;\nuse crate::a::*;\nuse super::{Seq};\nuse crate::*;",
    );
    finds(
        layers::check,
        &files,
        &["src/c.rs:1", "src/c.rs:3", "src/c.rs:4"],
    );
}

#[test]
fn a_module_without_a_section_is_found() {
    let files = [
        ("src/lib.rs", "mod a;\n// 1 words\nmod b;\n"),
        ("src/a.rs", ""),
        ("src/b.rs", ""),
    ];
    finds(layers::check, &files, &["src/lib.rs:1"]);
}

#[test]
fn the_order_inside_a_folder_holds_through_re_exports() {
    let files = |x: &'static str, y: &'static str| {
        [
            ("src/lib.rs", "// 1 words\nmod a;\n"),
            (
                "src/a/mod.rs",
                "mod x;\nmod y;\npub(crate) use y::{Late, late as other};\nstruct Own;",
            ),
            ("src/a/x.rs", x),
            ("src/a/y.rs", y),
        ]
    };
    finds(
        layers::check,
        &files("use super::Own;", "use super::x::X;\nuse super::Late;"),
        &[],
    );
    finds(
        layers::check,
        &files("use crate::a::y::Y;", ""),
        &["src/a/x.rs:1"],
    );
    finds(
        layers::check,
        &files("\nuse super::{Late, Own};", ""),
        &["src/a/x.rs:2"],
    );
    finds(
        layers::check,
        &files("fn f() { super::other() }", ""),
        &["src/a/x.rs:1"],
    );
    finds(
        layers::check,
        &files("use super::*;", ""),
        &["src/a/x.rs:1"],
    );
}

#[test]
fn a_long_file_is_found_and_the_ratchet_only_shrinks() {
    let line = "const A: u8 = 0;\n";
    let file = |lines: usize| line.repeat(lines);
    let with = |text: &str, exceptions: &[(&str, usize)]| {
        let tree = Tree::of(&[("src/lib.rs", text)]);
        lengths::check_with(&tree, exceptions).len()
    };
    assert_eq!(with(&file(lengths::FILE_MAX), &[]), 0);
    assert_eq!(with(&file(lengths::FILE_MAX + 1), &[]), 1);
    let padded = format!(
        "{}\n// note\n#[cfg(test)]\nmod t {{\n}}\n",
        file(lengths::FILE_MAX)
    );
    assert_eq!(
        with(&padded, &[]),
        0,
        "blank lines, comments and tests do not count"
    );
    assert_eq!(with(&file(310), &[("src/lib.rs", 310)]), 0);
    assert_eq!(with(&file(311), &[("src/lib.rs", 310)]), 1, "it grew");
    assert_eq!(
        with(&file(309), &[("src/lib.rs", 310)]),
        1,
        "it shrank: lower the number"
    );
    assert_eq!(
        with(&file(300), &[("src/lib.rs", 310)]),
        1,
        "needs no exception"
    );
    assert_eq!(with(&file(501), &[("src/lib.rs", 501)]), 2, "above the cap");
    assert_eq!(
        with(&file(300), &[("src/gone.rs", 310)]),
        1,
        "there is no such file"
    );
}

#[test]
fn a_long_test_file_is_found_only_above_the_cap() {
    let text = "const A: u8 = 0;\n".repeat(lengths::FILE_CAP);
    let longer = format!("{text}const B: u8 = 0;\n");
    finds(lengths::check, &[("tests/x.rs", &text)], &[]);
    finds(
        lengths::check,
        &[("tests/x.rs", &longer)],
        &["tests/x.rs:1"],
    );
}

#[test]
fn a_long_function_is_found() {
    let function =
        |lines: usize| format!("\nfn f(a: [u8; 2]) {{\n{}}}\n", "    g();\n".repeat(lines));
    finds(
        lengths::check,
        &[("src/lib.rs", &function(lengths::FUNCTION_MAX - 2))],
        &[],
    );
    let long = function(lengths::FUNCTION_MAX - 1);
    finds(lengths::check, &[("src/lib.rs", &long)], &["src/lib.rs:2"]);
    let declared = format!(
        "trait T {{ fn f(&self); }}\n{}",
        "const A: u8 = 0;\n".repeat(80)
    );
    finds(lengths::check, &[("src/lib.rs", &declared)], &[]);
}

#[test]
fn unsafe_and_sled_are_found_outside_their_file() {
    let text = "#![allow(unsafe_code)]\n// unsafe\nfn f() { unsafe { g() } }\nuse sled::Db;";
    finds(
        fences::check,
        &[("src/storage/mmap.rs", text)],
        &["src/storage/mmap.rs:4"],
    );
    finds(
        fences::check,
        &[("src/index/store.rs", text)],
        &["src/index/store.rs:3"],
    );
    finds(
        fences::check,
        &[("tests/x.rs", text)],
        &["tests/x.rs:3", "tests/x.rs:4"],
    );
}

#[test]
fn printing_and_exits_are_found_in_the_library_only() {
    let text =
        "fn f() {\n    println!();\n    eprintln!();\n    print!();\n    std::process::exit(1);\n}";
    let places = ["src/x.rs:2", "src/x.rs:3", "src/x.rs:4", "src/x.rs:5"];
    let mut found: Vec<_> = fences::check(&Tree::of(&[("src/x.rs", text)]));
    found.sort_by_key(|f| f.line);
    let found: Vec<String> = found
        .iter()
        .map(|f| format!("{}:{}", f.path, f.line))
        .collect();
    assert_eq!(found, places);
    finds(fences::check, &[("tools/dump/src/main.rs", text)], &[]);
    let imported = "use std::process;\nfn f() { process::exit(1) }";
    finds(fences::check, &[("src/x.rs", imported)], &["src/x.rs:2"]);
    let tests = "#[cfg(test)]\nmod tests {\n    fn f() { println!(); }\n}";
    finds(fences::check, &[("src/x.rs", tests)], &[]);
    let debug = format!("fn f() {{ {}!(1) }}", "dbg");
    finds(fences::check, &[("tests/x.rs", &debug)], &["tests/x.rs:1"]);
}

#[test]
fn work_that_was_put_off_is_found_everywhere() {
    let note = format!("// {}{}: later", "TO", "DO");
    finds(fences::check, &[("src/x.rs", &note)], &["src/x.rs:1"]);
    let page = format!("# Page\n{}{} this", "FIX", "ME");
    finds(fences::check, &[("README.md", &page)], &["README.md:2"]);
    let call = format!("fn f() {{ {}{}!() }}", "to", "do");
    finds(
        fences::check,
        &[("tools/dump/src/main.rs", &call)],
        &["tools/dump/src/main.rs:1"],
    );
}

#[test]
fn spelt_out_file_names_are_found() {
    let text =
        "fn f() {\n    g(\"1.seg\", \"{x}.tmp\");\n    g(\"LOCK\");\n    g(\"a.snapshot.b\");\n}";
    finds(fences::check, &[("src/format/names.rs", text)], &[]);
    finds(
        fences::check,
        &[("src/log/x.rs", text)],
        &["src/log/x.rs:2", "src/log/x.rs:2", "src/log/x.rs:3"],
    );
    finds(fences::check, &[("tests/x.rs", text)], &[]);
}

#[test]
fn files_touched_beside_the_storage_are_found() {
    for text in [
        "use std::fs;",
        "use std::{io, fs::File};",
        "fn f() { std::fs::remove_file(p) }",
    ] {
        finds(
            fences::check,
            &[("src/log/x.rs", text)],
            &["src/log/x.rs:1"],
        );
        finds(fences::check, &[("src/storage/sys.rs", text)], &[]);
        finds(fences::check, &[("recovery/src/main.rs", text)], &[]);
    }
}

#[test]
fn dead_files_are_found() {
    let files = [
        ("Cargo.toml", "[[bench]]\npath = \"benches/deep/one.rs\"\n"),
        (
            "src/lib.rs",
            "mod a;\n#[path = \"odd/place.rs\"]\nmod b;\n#[cfg(test)]\nmod t;\n",
        ),
        ("src/a/mod.rs", "mod inner { mod deep; }"),
        ("src/a/inner/deep.rs", "include!(\"text.rs\");"),
        ("src/a/inner/text.rs", ""),
        ("src/odd/place.rs", ""),
        ("src/t.rs", ""),
        ("src/left.rs", ""),
        ("tests/one.rs", ""),
        ("tests/two/main.rs", "mod part;"),
        ("tests/two/part.rs", ""),
        ("tests/two/left.rs", ""),
        ("benches/deep/one.rs", ""),
        ("examples/e.rs", ""),
        ("tools/dump/src/main.rs", "mod text;"),
        ("tools/dump/src/text.rs", ""),
        ("recovery/src/left.rs", ""),
    ];
    let dead = [
        "recovery/src/left.rs:1",
        "src/left.rs:1",
        "tests/two/left.rs:1",
    ];
    finds(dead::check, &files, &dead);
}

#[test]
fn unnamed_manual_pages_are_found() {
    let files = [
        (
            "src/lib.rs",
            "#[doc = include_str!(\"manual/one.md\")]\npub struct Manual;",
        ),
        ("src/manual/one.md", "see two.md"),
        ("src/manual/two.md", ""),
        ("src/manual/left.md", "left.md names itself"),
    ];
    finds(dead::check, &files, &["src/manual/left.md:1"]);
}
