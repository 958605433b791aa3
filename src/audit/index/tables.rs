//! How is the index laid out?
//!
//! One row for each request: that of its outcome line, or, while it has none, of its intent. The intent of a request
//! that has an outcome is a column of that row. Names are numbers (table `name`; 0: none). Of ids and fingerprints
//! the first 8 bytes are kept, which halves the largest columns; the line itself decides. `hourly` counts requests by
//! everything that has few values, so that counting ten million of them reads some thousand rows.

/// Grows with any change below or of what the rows mean: an index of another format is made again.
pub(super) const FORMAT: i64 = 1;

/// What is counted by the hour. In this order in [`Row`](super::row::Row) and in every statement.
pub(super) const DIMENSIONS: &str = "caller, service, outcome, code, status, credential, fingerprint_key";

pub(super) const HOUR_US: i64 = 3_600_000_000;

pub(super) const TABLES: &str = "
CREATE TABLE log(format INTEGER NOT NULL, chain TEXT NOT NULL);
CREATE TABLE segment(
    first_seq INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, next_seq INTEGER NOT NULL,
    last_offset INTEGER NOT NULL, last_digest BLOB NOT NULL);
CREATE TABLE name(id INTEGER PRIMARY KEY, role INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE(role, text));
CREATE TABLE request(
    seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, offset INTEGER NOT NULL,
    caller INTEGER NOT NULL, service INTEGER NOT NULL, outcome INTEGER NOT NULL, code INTEGER NOT NULL,
    status INTEGER NOT NULL, credential INTEGER NOT NULL, fingerprint_key INTEGER NOT NULL,
    id INTEGER, email INTEGER, reference INTEGER, intent_seq INTEGER, intent_offset INTEGER);
CREATE TABLE event(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, offset INTEGER NOT NULL, kind INTEGER NOT NULL);
CREATE TABLE hourly(
    hour INTEGER NOT NULL,
    caller INTEGER NOT NULL, service INTEGER NOT NULL, outcome INTEGER NOT NULL, code INTEGER NOT NULL,
    status INTEGER NOT NULL, credential INTEGER NOT NULL, fingerprint_key INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY(hour, caller, service, outcome, code, status, credential, fingerprint_key)) WITHOUT ROWID;
";

/// Made after a bulk load, which sorts once instead of keeping each in order row by row.
pub(super) const INDICES: [&str; 9] = [
    "CREATE INDEX request_time ON request(time)",
    "CREATE INDEX request_caller ON request(caller, time)",
    "CREATE INDEX request_service ON request(service, time)",
    "CREATE INDEX request_outcome ON request(outcome, time)",
    "CREATE INDEX request_code ON request(code, time) WHERE code > 0",
    "CREATE INDEX request_id ON request(id) WHERE id IS NOT NULL",
    "CREATE INDEX request_email ON request(email) WHERE email IS NOT NULL",
    "CREATE INDEX request_reference ON request(reference) WHERE reference IS NOT NULL",
    "CREATE INDEX event_kind ON event(kind, time)",
];
