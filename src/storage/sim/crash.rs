//! [`Crash`]: when a crash came, and after which others.

use std::fmt;
use std::sync::Arc;

use super::faults::OpKind;
use super::world::{Origin, World};

/// When and after what a crash came.
#[derive(Debug, Clone)]
pub(super) struct Crash {
    pub(super) op_count: u64,
    last_op: Option<OpKind>,
    before: Option<Arc<dyn Origin>>,
}

impl Crash {
    pub(super) fn of(world: &World) -> Self {
        Crash {
            op_count: world.faults.op_count,
            last_op: world.faults.last_op,
            before: world.origin.clone(),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(before) = &self.before {
            writeln!(f, "{before}")?;
        }
        write!(f, "operation {}", self.op_count)?;
        match self.last_op {
            Some(op) => write!(f, " ({op:?})"),
            None => Ok(()),
        }
    }
}

/// A crash of the process: it keeps all that was published or named.
#[derive(Debug)]
pub(super) struct ProcessCrash(pub(super) Crash);

impl fmt::Display for ProcessCrash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: process crash", self.0)
    }
}

impl Origin for ProcessCrash {}
