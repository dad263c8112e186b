//! The order of the `mod` lines is the architecture.
//!
//! In `src/lib.rs` a comment such as `// 2 format` starts a section. A module names only modules of
//! sections above its own. In a folder's `mod.rs` a submodule names only those whose `mod` line
//! stands above its own; what `mod.rs` re-exports counts as its origin. Tests are free.

use super::lexer::reads;
use super::modules::{Module, Modules, enclosing};
use super::paths::{Named, named};
use super::tree::{Finding, Tree};

const ROOT: &str = "src/lib.rs";

/// Every arrow that points upward or sideways.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let modules = Modules::of(tree, ROOT);
    let Some(root) = tree.get(ROOT) else {
        return vec![Finding::new(ROOT, 1, "there is no such file")];
    };
    let sections = Sections::of(&root.text);
    let layers = Layers {
        tree,
        modules: &modules,
        sections,
    };
    let code = modules.0.values().filter(|m| !m.test);
    let mut findings = layers.unnamed_sections();
    findings.extend(code.flat_map(|module| layers.check_module(module)));
    findings
}

struct Layers<'a> {
    tree: &'a Tree,
    modules: &'a Modules,
    sections: Sections,
}

impl Layers<'_> {
    fn unnamed_sections(&self) -> Vec<Finding> {
        let root = self.modules.get(&[]);
        let children = root.iter().flat_map(|m| &m.children).filter(|c| !c.test);
        let homeless = children.filter(|child| self.sections.of_line(child.line) == 0);
        let message = |name| format!("`mod {name}` stands under no section comment (`// 1 words`)");
        homeless
            .map(|c| Finding::new(ROOT, c.line, message(&c.name)))
            .collect()
    }

    fn check_module(&self, module: &Module) -> Vec<Finding> {
        let Some(source) = self.tree.get(&module.file) else {
            return Vec::new();
        };
        let mut findings = Vec::new();
        for path in named(&source.tokens, &["crate", "super"]) {
            let inline = enclosing(&source.tokens, path.at);
            let is_macro = reads(&source.tokens, path.at + 3, &["!"]);
            let verdict = match absolute(&module.path, &inline, &path) {
                _ if is_macro => Ok(()),
                Some(target) => self.judge(module, &target),
                None => Ok(()),
            };
            if let Err(message) = verdict {
                findings.push(Finding::new(&module.file, path.line, message));
            }
        }
        findings
    }

    /// Whether `module` may name `target`, a path from the root of the crate.
    fn judge(&self, module: &Module, target: &[String]) -> Result<(), String> {
        let (found, item) = self.resolve(target);
        let common = module
            .path
            .iter()
            .zip(&found)
            .take_while(|(a, b)| a == b)
            .count();
        if common == found.len() {
            let item = item.unwrap_or_default();
            return match (common, item.as_str()) {
                (_, "*") if common < module.path.len() => {
                    Err("a glob import hides which modules are named; list the names".to_owned())
                }
                (0, _) if !module.path.is_empty() => Err(format!(
                    "`crate::{item}` goes through lib.rs; name the module that defines it"
                )),
                _ => Ok(()),
            };
        }
        match module.path.get(common) {
            None => Ok(()),
            Some(own) => self.compare(&found[..common], own, &found[common]),
        }
    }

    /// The module that a path leads to, through re-exports of folders, and the item named in it.
    fn resolve(&self, target: &[String]) -> (Vec<String>, Option<String>) {
        let known = (1..=target.len()).take_while(|&n| self.modules.get(&target[..n]).is_some());
        let len = known.last().unwrap_or(0);
        let mut found = target[..len].to_vec();
        let item = target.get(len).cloned();
        if let (Some(name), 1..) = (&item, len) {
            found.extend(self.origin(&found, name));
        }
        (found, item)
    }

    /// The child from which the module at `path` re-exports `name`.
    fn origin(&self, path: &[String], name: &str) -> Option<String> {
        let module = self.modules.get(path)?;
        let children: Vec<&str> = module.children.iter().map(|c| c.name.as_str()).collect();
        let tokens = &self.tree.get(&module.file)?.tokens;
        let used = named(tokens, &children).into_iter().find(|path| {
            let last = path
                .alias
                .as_deref()
                .or(path.parts.last().map(String::as_str));
            path.at > 0 && tokens[path.at - 1].is("use") && last == Some(name)
        });
        used.and_then(|path| path.parts.into_iter().next())
    }

    /// Whether `own` stands below `other` in the module at `folder`.
    fn compare(&self, folder: &[String], own: &str, other: &str) -> Result<(), String> {
        let children = self.modules.get(folder).map_or(&[][..], |m| &m.children);
        let line = |name: &str| {
            children
                .iter()
                .find(|c| c.name == name)
                .map_or(0, |c| c.line)
        };
        let (own_line, other_line) = (line(own), line(other));
        if !folder.is_empty() {
            let folder = folder.join("::");
            let message = format!(
                "`{own}` names `{other}`, whose mod line in `{folder}` does not stand above its own"
            );
            return if other_line < own_line {
                Ok(())
            } else {
                Err(message)
            };
        }
        let (ours, theirs) = (
            self.sections.of_line(own_line),
            self.sections.of_line(other_line),
        );
        let (ours_name, theirs_name) = (self.sections.name(ours), self.sections.name(theirs));
        match theirs.cmp(&ours) {
            std::cmp::Ordering::Less => Ok(()),
            std::cmp::Ordering::Equal => Err(format!(
                "`{own}` names its sibling `{other}`: both stand in section `{ours_name}` of lib.rs"
            )),
            std::cmp::Ordering::Greater => Err(format!(
                "`{own}` (section `{ours_name}`) names `{other}` (section `{theirs_name}`), which \
                 stands below it in lib.rs"
            )),
        }
    }
}

/// The path from the crate's root; `None` for one that stays inside the file's inline modules.
fn absolute(module: &[String], inline: &[String], path: &Named) -> Option<Vec<String>> {
    if path.parts.first().is_some_and(|root| root == "crate") {
        return Some(path.parts[1..].to_vec());
    }
    let supers = path
        .parts
        .iter()
        .take_while(|part| *part == "super")
        .count();
    let up = supers.checked_sub(inline.len()).filter(|&up| up > 0)?;
    let base = &module[..module.len().saturating_sub(up)];
    Some([base, &path.parts[supers..]].concat())
}

/// The section comments of lib.rs: `// `, a digit, and words.
struct Sections(Vec<(usize, String)>);

impl Sections {
    fn of(text: &str) -> Sections {
        let named = |line: &str| {
            let name = line.strip_prefix("// ")?;
            name.starts_with(|c: char| c.is_ascii_digit())
                .then(|| name.to_owned())
        };
        let lines = text.lines().enumerate();
        Sections(
            lines
                .filter_map(|(i, line)| Some((i + 1, named(line)?)))
                .collect(),
        )
    }

    /// The number of the section that a line stands in, from 1; 0 above the first.
    fn of_line(&self, line: usize) -> usize {
        self.0.iter().filter(|(start, _)| *start < line).count()
    }

    fn name(&self, number: usize) -> &str {
        let section = number.checked_sub(1).and_then(|i| self.0.get(i));
        section.map_or("none", |(_, name)| name)
    }
}
