//! Is this line as it must be after the lines before it?

use super::finding::Findings;
use super::record::{Checkpoint, Header, Record};
use super::segment::{Before, Reading};
use super::sequence::{Step, Told};
use super::{Checked, Ending, Line, Place, Sealed, Unended, Verifier, Wrong, given, record};

impl Verifier {
    /// Another segment begins: what was left open by the one before is a fault now.
    pub(super) fn begin(&mut self) {
        if self.segments > 0 && !self.ended_signed {
            self.notes.ended_unsigned(self.last.unwrap_or_default());
        }
        self.ended_signed = true;
        self.segments += 1;
        self.explainable.clear();
        self.beginning.next_segment();
        if let Some((place, unended)) = self.unended.take() {
            let wrong = match unended {
                Unended::Torn(_) => Wrong::Torn,
                Unended::Empty => Wrong::EmptySegment,
            };
            let finding = self.wrong(Some(place), wrong);
            self.explainable.push(finding);
        }
    }

    /// Takes the next line of the segment.
    pub(super) fn line(&mut self, reading: &mut Reading, line: &Line<'_>) {
        let goes_on = reading.advance(line.offset, line.ending == Ending::TooLong);
        self.bytes = self.bytes.saturating_add(line.bytes.len() as u64);
        if line.ending == Ending::Torn {
            self.unended = Some((reading.place(None), Unended::Torn(line.bytes.len() as u64)));
        } else if !goes_on {
            self.lines += 1;
            match record::read(line) {
                Ok((sealed, record)) => self.readable(reading, line, &sealed, record),
                Err(wrong) => self.unreadable(reading, wrong),
            }
        }
        reading.take(line.bytes);
    }

    /// A finding after which nothing counts as proven.
    pub(super) fn wrong(&mut self, place: Option<Place>, wrong: Wrong) -> usize {
        self.sound = false;
        self.findings.push(place, wrong)
    }

    /// It stands in the place of a line, or of none.
    fn unreadable(&mut self, reading: &Reading, wrong: Wrong) {
        self.wrong(Some(reading.place(None)), wrong);
        self.epoch = None;
        self.macs.lose();
        if self.first.is_none() && reading.is_at_first() && reading.name() > 1 {
            // Only the segment's name tells where the log begins.
            let step = self.sequence.take(reading.name());
            self.first = Some(reading.name());
            self.jumped(reading.place(None), step, None);
        } else {
            self.sequence.take_unreadable();
        }
    }

    fn readable(&mut self, reading: &mut Reading, line: &Line<'_>, sealed: &Sealed<'_>, record: Record) {
        let (seq, place) = (sealed.seq, reading.place(Some(sealed.seq)));
        if let Record::Segment(header) = &record
            && reading.is_at_first()
            && self.chain.is_none()
        {
            self.chain = Some(header.chain);
            self.given.of_chain(header.chain);
        }
        let step = self.sequence.take(seq);
        match step {
            Step::Next => {}
            Step::Settled(finding, told) => self.settle(finding, told),
            Step::Jump { .. } => {
                let header = if let Record::Segment(header) = &record { Some(header) } else { None };
                self.jumped(place, step, header.filter(|_| reading.is_at_first()));
            }
            Step::OutOfPlace { expected } => {
                let finding = self.wrong(Some(place), Wrong::OutOfPlace { expected });
                self.sequence.told(finding);
                self.macs.pass_over(sealed);
                self.epoch = None;
                return;
            }
        }
        let begins = self.first.is_none();
        self.first.get_or_insert(seq);
        self.last = Some(seq);
        if !self.given.take(seq, line.bytes) {
            self.wrong(Some(place), Wrong::GivenDiffers);
        }
        if reading.is_at_first() && reading.name() != seq {
            self.wrong(Some(place), Wrong::Name);
        }
        match &record {
            Record::Segment(header) if reading.is_at_first() => {
                let is_next = !begins && !matches!(step, Step::Jump { .. });
                self.header(place, seq, header, is_next);
            }
            Record::Segment(_) => {
                self.wrong(Some(place), Wrong::HeaderInside);
            }
            _ if reading.is_at_first() => {
                self.wrong(Some(place), Wrong::NoHeader);
            }
            Record::Checkpoint(checkpoint) => self.enter(place, seq, checkpoint.epoch),
            _ => {}
        }
        reading.numbered(seq);
        self.ended_signed = matches!(record, Record::Checkpoint(_));
        let checked = self.macs.check(sealed);
        match checked {
            Checked::Right if self.sound => self.proven.chained(seq),
            Checked::Right | Checked::Unknown => {}
            Checked::Wrong => {
                self.wrong(Some(place), Wrong::Mac);
            }
        }
        self.content(reading, place, sealed, record, checked);
    }

