//! The manual names tests that show its promises: each of them is there.

use super::tree::{Finding, Tree};

const PAGES: [&str; 2] = ["src/manual/durability.md", "src/manual/delivery.md"];
const HEADING: &str = "## Which test shows it";

/// Every test or module of tests that the pages name and that no file has.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    PAGES.iter().flat_map(|page| of_page(tree, page)).collect()
}

fn of_page(tree: &Tree, path: &str) -> Vec<Finding> {
    let Some(page) = tree.get(path) else {
        return Vec::new();
    };
    let lines = (1..).zip(page.text.lines());
    let table = lines
        .skip_while(|(_, line)| *line != HEADING)
        .filter(|(_, line)| is_row(line));
    let names = table.flat_map(|(number, line)| named(line).map(move |name| (number, name)));
    names
        .filter(|(_, name)| !exists(tree, name))
        .map(|(number, name)| Finding::new(path, number, format!("there is no test {name}")))
        .collect()
}

fn is_row(line: &str) -> bool {
    line.starts_with('|') && !line.starts_with("| ---") && !line.starts_with("| fault |")
}

/// What stands in backticks in the last column.
fn named(row: &str) -> impl Iterator<Item = &str> {
    let last = row
        .trim_end_matches('|')
        .rsplit('|')
        .next()
        .unwrap_or_default();
    last.split('`').skip(1).step_by(2)
}

/// Whether some file has the function, or the last part of the path is a module.
fn exists(tree: &Tree, name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    let (function, module) = (format!("fn {last}("), format!("mod {last};"));
    tree.rust()
        .any(|(_, file)| file.text.contains(&function) || file.text.contains(&module))
}
