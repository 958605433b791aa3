//! How is a line of the log shown?

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ValueEnum;

use super::printable::{csv_field, members, printable, printable_json};
use super::{Exit, tell};
use crate::audit::{Counted, Entry, Found, Group};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Aligned columns, to be read
    Table,
    /// The lines as they stand in the log, or one object for each count
    Json,
    /// RFC 4180, safe to open in a spreadsheet
    Csv,
}

/// Members that every line has, or that have a column.
const COMMON: [&str; 6] = ["seq", "v", "kind", "time", "mac", "signature"];

const CSV_COLUMNS: &str = "seq,time,kind,id,caller,service,outcome,code,status,credential,credential_reflected,\
                           upstream_status,upstream_result,outcome_unknown,total_us";

/// Rows on standard output.
pub(super) struct Rows {
    output: BufWriter<StdoutLock<'static>>,
    form: Form,
    colours: bool,
    begun: bool,
}

impl Rows {
    pub(super) fn new(form: Form) -> Self {
        let stdout = io::stdout();
        let colours = stdout.is_terminal() && colours_wanted();
        Self { output: BufWriter::with_capacity(1 << 16, stdout.lock()), form, colours, begun: false }
    }

    /// Whether anything was shown.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// A line that an index found.
    pub(super) fn found(&mut self, found: &Found<'_>) -> io::Result<()> {
        self.row(&found.entry, found.line, found.open)
    }

    /// Any line.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        match Entry::read(line) {
            Some(entry) => self.row(&entry, line, false),
            None => self.text(&format!("? {}", printable_json(line))),
        }
    }

    fn row(&mut self, entry: &Entry<'_>, line: &[u8], open: bool) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) && self.form == Form::Csv {
            writeln!(self.output, "{CSV_COLUMNS}")?;
        }
        let text = match self.form {
            Form::Table => text(entry, line, open, self.colours),
            Form::Json => printable_json(line),
            Form::Csv => csv(entry, open),
        };
        self.text(&text)
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.begun = true;
        writeln!(self.output, "{text}")
    }

    /// How many there are, apart by `by`.
    pub(super) fn counts(&mut self, by: &[Group], counts: &[Counted]) -> io::Result<()> {
        self.begun = true;
        let names = || by.iter().map(|group| group.name());
        match self.form {
            Form::Json => {
                for (values, count) in counts {
                    let mut object: serde_json::Map<_, _> = names()
                        .zip(values)
                        .map(|(name, value)| (name.to_owned(), value.as_str().into()))
                        .collect();
                    object.insert("count".to_owned(), (*count).into());
                    let text = serde_json::Value::Object(object).to_string();
                    writeln!(self.output, "{}", printable_json(text.as_bytes()))?;
                }
            }
            Form::Csv => {
                writeln!(self.output, "{}", names().chain(["count"]).collect::<Vec<_>>().join(","))?;
                for (values, count) in counts {
                    let fields = values.iter().map(|value| csv_field(value)).chain([count.to_string()]);
                    writeln!(self.output, "{}", fields.collect::<Vec<_>>().join(","))?;
                }
            }
            Form::Table if by.is_empty() => {
                let total: u64 = counts.iter().map(|(_, count)| count).sum();
                writeln!(self.output, "{total}")?;
            }
            Form::Table => self.count_table(&names().collect::<Vec<_>>(), counts)?,
        }
        Ok(())
    }

    fn count_table(&mut self, names: &[&str], counts: &[Counted]) -> io::Result<()> {
        let width = |(column, name): (usize, &&str)| {
            let values = counts.iter().filter_map(|(values, _)| values.get(column));
            values.map(|value| printable(value).chars().count()).max().unwrap_or(0).max(name.len())
        };
        let widths: Vec<usize> = names.iter().enumerate().map(width).collect();
        let last =
            counts.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or(0).max("COUNT".len());
        for (name, width) in names.iter().zip(&widths) {
            write!(self.output, "{:width$}  ", name.to_uppercase())?;
        }
        writeln!(self.output, "{:>last$}", "COUNT")?;
        for (values, count) in counts {
            for (value, width) in values.iter().zip(&widths) {
                write!(self.output, "{:width$}  ", printable(value))?;
            }
            writeln!(self.output, "{count:>last$}")?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Ends as `written` did. A reader that has seen enough, as `head` does, is no failure.
    pub(super) fn end(mut self, written: io::Result<()>) -> Exit {
        match written.and_then(|()| self.output.flush()) {
            Ok(()) => Exit::Ok,
            Err(error) => {
                // Else the buffer would be written again on drop.
                let _ = self.output.into_parts();
                match error.kind() {
                    io::ErrorKind::BrokenPipe => Exit::Ok,
                    _ => {
                        tell(&format!("standard output: {error}"));
                        Exit::Io
                    }
                }
            }
        }
    }
}

/// <https://no-color.org>: any value that is not empty.
fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    !set("NO_COLOR") && !dumb
}

fn text(entry: &Entry<'_>, line: &[u8], open: bool, colours: bool) -> String {
    let time = printable(entry.time.unwrap_or("-"));
    let outcome = match (entry.kind, open) {
        ("outcome", _) => entry.outcome.unwrap_or("-"),
        ("intent", true) => "open",
        ("intent", false) => "intent",
        (kind, _) => {
            let shown = coloured(kind, &format!("{:<12}", printable(kind)), colours);
            return format!("{time:27}  {shown}  {}", members(line, &COMMON));
        }
    };
    let or_dash = |text: Option<&str>| printable(text.unwrap_or("-")).into_owned();
    let how = match (entry.code, outcome) {
        (Some(code), "refused") => code,
        (_, outcome) => outcome,
    };
    let status = entry.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let took = entry.us.map_or_else(|| "-".to_owned(), |us| format!("{} ms", us.total.div_ceil(1000)));
    let upstream = entry.upstream.unwrap_or_default();
    let mut notes = String::new();
    for (applies, note) in [
        (upstream.outcome_unknown, "  WRITE MAY HAVE HAPPENED"),
        (upstream.credential_reflected, "  PASSWORD IN ANSWER"),
    ] {
        notes.push_str(if applies { note } else { "" });
    }
    let judged = coloured(outcome, &format!("{:<22} {status:>3}", printable(how)), colours);
    format!(
        "{time:27}  {:<12}  {:<22}  {judged}  {took:>9}  {}{notes}",
        or_dash(entry.caller),
        or_dash(entry.service),
        or_dash(entry.id),
    )
}

/// `text` in the colour of what it says.
fn coloured(what: &str, text: &str, colours: bool) -> String {
    let colour = match what {
        "forwarded" => "32",
        "refused" | "abandoned" | "truncated" => "33",
        "unknown" | "not_sent" | "open" | "fault" | "loss" => "31",
        _ => "2",
    };
    if colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn csv(entry: &Entry<'_>, open: bool) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let flag = |flag: bool| if flag { "true" } else { "" }.to_owned();
    let upstream = entry.upstream.unwrap_or_default();
    let text = |text: Option<&str>| csv_field(text.unwrap_or_default());
    [
        entry.seq.to_string(),
        text(entry.time),
        csv_field(entry.kind),
        text(entry.id),
        text(entry.caller),
        text(entry.service),
        text(entry.outcome.or(open.then_some("open"))),
        text(entry.code),
        number(entry.status.map(u64::from)),
        text(entry.credential.map(|credential| credential.0)),
        flag(upstream.credential_reflected),
        number(upstream.status.map(u64::from)),
        text(upstream.result),
        flag(upstream.outcome_unknown),
        number(entry.us.map(|us| us.total)),
    ]
    .join(",")
}