    /// What seemed to be one fault is known to be another.
    fn settle(&mut self, finding: usize, told: Told) {
        self.sound = false;
        if Findings::is_beginning(finding) {
            self.beginning.forget();
        }
        self.findings.amend(finding, |wrong| {
            *wrong = match told {
                Told::Number { expected } => Wrong::Number { expected },
                Told::OutOfPlace { expected } => Wrong::OutOfPlace { expected },
            }
        });
    }

    /// Lines are missing in front of this one. At the beginning of the log, retention may explain it; before a segment
    /// inside it, a fault tells of it.
    fn jumped(&mut self, place: Place, step: Step, header: Option<&Header>) {
        let Step::Jump { first, last } = step else { return };
        let missing = Wrong::Missing { first, last, explained: None };
        self.macs.lose();
        self.epoch = None;
        let begins = self.first.is_none();
        let finding = match header.filter(|_| begins) {
            Some(header) => {
                // Whether a record of retention tells of them is known at the end.
                self.beginning.missing(last, header.previous);
                self.findings.push_beginning(place, missing)
            }
            None => self.wrong(Some(place), missing),
        };
        self.sequence.told(finding);
        if let Some(header) = header {
            self.explainable.push(finding);
            self.requests.were_open(&header.open);
            if let Some(mac) = self.given.mac_of(last) {
                self.macs.follow(mac);
            }
        }
    }

    fn header(&mut self, place: Place, seq: u64, header: &Header, is_next: bool) {
        if let Some(expected) = self.chain.filter(|chain| *chain != header.chain) {
            self.wrong(Some(place), Wrong::Chain { expected });
        }
        self.enter(place, seq, header.epoch);
        let Some(previous) = &header.previous else {
            if seq != 1 {
                self.wrong(Some(place), Wrong::Previous);
            }
            return;
        };
        if seq == 1 {
            self.wrong(Some(place), Wrong::Previous);
        } else if previous.last != seq.saturating_sub(1) {
            let expected = (previous.first.min(seq.saturating_sub(1)), seq.saturating_sub(1));
            self.wrong(Some(place), Wrong::PreviousRange { expected });
        } else if let Some(before) = self.before.as_ref().filter(|_| is_next) {
            match before.judge(previous) {
                Before::Same => self.beginning.link(),
                Before::Told => {}
                Before::OtherRange { expected } => {
                    self.wrong(Some(place), Wrong::PreviousRange { expected });
                }
                Before::OtherBytes { lines } => {
                    let finding = self.wrong(Some(place), Wrong::PreviousDigest { lines, explained: None });
                    self.explainable.push(finding);
                }
            }
        }
    }

    /// The line says that it is in `epoch`: so it must be, or it tells where the chain goes on behind a gap.
    fn enter(&mut self, place: Place, seq: u64, epoch: u64) {
        let expected = if seq == 1 { Some(0) } else { self.epoch };
        match expected {
            Some(expected) if expected != epoch => {
                self.wrong(Some(place), Wrong::Epoch { expected });
            }
            _ if epoch >= seq => {
                self.wrong(Some(place), Wrong::EpochImpossible);
            }
            _ => {
                self.epoch = Some(epoch);
                if self.chain.is_some_and(|chain| !self.macs.enter(chain, epoch)) {
                    self.wrong(Some(place), Wrong::EpochImpossible);
                }
            }
        }
    }

