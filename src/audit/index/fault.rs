//! Why is there no answer, and what is going on meanwhile?

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum IndexFault {
    /// The log's folder, or a segment of it.
    #[error("{}: {error}", path.display())]
    Log {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The index's file, or its folder.
    #[error("{}: {error}", path.display())]
    Place {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The index is damaged, or is not of this log: making it again helps.
    #[error("the index does not fit the log: {0}")]
    Unfit(&'static str),
    /// SQLite says so.
    #[error("the index cannot be used: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for IndexFault {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};

        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Unfit("it is damaged"),
            // For example a table that is missing.
            Some(Unknown) => Self::Unfit("it is of another form"),
            _ => match error {
                rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                    Self::Unfit("it is damaged")
                }
                error => Self::Sqlite(error),
            },
        }
    }
}

/// What the asker should know while waiting.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// There is no private cache: the index is kept here, and gone after this command.
    Temporary(PathBuf),
    /// It has a segment's name and is no regular file: no part of the log.
    PassedOver(PathBuf),
    /// Another process brings the index up to date.
    Waiting,
    /// The index is made again.
    MadeAgain(&'static str),
    /// Lines are being read.
    Progress(Progress),
    /// Lines are in, and are being sorted.
    Sorting,
    /// Lines that are none of the log's form, or not in their place.
    Unreadable {
        /// How many.
        lines: u64,
        /// The segment of the first.
        segment: String,
        /// Where it begins in that segment, bytes.
        offset: u64,
    },
}

/// How far the reading has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes to be read.
    pub of_bytes: u64,
    /// Since when.
    pub elapsed: Duration,
}
