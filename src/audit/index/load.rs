//! How do rows get into the index?

use std::collections::HashMap;

use rusqlite::{Connection, Statement, params};

use super::fault::IndexFault;
use super::row::{Request, Row, id_part};
use super::scan::{Batch, Reached};
use super::tables::{DIMENSIONS, HOUR_US};

/// An intent whose outcome was not met yet.
pub(super) struct Open {
    pub(super) request: Request,
    /// Whether it has a row.
    pub(super) stored: bool,
}

/// Takes batches in; nothing of it counts before [`Loader::finish`].
pub(super) struct Loader<'c> {
    connection: &'c Connection,
    insert_request: Statement<'c>,
    insert_event: Statement<'c>,
    insert_name: Statement<'c>,
    remove_request: Statement<'c>,
    set_segment: Statement<'c>,
    open: HashMap<u128, Open>,
    hourly: HashMap<(i64, [i64; 7]), i64>,
}

impl<'c> Loader<'c> {
    /// `open` are the intents without outcome that the index holds already.
    pub(super) fn new(connection: &'c Connection, open: HashMap<u128, Open>) -> Result<Self, IndexFault> {
        let request = format!(
            "INSERT INTO request(seq, time, offset, {DIMENSIONS}, id, email, reference, intent_seq, intent_offset) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
        );
        Ok(Self {
            connection,
            insert_request: connection.prepare(&request)?,
            insert_event: connection
                .prepare("INSERT INTO event(seq, time, offset, kind) VALUES(?1, ?2, ?3, ?4)")?,
            insert_name: connection.prepare("INSERT INTO name(id, role, text) VALUES(?1, ?2, ?3)")?,
            remove_request: connection.prepare("DELETE FROM request WHERE seq = ?1")?,
            set_segment: connection.prepare(
                "INSERT OR REPLACE INTO segment(first_seq, bytes, next_seq, last_offset, last_digest) \
                 VALUES(?1, ?2, ?3, ?4, ?5)",
            )?,
            open,
            hourly: HashMap::new(),
        })
    }

    pub(super) fn take(&mut self, batch: &Batch) -> Result<(), IndexFault> {
        for (number, role, text) in &batch.new_names {
            self.insert_name.execute(params![number, *role as i64, text])?;
        }
        for row in &batch.rows {
            match row {
                Row::Outcome(request) => self.outcome(request)?,
                Row::Intent(request) => self.intent(request)?,
                Row::Event { seq, time, offset, kind } => {
                    self.insert_event.execute(params![seq, time, offset, kind])?;
                }
            }
        }
        match &batch.reached {
            Some(reached) => self.reached(reached),
            None => Ok(()),
        }
    }

    fn outcome(&mut self, request: &Request) -> Result<(), IndexFault> {
        let open = request.id.and_then(|id| self.open.remove(&id));
        if let Some(Open { request: intent, stored: true }) = &open {
            self.remove_request.execute([intent.seq])?;
            self.count(intent, -1);
        }
        self.insert(request, open.map(|open| open.request))
    }

    fn intent(&mut self, request: &Request) -> Result<(), IndexFault> {
        let Some(id) = request.id else { return self.insert(request, None) };
        match self.open.insert(id, Open { request: *request, stored: false }) {
            // Two intents of one id are no work of the gateway's: both stay to be seen.
            Some(Open { request: before, stored: false }) => self.insert(&before, None),
            _ => Ok(()),
        }
    }

    fn insert(&mut self, request: &Request, intent: Option<Request>) -> Result<(), IndexFault> {
        let [caller, service, outcome, code, status, credential, key] = request.dimensions;
        self.insert_request.execute(params![
            request.seq,
            request.time,
            request.offset,
            caller,
            service,
            outcome,
            code,
            status,
            credential,
            key,
            request.id.map(id_part),
            request.email,
            request.reference,
            intent.map(|intent| intent.seq),
            intent.map(|intent| intent.offset),
        ])?;
        self.count(request, 1);
        Ok(())
    }

    fn count(&mut self, request: &Request, more: i64) {
        *self.hourly.entry((request.time / HOUR_US, request.dimensions)).or_default() += more;
    }

    fn reached(&mut self, reached: &Reached) -> Result<(), IndexFault> {
        let stored = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.set_segment.execute(params![
            stored(reached.first_seq),
            stored(reached.bytes),
            stored(reached.next_seq),
            stored(reached.last_offset),
            reached.last_digest,
        ])?;
        Ok(())
    }

    /// Writes what was held back: intents that are still open, and the counts.
    pub(super) fn finish(mut self) -> Result<(), IndexFault> {
        let mut open: Vec<Request> =
            self.open.drain().filter(|(_, open)| !open.stored).map(|(_, open)| open.request).collect();
        open.sort_unstable_by_key(|request| request.seq);
        for request in &open {
            self.insert(request, None)?;
        }
        let count = format!(
            "INSERT INTO hourly(hour, {DIMENSIONS}, count) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT DO UPDATE SET count = count + excluded.count"
        );
        let mut count = self.connection.prepare(&count)?;
        let mut hourly: Vec<_> = self.hourly.drain().collect();
        hourly.sort_unstable();
        for ((hour, [caller, service, outcome, code, status, credential, key]), more) in hourly {
            count.execute(params![hour, caller, service, outcome, code, status, credential, key, more])?;
        }
        self.connection.execute("DELETE FROM hourly WHERE count <= 0", [])?;
        Ok(())
    }
}
