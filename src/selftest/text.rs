//! How is a report told on a terminal?

use std::collections::BTreeMap;
use std::fmt::Write;

use super::report::{ChannelState, NotCovered, Report, Verdict};

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
                "act            {}: {}, {} of them forwarded, {} reached the double, exit {exit}",
                act.name,
                counted(act.answers, "answer"),
                act.forwarded,
                counted(usize::try_from(act.reached).unwrap_or(usize::MAX), "request")
            )?;
            if act.unrecorded > 0 {
                writeln!(
                    to,
                    "               no record could be written: {} left none to search",
                    counted(act.unrecorded, "answer")
                )?;
            }
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
        writeln!(to, "searched       {}", self.searched_in_words())?;
        for (channel, acts) in self.empty() {
            writeln!(to, "empty          {channel} ({})", acts.join(", "))?;
        }
        let proven = self.encodings.iter().filter(|encoding| encoding.proven).count();
        writeln!(to, "encodings      {}, {proven} of them proven in this run", self.encodings.len())
    }

    /// The verdict in a sentence: what was done, and what was seen of it.
    pub(super) fn sentence(&self) -> String {
        let seconds = self.duration_ms / 1000;
        let found = match self.findings.len() {
            0 => "No canary was found where it must not be".to_owned(),
            count => format!("{} where it must not be", counted(count, "occurrence of a canary")),
        };
        let answers = self.acts.iter().map(|act| act.answers).sum();
        let mut sentence = format!(
            "{found}, in {} of {} channels after {}",
            counted(self.bytes(), "byte"),
            self.channels.iter().filter(|channel| channel.state == ChannelState::Searched).count(),
            counted(answers, "answer to callers")
        );
        // Writing to a String cannot fail.
        let _ = match self.acts.iter().map(|act| act.unrecorded).sum() {
            0 => Ok(()),
            unrecorded => write!(sentence, ", of which {unrecorded} left no record to search"),
        };
        // Writing to a String cannot fail.
        let _ = match self.not_covered.len() {
            0 => Ok(()),
            count => write!(sentence, "; {} not covered", counted(count, "thing")),
        };
        format!("{sentence} ({seconds} s).")
    }

    /// How many bytes were searched.
    pub(super) fn bytes(&self) -> usize {
        self.channels.iter().map(|channel| channel.bytes).sum()
    }

    /// How many bytes and channels were searched, and how many had nothing to search.
    pub(super) fn searched_in_words(&self) -> String {
        let count = |state| self.channels.iter().filter(|channel| channel.state == state).count();
        let mut words = format!("{} bytes in {} channels", self.bytes(), count(ChannelState::Searched));
        // Writing to a String cannot fail.
        let _ = match (count(ChannelState::Empty), count(ChannelState::Missing)) {
            (0, 0) => Ok(()),
            (empty, 0) => write!(words, "; {empty} more were empty, as they may be"),
            (empty, missing) => {
                write!(words, "; {empty} more were empty, as they may be, and {missing} missing")
            }
        };
        words
    }

    /// Channels on which nothing was said, as may be, and in which acts.
    fn empty(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut empty: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for channel in self.channels.iter().filter(|channel| channel.state == ChannelState::Empty) {
            empty.entry(&channel.channel).or_default().push(channel.act);
        }
        empty
    }
}

fn counted(count: usize, what: &str) -> String {
    match (count, what.split_once(' ')) {
        (1, _) => format!("1 {what}"),
        (count, Some((noun, rest))) => format!("{count} {noun}s {rest}"),
        (count, None) => format!("{count} {what}s"),
    }
}
