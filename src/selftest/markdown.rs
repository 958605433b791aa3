//! How is a report attached to a review?

use std::fmt::Write;

use super::canary::Allowed;
use super::report::{ChannelState, Report};

impl Report {
    /// Markdown, whole: everything that the JSON form has.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_markdown(&mut text);
        text
    }

    fn write_markdown(&self, to: &mut String) -> std::fmt::Result {
        writeln!(
            to,
            "# Redaction self test of dcams-gateway: {}\n\n{}\n",
            self.verdict.word(),
            self.sentence()
        )?;
        rows(
            to,
            ["", ""],
            [
                ["dcams-gateway".to_owned(), self.version.to_owned()],
                ["begun".to_owned(), self.time.clone()],
                ["configuration".to_owned(), code(&self.configuration.file)],
                ["its digest (SHA-256)".to_owned(), code(&self.configuration.digest)],
                ["searched".to_owned(), self.searched_in_words()],
            ],
        )?;
        self.findings(to)?;
        self.driven(to)?;
        self.searched(to)
    }

    fn findings(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "## Findings\n")?;
        if self.findings.is_empty() {
            writeln!(to, "None.\n")?;
        } else {
            let each = self.findings.iter().map(|found| {
                [
                    found.act.to_owned(),
                    found.channel.clone(),
                    found.canary.clone(),
                    found.encoding.clone(),
                    found.offset.to_string(),
                ]
            });
            rows(to, ["act", "channel", "canary", "encoding", "at byte"], each)?;
        }
        writeln!(to, "## Not covered\n")?;
        if self.not_covered.is_empty() {
            return writeln!(to, "Nothing.\n");
        }
        let each = self.not_covered.iter();
        rows(
            to,
            ["what", "why", "remedy"],
            each.map(|it| [it.what.clone(), it.reason.clone(), it.remedy.clone()]),
        )
    }

    fn driven(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "## What was driven\n\nEach act has a process of the gateway of its own.\n")?;
        let each = self.acts.iter().map(|act| {
            let exit = act.exit.map_or("a signal".to_owned(), |code| code.to_string());
            [
                act.name.to_owned(),
                act.answers.to_string(),
                act.forwarded.to_string(),
                act.reached.to_string(),
                act.unrecorded.to_string(),
                exit,
            ]
        });
        rows(
            to,
            ["act", "answers", "forwarded", "reached the double", "without a record to search", "exit"],
            each,
        )?;
        let digest = |service: &str| {
            let schema = self.schemas.iter().find(|schema| schema.service == service);
            schema.map_or_else(String::new, |schema| code(&schema.digest))
        };
        let each = self.services.iter().map(|service| {
            let forwarded = if service.forwarded { "yes" } else { "no" };
            let members: Vec<String> = service.members.iter().map(|member| code(member)).collect();
            [service.service.clone(), forwarded.to_owned(), members.join(" "), digest(&service.service)]
        });
        rows(to, ["service", "forwarded", "members with canaries", "schema (SHA-256)"], each)?;
        let each = self.refusals.iter().map(|refusal| {
            let met = match refusal.unreachable {
                Some(why) if refusal.met == 0 => format!("cannot be met: {why}"),
                _ => refusal.met.to_string(),
            };
            [code(refusal.code), met]
        });
        rows(to, ["refusal", "met"], each)?;
        let each = self.faults.iter().map(|fault| [code(&fault.fault), fault.requests.to_string()]);
        rows(to, ["fault of the double", "requests"], each)?;
        writeln!(to, "## What was replaced in the configuration\n")?;
        rows(to, ["keys", "by"], self.replaced.iter().map(|it| [code(it.keys), it.by.to_owned()]))
    }

    fn searched(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "## What was searched\n")?;
        let each = self.channels.iter().map(|it| {
            let bytes = match it.state {
                ChannelState::Searched => it.bytes.to_string(),
                ChannelState::Empty => "empty".to_owned(),
                ChannelState::Missing => "MISSING".to_owned(),
            };
            [it.act.to_owned(), it.channel.clone(), bytes]
        });
        rows(to, ["act", "channel", "bytes"], each)?;
        writeln!(to, "## What was looked for\n\nEach canary is random and of this run alone.\n")?;
        let each = self.canaries.iter().map(|canary| {
            let allowed = match canary.allowed {
                Allowed::Nowhere => "nowhere",
                Allowed::ForwardedBodies => "bodies of DCAMS's own answers to callers",
                Allowed::Heads => "heads of answers to callers",
            };
            [canary.kind.clone(), canary.bytes.to_string(), allowed.to_owned()]
        });
        rows(to, ["canary", "bytes", "may come out in"], each)?;
        writeln!(
            to,
            "## In which encodings\n\nBefore the search was believed, a control text was planted in each and had to be \
             found. Compression, encryption and digests are not seen through.\n"
        )?;
        let each = self
            .encodings
            .iter()
            .map(|it| [it.encoding.to_owned(), if it.proven { "yes" } else { "NO" }.to_owned()]);
        rows(to, ["encoding", "proven"], each)
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn rows<const N: usize>(
    to: &mut String,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> std::fmt::Result {
    writeln!(to, "| {} |\n|{}", head.join(" | "), "---|".repeat(N))?;
    for row in rows {
        // A bar would end the cell.
        writeln!(to, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "))?;
    }
    writeln!(to)
}
