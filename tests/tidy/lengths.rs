//! Short files and short functions, in lines of code: blank lines, comments and tests do not count.

use std::collections::BTreeSet;

use super::lexer::{Kind, Token, closing};
use super::modules::Modules;
use super::tree::{Finding, Tree};

/// The lines of code of a file.
pub(crate) const FILE_MAX: usize = 300;
/// The lines of code that no file exceeds, whether excepted or all tests.
pub(crate) const FILE_CAP: usize = 500;
/// The lines of code of a function.
pub(crate) const FUNCTION_MAX: usize = 70;

/// Files above [`FILE_MAX`] with the lines they have. A ratchet: numbers only shrink.
const EXCEPTIONS: &[(&str, usize)] = &[];

/// Every file and function that is too long, and every exception that is no longer true.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    check_with(tree, EXCEPTIONS)
}

/// [`check`] with another list of exceptions.
pub(crate) fn check_with(tree: &Tree, exceptions: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tests = test_files(tree);
    for (path, source) in tree.rust() {
        let all_tests = tests.contains(path);
        let code: Vec<&Token> = source
            .tokens
            .iter()
            .filter(|t| all_tests || !t.test)
            .collect();
        let excepted = exceptions.iter().find(|(file, _)| *file == path);
        let max = match excepted {
            _ if all_tests => FILE_CAP,
            Some((_, lines)) => (*lines).min(FILE_CAP),
            None => FILE_MAX,
        };
        let lines = line_count(&code);
        if lines > max {
            let message = format!("{lines} lines of code, at most {max}; split the file");
            findings.push(Finding::new(path, 1, message));
        }
        if !all_tests {
            findings.extend(long_functions(path, &source.tokens));
        }
    }
    findings.extend(
        exceptions
            .iter()
            .filter_map(|exception| stale(tree, *exception)),
    );
    findings
}

fn stale(tree: &Tree, (path, listed): (&str, usize)) -> Option<Finding> {
    let code: Vec<&Token> = tree
        .get(path)
        .map_or_else(Vec::new, |source| source.code().collect());
    let lines = line_count(&code);
    let message = match lines {
        _ if listed > FILE_CAP => format!("is excepted with {listed} lines; the cap is {FILE_CAP}"),
        0..=FILE_MAX => format!("has {lines} lines of code and needs no exception any more"),
        _ if lines < listed => format!("shrank to {lines} lines of code; lower its exception"),
        _ => return None,
    };
    Some(Finding::new(path, 1, message))
}

/// The files that are compiled for tests only: integration tests, and modules under `cfg(test)`.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let is_tests = |path: &&str| path.starts_with("tests/") || path.contains("/tests/");
    let mut files: BTreeSet<String> = tree
        .rust()
        .map(|(path, _)| path)
        .filter(is_tests)
        .map(str::to_owned)
        .collect();
    let roots = tree.rust().map(|(path, _)| path);
    for root in roots.filter(|path| path.ends_with("lib.rs") || path.ends_with("main.rs")) {
        let modules = Modules::of(tree, root);
        files.extend(modules.0.into_values().filter(|m| m.test).map(|m| m.file));
    }
    files
}

fn line_count(code: &[&Token]) -> usize {
    let lines: BTreeSet<usize> = code.iter().flat_map(|t| t.line..=t.end_line).collect();
    lines.len()
}

fn long_functions(path: &str, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, token) in tokens
        .iter()
        .enumerate()
        .filter(|(_, t)| !t.test && t.is("fn"))
    {
        let Some(open) = body(tokens, at) else {
            continue;
        };
        let code: Vec<&Token> = tokens[at..=closing(tokens, open)].iter().collect();
        let lines = line_count(&code);
        if lines > FUNCTION_MAX {
            let name = &tokens[at + 1].text;
            let message = format!("`{name}` has {lines} lines of code, at most {FUNCTION_MAX}");
            findings.push(Finding::new(path, token.line, message));
        }
    }
    findings
}

/// Where the body of the function at `at` opens; `None` for a declaration or a function pointer.
fn body(tokens: &[Token], at: usize) -> Option<usize> {
    tokens.get(at + 1).filter(|name| name.kind == Kind::Word)?;
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "(" | "[" => at = closing(tokens, at),
            "{" => return Some(at),
            ";" => return None,
            _ => {}
        }
        at += 1;
    }
    None
}
