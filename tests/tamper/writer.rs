//! Logs of the gateway's own writer: crashes, restarts, rotation, retention, and what is done to it while it writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dcams_gateway::audit::verify::{Report, Wrong};
use dcams_gateway::audit::{
    AuditSecrets, Class, JournalSettings, Origin, Output, Retention, Segment, Segments, Writer,
};
use dcams_gateway::secret::Secret;
use uuid::Uuid;

use crate::edits::{self, Attacker, KINDS};
use crate::experiment::{from_environment, is_accused};
use crate::log::{CHAIN_KEY, Folder, evidence, signing_key};
use crate::random::Random;

/// Longer than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder, and the writer that writes to it now.
struct Log {
    at: tempfile::TempDir,
    runs: u32,
    writer: Option<Writer>,
    retained: Option<u64>,
    open: Vec<Uuid>,
}

impl Log {
    fn begin(retained: Option<u64>) -> Self {
        let mut log =
            Self { at: tempfile::tempdir().unwrap(), runs: 0, writer: None, retained, open: Vec::new() };
        log.start();
        log
    }

    fn path(&self) -> PathBuf {
        self.at.path().join(format!("run-{}", self.runs))
    }

    fn read(&self) -> Folder {
        Folder::read(&self.path())
    }

    fn start(&mut self) {
        let chain_key = Some(Secret::new(CHAIN_KEY.to_vec()));
        let secrets = AuditSecrets { signing_key: signing_key(), chain_key };
        let settings = JournalSettings {
            segment_bytes: 4096,
            checkpoint_interval: Duration::from_millis(20),
            retain: Retention { segments: self.retained, ..Retention::default() },
            reserve_bytes: 0,
            ..JournalSettings::new(self.path(), secrets)
        };
        let origin = Origin {
            instance: "gateway-1".into(),
            version: "0.1.0".into(),
            config: [7; 32],
            services: vec![("getStatus".into(), [8; 32])],
        };
        self.writer = Some(Writer::start(Output::Folder(settings), origin).unwrap());
    }

    fn writer(&self) -> &Writer {
        self.writer.as_ref().unwrap()
    }

