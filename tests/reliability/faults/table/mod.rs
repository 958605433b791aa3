//! Which faults of the upstream are met, and what are callers told of each?

mod answers;
mod connections;
mod streams;

use dcams_gateway::simulate::Fault;

use super::trial::{Place, Row};

/// The parts of the table, with their titles.
pub fn parts() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("Names", connections::names()),
        ("Connections", connections::connections()),
        ("Certificates", connections::certificates()),
        ("TLS", connections::tls()),
        ("Requests and answers of HTTP/1.1", answers::exchanges()),
        ("Framing of HTTP/1.1", answers::framing()),
        ("What is no answer of DCAMS", answers::contents()),
        ("HTTP/2", streams::streams()),
    ]
}

fn row(name: impl Into<String>, upstream: Place, told: &str) -> Row {
    let of_write = |code: &str| {
        let begun = ["upstream_invalid", "upstream_truncated", "upstream_timeout", "response_withheld"];
        if begun.contains(&code) { format!("{code} unknown") } else { code.to_owned() }
    };
    Row {
        name: name.into(),
        upstream,
        read: told.to_owned(),
        write: told.split(" | ").map(of_write).collect::<Vec<_>>().join(" | "),
        hurried: told.contains("upstream_timeout"),
    }
}

impl Row {
    /// What is told of a write is not what follows from a read.
    fn write(self, told: &str) -> Self {
        Self { write: told.to_owned(), ..self }
    }

    fn hurried(self) -> Self {
        Self { hurried: true, ..self }
    }
}

/// A fault of the double, by HTTP/1.1.
fn double(fault: &str, name: &str, told: &str) -> Row {
    row(format!("{name} (`{fault}`)"), Place::Double(Fault::parse(fault).unwrap()), told)
}

/// A fault of the double, by HTTP/2.
fn double2(fault: &str, name: &str, told: &str) -> Row {
    row(format!("{name} (`{fault}`)"), Place::Double2(Fault::parse(fault).unwrap()), told)
}
