//! [`Format`]: how a command shows what it finds.

/// How the data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// A JSON object a line
    Json,
    /// Comma-separated values, with a line of names
    Csv,
}

impl Format {
    /// JSON if that is asked for, or else the other.
    pub(crate) fn of(json: bool, other: Format) -> Format {
        if json { Format::Json } else { other }
    }
}
