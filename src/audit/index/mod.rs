//! Where in ten million lines does the answer stand?
//!
//! An index in SQLite, kept by who asks and not beside the log, where it would be believed with the evidence. It is
//! never the record: it can be deleted at any time, is brought up to date before each question, made again where it
//! does not fit the log, and every line that is shown is read back from its segment and judged once more.

mod count;
mod current;
mod fault;
mod list;
mod load;
mod place;
mod read_back;
mod row;
mod scan;
mod select;
mod tables;

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;

pub use self::count::{Counted, Group};
pub use self::fault::{IndexFault, Notice, Progress};
pub use self::list::{Found, Order};
pub use self::row::Role;

use self::place::Place;
use super::filter::Filter;
use super::regular::regular;
use super::segments::{Segment, Segments};

/// A log's index, up to date with what the log held when it was opened.
pub struct Index {
    connection: Connection,
    segments: Vec<Segment>,
    // Removed after the connection to it.
    place: Place,
}

/// What an index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Requests.
    pub requests: u64,
    /// Lines that are not about requests.
    pub events: u64,
    /// Of its file.
    pub bytes: u64,
}

impl Index {
    /// Opens the index of the log in `folder`, which is `file`, or else one in the user's private cache, or, where
    /// there is none, in a folder that is gone afterwards. It is brought up to date, or made again where it does not
    /// fit, or others than this user could have written it. Waits for another process that does so. `notify` is told
    /// what takes time.
    ///
    /// # Errors
    ///
    /// The log cannot be read, holds no segment, or the index cannot be written.
    pub fn open(
        folder: &Path,
        file: Option<&Path>,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Self, IndexFault> {
        Self::open_or_make(folder, file, false, notify)
    }

    /// As [`Self::open`], but the index is made again in any case.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn make(
        folder: &Path,
        file: Option<&Path>,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Self, IndexFault> {
        Self::open_or_make(folder, file, true, notify)
    }

    fn open_or_make(
        folder: &Path,
        file: Option<&Path>,
        again: bool,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Self, IndexFault> {
        let unreadable = |error| IndexFault::Log { path: folder.to_owned(), error };
        let listed = |pass_over: &mut dyn FnMut(&Segment)| {
            let segments = regular(&Segments::open(folder).map_err(unreadable)?, pass_over);
            some_segment(&segments).map_err(unreadable).map(|()| segments)
        };
        let chain = current::chain(&listed(&mut |other| notify(Notice::PassedOver(other.path.clone())))?);
        let place = Place::choose(folder, &chain, file, notify)?;
        place.lock(notify)?;
        // Listed after the wait: another process may have indexed what was written meanwhile.
        let segments = listed(&mut |_| {})?;
        let connection = current::open_current(&place, &segments, again, notify)?;
        place.unlock();
        Ok(Self { connection, segments, place })
    }

    /// Shows the lines that `filter` asks for in order of their time, at most `limit`, until `show` breaks off; how
    /// many were shown.
    ///
    /// # Errors
    ///
    /// [`IndexFault::Unfit`], where a line is not what was indexed.
    pub fn list(
        &self,
        filter: &Filter,
        order: Order,
        limit: u64,
        show: &mut dyn FnMut(&Found<'_>) -> ControlFlow<()>,
    ) -> Result<u64, IndexFault> {
        list::list(&self.connection, &self.segments, filter, order, limit, show)
    }

    /// Counts what `filter` asks for, apart by `by`: one number where that is empty.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub fn count(&self, filter: &Filter, by: &[Group]) -> Result<Vec<Counted>, IndexFault> {
        count::count(&self.connection, &self.segments, filter, by)
    }

    /// The names that the log has for `role`, in the order of the alphabet.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub fn names(&self, role: Role) -> Result<Vec<String>, IndexFault> {
        let mut names = self.connection.prepare("SELECT text FROM name WHERE role = ?1 ORDER BY text")?;
        let names = names.query_map([role as i64], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// How many requests have a fingerprint that was made with the key `key`.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub fn requests_with_key(&self, key: &str) -> Result<u64, IndexFault> {
        let sql = "SELECT coalesce(sum(count), 0) FROM hourly WHERE fingerprint_key = \
                   (SELECT id FROM name WHERE role = ?1 AND text = ?2)";
        let stored = rusqlite::params![Role::FingerprintKey as i64, key];
        Ok(self.connection.query_row(sql, stored, |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// What it holds.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub fn size(&self) -> Result<Size, IndexFault> {
        let rows = |table: &str| -> Result<u64, IndexFault> {
            let sql = format!("SELECT count(*) FROM {table}");
            Ok(self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
        };
        let metadata = std::fs::metadata(self.path())
            .map_err(|error| IndexFault::Place { path: self.path().to_owned(), error })?;
        Ok(Size { requests: rows("request")?, events: rows("event")?, bytes: metadata.len() })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }
}

fn some_segment(segments: &[Segment]) -> io::Result<()> {
    if segments.is_empty() {
        let problem = "no audit-….jsonl stands here: name the folder of `audit.output`";
        return Err(io::Error::new(ErrorKind::NotFound, problem));
    }
    Ok(())
}