    /// Everything so far is durable.
    fn durable(&self) {
        let begun = std::time::Instant::now();
        while self.writer().health().pending_bytes() > 0 {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    fn refusal(&self, random: &mut Random) {
        let id = random.uuid();
        let object = format!(
            r#"{{"v":1,"kind":"outcome","time":"2026-11-20T14:03:07.123456Z","id":"{id}","instance":"gateway-1","config":"0011223344556677","peer":"loopback","outcome":"refused","code":"unauthenticated","status":401,"bytes":{{"received":0,"sent":0,"answer":0,"returned":180}},"us":{{"total":57}}}}"#
        );
        self.writer().send(Class::BestEffort, object.as_bytes());
    }

    fn intent(&mut self, random: &mut Random) {
        let id = random.uuid();
        let object = format!(
            r#"{{"v":1,"kind":"intent","time":"2026-11-20T14:03:07.123456Z","id":"{id}","instance":"gateway-1","config":"0011223344556677","caller":"batch","identified_by":{{"by":"key","key":0}},"peer":"loopback","endpoint":"storage","service":"getStatus","effect":"read","schema":"8899aabbccddeeff","bytes":{{"received":64}}}}"#
        );
        if self.writer().intend(Class::Required, object.as_bytes(), id.as_u128()).is_some() {
            self.open.push(id);
        }
    }

    fn outcome(&mut self) {
        let Some(id) = self.open.pop() else { return };
        let object = format!(
            r#"{{"v":1,"kind":"outcome","time":"2026-11-20T14:03:07.123456Z","id":"{id}","instance":"gateway-1","config":"0011223344556677","caller":"batch","peer":"loopback","endpoint":"storage","service":"getStatus","outcome":"forwarded","status":200,"upstream":{{"attempts":1,"status":200}},"bytes":{{"received":64,"sent":120,"answer":9,"returned":9}},"us":{{"total":57}}}}"#
        );
        self.writer().close(object.as_bytes(), id.as_u128());
    }

    fn stop(&mut self) {
        assert_eq!(self.writer().finish(0), 0);
        self.writer = None;
    }

    /// Goes on in a copy of the folder as it is now, with a torn line at its end or without.
    fn crash(&mut self, random: &mut Random) {
        self.durable();
        let before = self.path();
        self.runs += 1;
        copy(&before, &self.path());
        self.writer = None;
        let segments = Segments::open(&self.path()).unwrap();
        let last = segments.last().unwrap();
        let mut bytes = fs::read(&last.path).unwrap();
        if random.below(2) == 0 {
            let torn = format!("{{\"seq\":{},\"v\":1,\"kind\":\"outco", random.below(10_000));
            bytes.extend_from_slice(&torn.as_bytes()[..1 + random.index(torn.len())]);
            fs::write(&last.path, bytes).unwrap();
        }
        self.open.clear();
        self.start();
    }

    /// Goes on with requests until the writer works again.
    fn until_it_works(&mut self, random: &mut Random, faults: u64) {
        let begun = Instant::now();
        while self.writer().health().faults() == faults || !self.writer().health().available() {
            assert!(begun.elapsed() < PATIENCE, "it does not recover");
            self.refusal(random);
            self.durable();
        }
        self.intent(random);
        self.outcome();
        self.durable();
    }
}

/// The state of the chain first: where a segment is longer than the state says, it was written after it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::copy(from.join("chain"), to.join("chain")).unwrap();
    for segment in &*Segments::open(from).unwrap() {
        let name = Segment::name_of(segment.first_seq);
        // Retention may remove it meanwhile.
        let _ = fs::copy(&segment.path, to.join(name));
    }
}

fn live(log: &mut Log, random: &mut Random, events: u64) {
    for _ in 0..events {
        match random.below(60) {
            0 => {
                log.stop();
                log.open.clear();
                log.start();
            }
            1 => log.crash(random),
            2..=9 => log.durable(),
            10..=24 => log.refusal(random),
            25..=40 => log.intent(random),
            _ => log.outcome(),
        }
    }
}

#[test]
fn what_the_writer_wrote_is_not_accused_whatever_crashes_and_restarts_there_were() {
    let seed = from_environment("TAMPER_SEED", 1);
    for seed in seed..seed + from_environment("TAMPER_WRITERS", 6) {
        let mut random = Random::new(seed);
        let retained = (seed % 2 == 0).then_some(1 + seed % 3);
        let mut log = Log::begin(retained);
        live(&mut log, &mut random, 400);
        log.durable();
        // While it is being written.
        let kept = log.read().last_checkpoint();
        let open = log.read();
        log.stop();
        let folder = log.read();
        for keyed in [false, true] {
            let report = open.verify(evidence(keyed, &[]));
            assert!(!is_accused(&report, keyed), "seed {seed}: {:?}", report.findings);
            let last = folder.last_checkpoint();
            let report = folder.verify(evidence(keyed, last.as_slice()));
            assert!(report.clean, "seed {seed}: {:?}", report.findings);
            assert_eq!(report.proven.signed_through, report.last, "it ends with a checkpoint");
            assert_eq!(keyed, report.proven.macs_through == report.last);
        }
        assert!(kept.is_some());
    }
}

#[test]
fn edits_of_what_the_writer_wrote_are_found() {
    let seed = from_environment("TAMPER_SEED", 1);
    let edits = from_environment("TAMPER_EDITS", 400) / 4;
    let (mut tried, mut random) = (0, Random::new(seed));
    while tried < edits {
        let mut log = Log::begin(None);
        live(&mut log, &mut random, 60);
        log.durable();
        let mut snapshots = vec![log.read()];
        live(&mut log, &mut random, 60);
        log.durable();
        snapshots.push(log.read());
        live(&mut log, &mut random, 20);
        log.stop();
        let folder = log.read();
        let last = folder.last_checkpoint().unwrap();
        let attacker = Attacker::with(present_key(&log.path()), &snapshots);
        for _ in 0..50 {
            let kind = KINDS[random.index(KINDS.len())];
            let edited = edits::edit(kind, &folder, &attacker, &mut random);
            let Some(edited) = edited.filter(|edited| *edited != folder) else { continue };
            for keyed in [false, true] {
                let report = edited.verify(evidence(keyed, std::slice::from_ref(&last)));
                assert!(!report.clean, "{kind:?}, chain key {keyed}: not found");
            }
            tried += 1;
        }
    }
    println!("{tried} edits of logs of the writer, all found");
}

/// The key in the file `chain`: of its two slots, the one with the higher epoch.
fn present_key(folder: &Path) -> [u8; 32] {
    let state = fs::read(folder.join("chain")).unwrap();
    let slots = state.chunks(512).filter(|slot| slot.starts_with(b"DCAMSCHN"));
    let newest = slots.max_by_key(|slot| u64::from_le_bytes(slot[28..36].try_into().unwrap())).unwrap();
    newest[92..124].try_into().unwrap()
}

/// What verification finds after `harm` was done to the segment that is being written.
fn harmed(harm: impl FnOnce(&Path)) -> Report {
    let (mut log, mut random) = (Log::begin(None), Random::new(1));
    for _ in 0..3 {
        log.refusal(&mut random);
        log.durable();
    }
    let faults = log.writer().health().faults();
    harm(&Segments::open(&log.path()).unwrap().last().unwrap().path);
    log.until_it_works(&mut random, faults);
    log.stop();
    log.read().verify(evidence(true, &[]))
}

/// The faults by which findings are explained.
fn explanations(report: &Report) -> Vec<&'static str> {
    let of = |wrong: &Wrong| match wrong {
        Wrong::Missing { explained, .. } | Wrong::PreviousDigest { explained, .. } => *explained,
        _ => None,
    };
    report.findings.iter().filter_map(|finding| of(&finding.wrong)).map(|(fault, _)| fault).collect()
}

#[test]
fn what_was_done_to_the_segment_being_written_is_found_with_the_writers_own_record() {
    let gone = harmed(|segment| fs::remove_file(segment).unwrap());
    assert_eq!(explanations(&gone), ["segment_gone"], "{:?}", gone.findings);
    let truncated =
        harmed(|segment| fs::File::options().write(true).open(segment).unwrap().set_len(700).unwrap());
    assert_eq!(explanations(&truncated), ["segment_truncated"], "{:?}", truncated.findings);
    let replaced = harmed(|segment| {
        let bytes = fs::read(segment).unwrap();
        fs::remove_file(segment).unwrap();
        fs::write(segment, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert_eq!(explanations(&replaced), ["segment_replaced"], "{:?}", replaced.findings);
}

#[test]
fn an_edit_while_no_gateway_runs_is_found_and_recorded_by_the_next_start() {
    let (mut log, mut random) = (Log::begin(None), Random::new(1));
    (0..3).for_each(|_| log.refusal(&mut random));
    log.stop();
    let path = Segments::open(&log.path()).unwrap().last().unwrap().path.clone();
    let text = fs::read_to_string(&path).unwrap().replacen("unauthenticated", "rate_limited", 1);
    fs::write(&path, text).unwrap();
    log.start();
    log.stop();
    let report = log.read().verify(evidence(true, &[]));
    let codes: Vec<&str> = report.findings.iter().map(|finding| finding.wrong.code()).collect();
    assert_eq!((codes[0], report.clean), ("mac", false), "{:?}", report.findings);
}
