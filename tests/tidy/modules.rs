//! The modules of a crate, found from its root file along the `mod` lines.

use std::collections::BTreeMap;

use super::lexer::{Kind, Token, closing, reads};
use super::tree::Tree;

/// A `mod` line.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) test: bool,
}

/// A module that has a file.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) path: Vec<String>,
    pub(crate) file: String,
    /// Whether it is compiled for tests only.
    pub(crate) test: bool,
    pub(crate) children: Vec<Child>,
}

/// All modules of one crate that have a file, by path; the root's path is empty.
#[derive(Debug, Default)]
pub(crate) struct Modules(pub(crate) BTreeMap<Vec<String>, Module>);

impl Modules {
    /// The modules reached from the crate's root file.
    pub(crate) fn of(tree: &Tree, root: &str) -> Modules {
        let mut modules = Modules::default();
        if tree.get(root).is_some() {
            modules.visit(tree, Vec::new(), root, true, false);
        }
        modules
    }

    pub(crate) fn get(&self, path: &[String]) -> Option<&Module> {
        self.0.get(path)
    }

    fn visit(&mut self, tree: &Tree, path: Vec<String>, file: &str, is_root: bool, test: bool) {
        let tokens = tree.get(file).map_or(&[][..], |s| &s.tokens);
        let test = test || (!tokens.is_empty() && tokens.iter().all(|t| t.test));
        let mut children = Vec::new();
        for (at, _) in tokens.iter().enumerate() {
            let Some(name) = declared(tokens, at) else {
                continue;
            };
            let inline = enclosing(tokens, at);
            let child = Child {
                name: name.to_owned(),
                line: tokens[at].line,
                test: test || tokens[at].test,
            };
            let folder = folder_of(file, is_root);
            let place = [vec![folder], inline.clone(), vec![child.name.clone()]].concat();
            let place = place.join("/");
            let named = attribute_path(tokens, at).map(|p| format!("{}/{p}", parent(file)));
            let candidates = [
                named,
                Some(format!("{place}.rs")),
                Some(format!("{place}/mod.rs")),
            ];
            let found = candidates
                .into_iter()
                .flatten()
                .find(|c| tree.get(c).is_some());
            let mut child_path = [path.clone(), inline].concat();
            child_path.push(child.name.clone());
            if let Some(found) = found {
                self.visit(tree, child_path, &found, false, child.test);
            }
            children.push(child);
        }
        let file = file.to_owned();
        let module = Module {
            path: path.clone(),
            file,
            test,
            children,
        };
        self.0.insert(path, module);
    }
}

/// The name in the `mod name;` that starts at `at`.
fn declared(tokens: &[Token], at: usize) -> Option<&str> {
    let name = tokens.get(at + 1).filter(|t| t.kind == Kind::Word)?;
    (tokens[at].is("mod") && reads(tokens, at + 2, &[";"])).then_some(name.text.as_str())
}

/// The names of the inline modules (`mod name { … }`) that the token at `at` stands in.
pub(crate) fn enclosing(tokens: &[Token], at: usize) -> Vec<String> {
    let opens = |i: &usize| tokens[*i].is("mod") && reads(tokens, i + 2, &["{"]);
    let around = (0..at)
        .filter(opens)
        .filter(|i| closing(tokens, i + 2) > at);
    around.map(|i| tokens[i + 1].text.clone()).collect()
}

/// The file that `#[path = "…"]` before the `mod` at `at` names.
fn attribute_path(tokens: &[Token], at: usize) -> Option<&str> {
    let start = at.checked_sub(6)?;
    let text = tokens.get(start + 4).filter(|t| t.kind == Kind::Text)?;
    reads(tokens, start, &["#", "[", "path", "="]).then_some(text.text.as_str())
}

/// The folder in which a module's children lie.
fn folder_of(file: &str, is_root: bool) -> String {
    if is_root || file.ends_with("/mod.rs") {
        parent(file).to_owned()
    } else {
        file.trim_end_matches(".rs").to_owned()
    }
}

/// The folder of a file.
pub(crate) fn parent(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}
