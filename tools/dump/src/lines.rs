//! [`Lines`]: records, one a line.

use forelog::inspect::{Inspector, LoggedEvent, SegmentState};

use crate::format::Format;
use crate::text::{clean, counted};
use crate::{Fault, Output};

/// The columns of the CSV form; those of time are RFC 3339, those of headers and data are JSON.
const CSV_COLUMNS: [&str; 8] = [
    "seq",
    "event_id",
    "event_type",
    "source",
    "timestamp",
    "appended_at",
    "headers",
    "data",
];

/// Prints records, in columns, as JSON or as CSV.
pub(crate) struct Lines<'a> {
    format: Format,
    out: Output<'a>,
    count: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn begin(
        inspector: &Inspector,
        format: Format,
        out: Output<'a>,
    ) -> Result<Self, Fault> {
        match format {
            Format::Json => {}
            Format::Csv => csv_line(out, CSV_COLUMNS)?,
            Format::Table => begin_table(inspector, out)?,
        }
        Ok(Lines {
            format,
            out,
            count: 0,
        })
    }

    pub(crate) fn record(&mut self, record: &LoggedEvent) -> Result<(), Fault> {
        self.count = self.count.saturating_add(1);
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut *self.out, record)?;
                writeln!(self.out)?;
                Ok(())
            }
            Format::Csv => csv_record(self.out, record),
            Format::Table => self.row(record),
        }
    }

    fn row(&mut self, record: &LoggedEvent) -> Result<(), Fault> {
        let event = record.view()?;
        writeln!(
            self.out,
            "{:>10}  {:<30}  {:<24}  {:<16}  {}",
            event.seq(),
            event.timestamp().to_string(),
            clean(event.event_type()),
            clean(event.source()),
            clean(&data_of(record)),
        )?;
        Ok(())
    }

    /// How many records there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Shows at once what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        Ok(self.out.flush()?)
    }

    pub(crate) fn end(self, torn_bytes: u64) -> Result<(), Fault> {
        if self.format == Format::Table {
            write!(self.out, "# {}", counted(self.count, "event"))?;
            if torn_bytes > 0 {
                write!(self.out, "; a torn tail of {}", counted(torn_bytes, "byte"))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }
}

fn begin_table(inspector: &Inspector, out: Output<'_>) -> Result<(), Fault> {
    let segments = inspector.segments()?;
    let held = |state| matches!(state, SegmentState::Sealed | SegmentState::Active);
    let held = segments
        .iter()
        .filter(|segment| held(segment.state))
        .count();
    write!(out, "# {}", counted(held as u64, "segment"))?;
    if let Some(writer) = inspector.writer() {
        write!(out, ", in use by {writer}")?;
    }
    writeln!(out)?;
    let (seq, timestamp) = ("seq", "timestamp");
    let (event_type, source) = ("type", "source");
    writeln!(
        out,
        "{seq:>10}  {timestamp:<30}  {event_type:<24}  {source:<16}  data"
    )?;
    Ok(())
}

fn csv_record(out: Output<'_>, record: &LoggedEvent) -> Result<(), Fault> {
    let event = record.view()?;
    let fields = [
        event.seq().to_string(),
        event.event_id().to_string(),
        event.event_type().to_owned(),
        event.source().to_owned(),
        event.timestamp().to_string(),
        event.appended_at().to_string(),
        match event.headers().next() {
            None => String::new(),
            Some(_) => event.headers().to_json_value().to_string(),
        },
        data_of(record),
    ];
    csv_line(out, fields)
}

/// A line of comma-separated values.
pub(crate) fn csv_line<F: AsRef<[u8]>>(
    out: Output<'_>,
    fields: impl IntoIterator<Item = F>,
) -> Result<(), Fault> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(fields)?;
    let bytes = line
        .into_inner()
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(out.write_all(&bytes)?)
}

/// The data as JSON, or why it cannot be shown.
pub(crate) fn data_of(record: &LoggedEvent) -> String {
    match record.data_json() {
        Ok(data) => data.to_string(),
        Err(error) => format!("({})", error.message()),
    }
}
