//! How is a report told on a terminal?

use std::fmt::Write;

use super::report::{NotCovered, Report, Verdict};

impl Report {
    /// For a terminal: the verdict first, then what it rests on.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "verdict: {}", self.verdict.word())?;
        writeln!(to, "{}\n", self.sentence())?;
        for finding in &self.findings {
            writeln!(
                to,
                "LEAK  {}: {} ({}), byte {} of {}",
                finding.act, finding.canary, finding.encoding, finding.offset, finding.channel
            )?;
        }
        for NotCovered { what, reason, remedy } in &self.not_covered {
            writeln!(to, "not covered: {what}: {reason}\n             {remedy}")?;
        }
        if self.verdict != Verdict::Pass {
            writeln!(to)?;
        }
        writeln!(to, "dcams-gateway  {}, {}", self.version, self.time)?;
        writeln!(to, "configuration  {} ({})", self.configuration.file, self.configuration.digest)?;
        for service in &self.services {
            let how = if service.forwarded { "forwarded" } else { "not forwarded" };
            writeln!(
                to,
                "service        {}: {how}, canaries in {} members",
                service.service,
                service.members.len()
            )?;
        }
        for act in &self.acts {
            let exit = act.exit.map_or("a signal".to_owned(), |code| code.to_string());
            writeln!(
                to,
                "act            {}: {} answers, {} of them forwarded, {} requests reached the double, exit {exit}",
                act.name, act.answers, act.forwarded, act.reached
            )?;
        }
        let met = self.refusals.iter().filter(|refusal| refusal.met > 0).count();
        writeln!(to, "refusals       {met} of {} codes met", self.refusals.len())?;
        for refusal in &self.refusals {
            if let Some(why) = refusal.unreachable {
                writeln!(to, "               {} cannot be met: {why}", refusal.code)?;
            }
        }
        writeln!(to, "faults         {} of the double", self.faults.len())?;
        writeln!(to, "canaries       {} kinds", self.canaries.len())?;
        writeln!(to, "searched       {} bytes in {} channels", self.bytes(), self.channels.len())?;
        let proven = self.encodings.iter().filter(|encoding| encoding.proven).count();
        writeln!(to, "encodings      {}, {proven} of them proven in this run", self.encodings.len())
    }

    /// The verdict in a sentence.
    pub(super) fn sentence(&self) -> String {
        let seconds = self.duration_ms / 1000;
        match self.verdict {
            Verdict::Pass => format!(
                "No canary came out of the gateway where it must not, whatever was done to it ({seconds} s)."
            ),
            Verdict::Incomplete => format!(
                "No canary came out of the gateway where it must not, but {} could not be driven ({seconds} s).",
                counted(self.not_covered.len(), "thing")
            ),
            Verdict::Fail => format!(
                "{} where it must not be ({seconds} s).",
                counted(self.findings.len(), "occurrence of a canary")
            ),
        }
    }

    /// How many bytes were searched.
    pub(super) fn bytes(&self) -> usize {
        self.channels.iter().map(|channel| channel.bytes).sum()
    }
}

fn counted(count: usize, what: &str) -> String {
    match (count, what.split_once(' ')) {
        (1, _) => format!("1 {what}"),
        (count, Some((noun, rest))) => format!("{count} {noun}s {rest}"),
        (count, None) => format!("{count} {what}s"),
    }
}
