//! The repository's text files, from the disk or from a fixture, and what a check finds in them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use super::lexer::{self, Token};

/// Something to mend.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Finding {
            path,
            line,
            message,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A file's text, and its tokens if it is Rust.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

impl Source {
    /// The tokens that are no tests.
    pub(crate) fn code(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| !token.test)
    }
}

/// Files by their path from the root of the repository, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Source>,
}

impl Tree {
    /// All text files of the repository at `root`.
    pub(crate) fn load(root: &Path) -> Tree {
        let mut tree = Tree::default();
        tree.load_folder(root, "");
        assert!(
            tree.get("src/lib.rs").is_some(),
            "no src/lib.rs under {}",
            root.display()
        );
        tree
    }

    /// A tree made of these paths and texts.
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.insert((*path).to_owned(), (*text).to_owned());
        }
        tree
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Source> {
        self.files.get(path)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files.iter().map(|(path, source)| (&**path, source))
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files().filter(|(path, _)| is_rust(path))
    }

    fn insert(&mut self, path: String, text: String) {
        let tokens = if is_rust(&path) {
            lexer::tokens(&text)
        } else {
            Vec::new()
        };
        self.files.insert(path, Source { text, tokens });
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) {
        let entries = fs::read_dir(folder);
        let entries = entries.unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let hidden = name.starts_with('.') && name != ".ci";
            if entry.path().is_dir() {
                if !hidden && name != "target" {
                    self.load_folder(&entry.path(), &format!("{path}/"));
                }
            } else if is_text(&path) {
                let text = fs::read_to_string(entry.path());
                self.insert(
                    path,
                    text.unwrap_or_else(|e| panic!("{}: {e}", entry.path().display())),
                );
            }
        }
    }
}

/// The part of a path behind its last dot.
pub(crate) fn extension(path: &str) -> &str {
    Path::new(path)
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
}

fn is_rust(path: &str) -> bool {
    extension(path) == "rs"
}

fn is_text(path: &str) -> bool {
    matches!(extension(path), "rs" | "md" | "toml" | "sh" | "py" | "html")
        || path.starts_with(".ci/")
}
