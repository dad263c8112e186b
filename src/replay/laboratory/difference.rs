//! [`Difference`]: where two values differ.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::event::to_value;

/// The longest text of a value that is shown, in characters.
const SHOWN_MAX: usize = 60;

/// One place at which two values differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The place, as a JSON pointer (RFC 6901) such as `/FRID/quantity`; empty for the value as a whole.
    pub path: String,
    /// What stands there of the live one; `None` if nothing does.
    pub live: Option<Value>,
    /// What stands there of the shadow; `None` if nothing does.
    pub shadow: Option<Value>,
}

/// Differences: all are counted, and the first ones listed.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) count: u64,
    pub(super) listed: Vec<Difference>,
    listed_max: usize,
}

impl Differences {
    /// The differences between two values; so many are listed at most.
    pub(super) fn between(live: &Value, shadow: &Value, listed_max: usize) -> Self {
        let mut found = Differences {
            listed_max,
            ..Differences::default()
        };
        found.compare(&mut String::new(), Some(live), Some(shadow));
        found
    }

    /// Compares what stands at a path. Values come out of `MessagePack`, which bounds how deep they nest.
    fn compare(&mut self, path: &mut String, live: Option<&Value>, shadow: Option<&Value>) {
        match (live, shadow) {
            (Some(Value::Object(live)), Some(Value::Object(shadow))) => {
                for (key, value) in live {
                    self.below(path, key, Some(value), shadow.get(key));
                }
                for (key, value) in shadow.iter().filter(|(key, _)| !live.contains_key(*key)) {
                    self.below(path, key, None, Some(value));
                }
            }
            (Some(Value::Array(live)), Some(Value::Array(shadow))) => {
                for place in 0..live.len().max(shadow.len()) {
                    self.below(path, &place.to_string(), live.get(place), shadow.get(place));
                }
            }
            (live, shadow) if live == shadow => {}
            (live, shadow) => self.note(path, live, shadow),
        }
    }

    fn below(
        &mut self,
        path: &mut String,
        key: &str,
        live: Option<&Value>,
        shadow: Option<&Value>,
    ) {
        let len = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        self.compare(path, live, shadow);
        path.truncate(len);
    }

    fn note(&mut self, path: &str, live: Option<&Value>, shadow: Option<&Value>) {
        self.count += 1;
        if self.listed.len() < self.listed_max {
            self.listed.push(Difference {
                path: path.to_owned(),
                live: live.cloned(),
                shadow: shadow.cloned(),
            });
        }
    }
}

/// A state as a value: by way of what a snapshot of it would hold, so that everything that can be saved
/// can be compared.
///
/// # Errors
/// [`Decode`](ErrorKind::Decode) if it does not serialize, or nests too deep.
pub(super) fn value_of<S: Serialize>(name: &str, state: &S) -> Result<Value> {
    let bytes = rmp_serde::to_vec_named(state).map_err(|source| {
        let message = format!("the state of projection {name:?} does not serialize: {source}");
        Error::new(ErrorKind::Decode, message).caused_by(source)
    })?;
    to_value(&bytes)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "(all)"
        } else {
            &self.path
        };
        let (live, shadow) = (shown(self.live.as_ref()), shown(self.shadow.as_ref()));
        write!(f, "{path}: {live} -> {shadow}")
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "(nothing)".to_owned();
    };
    let text = value.to_string();
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    let start: String = text.chars().take(SHOWN_MAX).collect();
    format!("{start}…")
}
