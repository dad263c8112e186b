//! `SQLite` (rusqlite, bundled): a table with a rowid, WAL. Durable: `synchronous=FULL`, an fsync of
//! the WAL a transaction; one connection behind a lock, since it has one writer anyway. Buffered:
//! `synchronous=NORMAL`. The WAL has a checksum a page, checked when it is recovered; the database file
//! has none.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::rusqlite::{Connection, Rows};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const NO_CHECKSUM: &str = "no checksum over stored pages";

pub(super) const FACTS: Facts = Facts {
    name: "sqlite",
    origin: Origin::Package("rusqlite"),
    weaker: &[(Group::Read, NO_CHECKSUM)],
    remarks: &[],
    open,
};

const INSERT: &str = "INSERT INTO log (data) VALUES (?1)";

struct Sqlite(Mutex<Connection>);

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let connection = Connection::open(dir.join("log.sqlite"))?;
    let synchronous = match mode {
        Mode::Buffered => "NORMAL",
        Mode::Durable => "FULL",
    };
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    )?;
    Ok(Some(Box::new(Sqlite(Mutex::new(connection)))))
}

impl Sqlite {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Sqlite {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let connection = self.connection();
        let id = connection.prepare_cached(INSERT)?.insert([record.bytes])?;
        Ok(Some(Place(id.unsigned_abs(), 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        self.append(record)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for record in batch.bytes {
            let id = insert.insert([record.as_slice()])?;
            places.push(Place(id.unsigned_abs(), 0));
        }
        drop(insert);
        transaction.commit()?;
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let connection = self.connection();
        let mut select = connection.prepare_cached("SELECT data FROM log ORDER BY id")?;
        let mut rows = select.query([])?;
        while let Some(()) = next(&mut rows, &mut |data| visit(data))? {}
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        let connection = self.connection();
        let mut select = connection.prepare_cached("SELECT data FROM log WHERE id = ?1")?;
        let mut rows = select.query([place.0.cast_signed()])?;
        next(&mut rows, &mut |data| {
            visit(data);
            ControlFlow::Break(())
        })?;
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        let connection = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        connection.close().map_err(|(_, error)| error.into())
    }
}

/// Hands the next row to `visit`; `None` after the last one, or if that breaks.
fn next(rows: &mut Rows<'_>, visit: Visit<'_>) -> anyhow::Result<Option<()>> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let flow = visit(row.get_ref(0)?.as_blob()?);
    Ok(flow.is_continue().then_some(()))
}
