//! What is a filter in the index's terms?

use rusqlite::{Connection, OptionalExtension, params};

use super::super::filter::{Filter, NONE};
use super::fault::IndexFault;
use super::row::{Role, id_part, part};

/// A filter, with names as numbers.
pub(super) struct Selection {
    /// Outcomes are asked for.
    pub(super) outcomes: bool,
    /// Requests are asked for that have none yet.
    pub(super) open: bool,
    /// Intents are asked for, whatever became of them.
    pub(super) intents: bool,
    /// The kinds of other lines that are asked for.
    pub(super) events: Vec<i64>,
    /// On the columns that `request` and `hourly` both have.
    pub(super) dimensions: String,
    /// On ids and fingerprints.
    identity: Option<String>,
    /// The index of `request` that leaves the fewest rows, of those that are in order of time.
    pub(super) by_time: &'static str,
    /// The number that stands for open.
    pub(super) open_number: i64,
    pub(super) since_us: i64,
    pub(super) until_us: i64,
}

impl Selection {
    /// Without kinds, a filter is about requests: what became of them, or that it is not known yet.
    pub(super) fn of(filter: &Filter, connection: &Connection) -> Result<Self, IndexFault> {
        let asked = |kind: &str| filter.kinds.iter().any(|asked| asked == kind);
        let requests = filter.kinds.is_empty();
        let numbers = |role, names: &[String]| numbers(connection, role, names);
        let events: Vec<String> = filter
            .kinds
            .iter()
            .filter(|kind| !["outcome", "intent"].contains(&kind.as_str()))
            .cloned()
            .collect();
        let open_number = numbers(Role::Outcome, &["open".to_owned()])?.first().copied().unwrap_or(-1);
        let (outcomes, open, intents) = (requests || asked("outcome"), requests, asked("intent"));

        let mut conditions = vec!["1".to_owned()];
        // What leaves the fewest comes last, and is used.
        let mut by_time = "request_time";
        for (column, index, role, names) in [
            ("credential", None, Role::Credential, &filter.credentials),
            ("service", Some("request_service"), Role::Service, &filter.services),
            ("caller", Some("request_caller"), Role::Caller, &filter.callers),
            ("outcome", Some("request_outcome"), Role::Outcome, &filter.outcomes),
            ("code", Some("request_code"), Role::Code, &filter.codes),
        ] {
            if !names.is_empty() {
                conditions.push(format!("{column} IN ({})", listed(&numbers(role, names)?)));
                let partial = column == "code" && names.iter().any(|name| name == NONE);
                by_time = index.filter(|_| !partial).unwrap_or(by_time);
            }
        }
        if by_time == "request_code" {
            // The condition under which that index may be used at all.
            conditions.push("code > 0".to_owned());
        }
        if !filter.statuses.is_empty() {
            let ranges = filter.statuses.iter().map(|(from, to)| format!("status BETWEEN {from} AND {to}"));
            conditions.push(format!("({})", ranges.collect::<Vec<_>>().join(" OR ")));
        }
        if outcomes && !open && !intents {
            conditions.push(format!("outcome <> {open_number}"));
        }
        Ok(Self {
            outcomes,
            open,
            intents,
            events: numbers(Role::Kind, &events)?,
            dimensions: conditions.join(" AND "),
            identity: identity(filter),
            by_time,
            open_number,
            since_us: filter.since_us.unwrap_or(i64::MIN),
            until_us: filter.until_us.unwrap_or(i64::MAX),
        })
    }

    /// Whether any line of a request is asked for.
    pub(super) fn is_about_requests(&self) -> bool {
        self.outcomes || self.open || self.intents
    }

    /// The rows of requests that have one of the ids or fingerprints; `None` where none is asked for. `columns` begin
    /// with a comma-separated list that ends each row's identity, so that a row is found once.
    pub(super) fn identified(&self, columns: &str) -> Option<String> {
        let identity = self.identity.as_ref()?;
        let (dimensions, since, until) = (&self.dimensions, self.since_us, self.until_us);
        Some(format!(
            "SELECT {columns} FROM request WHERE seq IN ({identity}) AND {dimensions} \
             AND time >= {since} AND time < {until}"
        ))
    }
}

/// The numbers of the rows that may be of `filter`'s ids and fingerprints: all of their first 8 bytes.
fn identity(filter: &Filter) -> Option<String> {
    let by = |index: &str, column: &str, parts: Vec<i64>| {
        format!("SELECT seq FROM request INDEXED BY {index} WHERE {column} IN ({})", listed(&parts))
    };
    let ids = (!filter.ids.is_empty())
        .then(|| by("request_id", "id", filter.ids.iter().map(|id| id_part(*id)).collect()));
    let of_persons = (!filter.fingerprints.is_empty()).then(|| {
        let parts = || filter.fingerprints.iter().map(part).collect();
        let reference = by("request_reference", "reference", parts());
        format!("{} UNION {reference}", by("request_email", "email", parts()))
    });
    match (ids, of_persons) {
        (Some(ids), Some(of_persons)) => Some(format!("{ids} INTERSECT SELECT * FROM ({of_persons})")),
        (ids, of_persons) => ids.or(of_persons),
    }
}

/// The numbers that stand for `names`. A name that the log does not have is no number of it, and nothing fits.
fn numbers(connection: &Connection, role: Role, names: &[String]) -> Result<Vec<i64>, IndexFault> {
    let mut find = connection.prepare("SELECT id FROM name WHERE role = ?1 AND text = ?2")?;
    let mut number = |name: &String| match name.as_str() {
        NONE => Ok(0),
        name => Ok(find.query_row(params![role as i64, name], |row| row.get(0)).optional()?.unwrap_or(-1)),
    };
    names.iter().map(&mut number).collect()
}

pub(super) fn listed(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
