//! The paths that code names: `crate::a::b`, `super::c`, and what stands in the braces of a `use`.

use super::lexer::{Kind, Token, reads};

/// One path, its group taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// All parts, the root (`crate`, `super`, `std`, …) first.
    pub(crate) parts: Vec<String>,
    pub(crate) line: usize,
    /// The index of the root's token.
    pub(crate) at: usize,
    /// The name that `as` gives to it.
    pub(crate) alias: Option<String>,
}

/// All paths outside of tests that start with one of `roots`.
pub(crate) fn named(tokens: &[Token], roots: &[&str]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = !tokens[at].test
            && roots.iter().any(|root| tokens[at].is(root))
            && reads(tokens, at + 1, &["::"])
            && !(at > 0 && tokens[at - 1].is("::"));
        if starts {
            let mut walk = Walk {
                tokens,
                root: at,
                found: &mut found,
            };
            at = walk.path(at, &[]);
        } else {
            at += 1;
        }
    }
    found
}

struct Walk<'a> {
    tokens: &'a [Token],
    root: usize,
    found: &'a mut Vec<Named>,
}

impl Walk<'_> {
    /// Takes the path whose next part stands at `at`; returns the index behind it.
    fn path(&mut self, mut at: usize, before: &[String]) -> usize {
        let mut parts = before.to_vec();
        let line = self.tokens.get(at).map_or(0, |t| t.line);
        while let Some(token) = self.tokens.get(at) {
            if token.is("{") {
                return self.group(at + 1, &parts);
            }
            if !token.is("*") && token.kind != Kind::Word {
                break;
            }
            parts.push(token.text.clone());
            at += 1;
            if !reads(self.tokens, at, &["::"]) {
                break;
            }
            at += 1;
        }
        // `a::{self}` names `a`; `self::x` keeps its root.
        if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
            parts.pop();
        }
        let renamed = self.tokens.get(at).is_some_and(|t| t.is("as"));
        let alias = self.tokens.get(at + 1).filter(|_| renamed);
        let alias = alias.map(|t| t.text.clone());
        let root = self.root;
        self.found.push(Named {
            parts,
            line,
            at: root,
            alias,
        });
        at
    }

    fn group(&mut self, mut at: usize, before: &[String]) -> usize {
        while let Some(token) = self.tokens.get(at) {
            if token.is("}") {
                return at + 1;
            }
            if token.kind == Kind::Word || token.is("*") || token.is("{") {
                at = self.path(at, before);
                if reads(self.tokens, at, &["as"]) {
                    at += 2;
                }
            } else {
                at += 1;
            }
        }
        at
    }
}
