//! [`AuditLog`]: a handler that keeps a log of its own, for what must be seen to have happened.

use std::path::Path;

use crate::dispatch::{BatchHandler, BatchOutcome, Delivery, Handler, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::lines::Lines;

/// A handler that writes each event it gets as one line of JSON, durably, before it acknowledges: into a file
/// of its own, which retention does not touch. Which events those are, its subscription says.
///
/// A line has `seq`, `attempt`, `appended_at` and the fields of the event. After a crash a line may stand
/// there twice, with the same `seq`; what a crash has cut off is ended, and comes again whole.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use forelog::{AuditLog, Event, EventSystem, Subscription};
/// let system = EventSystem::builder().open()?;
/// let types = ["user_login", "permission_change", "api_access"];
/// let audit = AuditLog::open(dir.path().join("audit.jsonl"))?;
/// system.register_handler(Subscription::named("audit").event_types(types), audit)?;
/// system.start()?;
/// system.emit(Event::new("user_login", "web", &"ada")?)?;
/// system.drain(None)?;
/// let lines = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
/// assert!(lines.contains(r#""event_type":"user_login""#));
/// # system.close() }
/// ```
///
/// Registered with [`EventSystem::register_batch_handler`](crate::EventSystem::register_batch_handler), it
/// syncs once for each batch.
#[derive(Debug)]
pub struct AuditLog(Lines);

impl AuditLog {
    /// Opens the file of an audit log, or makes one. Its folder must be there.
    ///
    /// # Errors
    /// If it cannot be opened, or is a symbolic link.
    pub fn open(path: impl AsRef<Path>) -> Result<AuditLog> {
        Lines::open(path.as_ref()).map(AuditLog)
    }

    fn write(&mut self, deliveries: &[Delivery<'_>]) -> Result<()> {
        let mut lines = Vec::new();
        for delivery in deliveries {
            lines.extend(line(delivery)?);
        }
        self.0.append(&lines)
    }
}

/// One event as a line.
fn line(delivery: &Delivery<'_>) -> Result<Vec<u8>> {
    let mut value = serde_json::json!({
        "seq": delivery.seq(),
        "attempt": delivery.attempt(),
        "appended_at": delivery.appended_at(),
    });
    let event = delivery.event().to_json_value();
    if let (Some(fields), serde_json::Value::Object(event)) = (value.as_object_mut(), event) {
        for (name, field) in event {
            fields.entry(name).or_insert(field);
        }
    }
    let mut line = serde_json::to_vec(&value)
        .map_err(|cause| Error::new(ErrorKind::Decode, format!("no JSON of it: {cause}")))?;
    line.push(b'\n');
    Ok(line)
}

fn outcome(written: Result<()>) -> Outcome {
    match written {
        Ok(()) => Outcome::Ack,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

impl Handler for AuditLog {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        outcome(line(delivery).and_then(|line| self.0.append(&line)))
    }
}

impl BatchHandler for AuditLog {
    fn handle(&mut self, deliveries: &[Delivery<'_>]) -> BatchOutcome {
        BatchOutcome::All(outcome(self.write(deliveries)))
    }
}