    fn content(
        &mut self,
        reading: &mut Reading,
        place: Place,
        sealed: &Sealed<'_>,
        record: Record,
        checked: Checked,
    ) {
        let seq = sealed.seq;
        let uuid = uuid::Uuid::from_u128;
        match record {
            Record::Checkpoint(checkpoint) => self.checkpoint(reading, place, sealed, &checkpoint),
            Record::Start => self.notes.start(seq),
            Record::Stop => self.notes.stop(),
            Record::Intent(id) if !self.requests.intend(id, seq, self.sound) => {
                self.wrong(Some(place), Wrong::Twice("intent", uuid(id)));
            }
            Record::Outcome(Some(id), sent) if !self.requests.close(id, sent) => {
                self.wrong(Some(place), Wrong::Twice("outcome", uuid(id)));
            }
            Record::Fault { fault, good } => self.fault(place, seq, fault, good),
            Record::Repair { torn_bytes } => self.notes.repair(torn_bytes, seq),
            Record::Loss { strangers, best_effort } => self.notes.loss(strangers, best_effort, seq),
            Record::Retention(removed) => {
                self.beginning.removed(&removed, seq, checked == Checked::Right);
                self.notes.retention(&removed, seq);
            }
            Record::Unknown => self.notes.unknown(seq),
            Record::Segment(_) | Record::Intent(_) | Record::Outcome(..) | Record::Other => {}
        }
    }

    fn checkpoint(
        &mut self,
        reading: &mut Reading,
        place: Place,
        sealed: &Sealed<'_>,
        checkpoint: &Checkpoint,
    ) {
        let mut wrong = Vec::new();
        if let Some(expected) = self.chain.filter(|chain| *chain != checkpoint.chain) {
            wrong.push(Wrong::Chain { expected });
        }
        if checkpoint.first != reading.first() {
            wrong.push(Wrong::CheckpointFirst { expected: reading.first() });
        }
        match self.keys.iter().find(|key| key.id() == checkpoint.key) {
            None => wrong.push(Wrong::UnknownKey(checkpoint.key)),
            Some(key) if !given::is_signed(sealed, key) => wrong.push(Wrong::Signature),
            Some(_) => {}
        }
        if let Err(told) = reading.judge(sealed.seq, &checkpoint.sha256) {
            wrong.extend(told.map(|lines| Wrong::CheckpointDigest { lines }));
            self.beginning.spoil();
        }
        if wrong.is_empty() {
            self.beginning.sign();
        }
        for wrong in wrong {
            self.wrong(Some(place), wrong);
        }
        if self.sound {
            self.proven.signed(checkpoint.key, sealed.seq);
            if self.given.holds(sealed.seq) {
                self.proven.kept(sealed.seq);
            }
        }
        self.epoch = self.epoch.map(|epoch| epoch.saturating_add(1));
        self.macs.ratchet();
    }

    fn fault(&mut self, place: Place, seq: u64, fault: &'static str, good: Option<u64>) {
        if fault == "chain_broken" {
            self.wrong(Some(place), Wrong::ChainBroken { good });
        } else {
            self.notes.fault(fault, seq);
        }
        if fault.starts_with("segment_") || matches!(fault, "chain_broken" | "folder_gone") {
            for finding in std::mem::take(&mut self.explainable) {
                self.findings.amend(finding, |wrong| match wrong {
                    Wrong::Missing { explained, .. } | Wrong::PreviousDigest { explained, .. } => {
                        *explained = Some((fault, seq));
                    }
                    _ => {}
                });
            }
        }
    }
}
