//! Is every line that the writer writes into a folder of the published form, and does the form know no other kind?

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dcams_gateway::audit::{
    self, AuditSecrets, Class, CredentialState, JournalSettings, Origin, Output, ReloadCause, ReloadResult,
    SigningKey, Writer,
};
use dcams_gateway::config::Effect;
use dcams_gateway::secret::Secret;
use serde_json::Value;

use crate::audit_lines::{Form, published};

/// A folder with a chain, and a writer on it.
struct Chain {
    folder: tempfile::TempDir,
    signing_key: Secret,
}

impl Chain {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), signing_key: SigningKey::new_pem().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn write(&self, change: impl FnOnce(&mut JournalSettings)) -> Writer {
        let secrets = AuditSecrets {
            signing_key: SigningKey::of_pem(&self.signing_key).unwrap(),
            chain_key: Some(Secret::new(vec![7; 32])),
        };
        let mut settings = JournalSettings::new(self.path(), secrets);
        settings.reserve_bytes = 0;
        change(&mut settings);
        let origin = Origin {
            instance: "gateway-1".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: [7; 32],
            services: vec![("getStatus".to_owned(), [8; 32])],
        };
        Writer::start(Output::Folder(settings), origin).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut segments: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "jsonl"))
            .collect();
        segments.sort();
        segments
    }

    /// Every line there is, judged by `form`.
    fn lines(&self, form: &Form) -> Vec<Value> {
        let text: String =
            self.segments().iter().filter_map(|segment| fs::read_to_string(segment).ok()).collect();
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(|line| form.judged_line(line.as_bytes()))
            .collect()
    }

    /// The kinds of all lines, as soon as `kind` is among them.
    fn wait_for(&self, form: &Form, kind: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        wait_for(kind, || {
            found = kinds(&self.lines(form));
            found.contains(kind)
        });
        found
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// As a crash of the machine leaves it: what was durable, and a torn line.
fn crashed(from: &Chain, torn: &[u8]) -> Chain {
    let crashed = Chain {
        folder: tempfile::tempdir().unwrap(),
        signing_key: Secret::new(from.signing_key.expose().to_vec()),
    };
    fs::create_dir(crashed.path()).unwrap();
    for path in from.segments().into_iter().chain([from.path().join("chain")]) {
        fs::copy(&path, crashed.path().join(path.file_name().unwrap())).unwrap();
    }
    let last: PathBuf = crashed.segments().pop().unwrap();
    OpenOptions::new().append(true).open(last).unwrap().write_all(torn).unwrap();
    crashed
}

fn kinds(lines: &[Value]) -> BTreeSet<String> {
    lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
}

fn first_segment(path: &Path) -> PathBuf {
    path.join("audit-0000000000000001.jsonl")
}

#[test]
fn every_kind_of_line_is_of_the_form_and_every_kind_of_the_form_is_written() {
    let form = Form::new();
    let mut seen = BTreeSet::new();

    // A crash between intent and outcome, in the midst of a line.
    let before = Chain::new();
    let writer = before.write(|_| {});
    for state in [CredentialState::Current, CredentialState::Suspended, CredentialState::Accepted] {
        writer.send(Class::Required, &audit::credentials("production", 1, state));
    }
    let config = [7; 32];
    for result in [
        ReloadResult::Applied { previous: [6; 32], config },
        ReloadResult::Unchanged { config },
        ReloadResult::Refused { config, refused: None, faults: 2 },
        ReloadResult::Refused { config, refused: Some([8; 32]), faults: 1 },
    ] {
        for cause in [ReloadCause::Signal, ReloadCause::Change] {
            writer.send(Class::Required, &audit::reload(cause, &result));
        }
    }
    for state in ["open", "half_open", "closed"] {
        writer.send(Class::Required, &audit::breaker("storage", None, state));
        for effect in [Effect::Read, Effect::Write] {
            let own = Some(("kyc-api", effect.name()));
            writer.send(Class::Required, &audit::breaker("storage", own, state));
        }
    }
    let (intent, id) = form.intent_object();
    writer.intend(Class::Required, &intent, id).unwrap();
    before.wait_for(&form, "intent");
    let after = crashed(&before, b"{\"seq\":7,\"v\":1,");
    assert_eq!(writer.finish(3), 0);
    seen.extend(kinds(&before.lines(&form)));

    // What is found again, and segments that are too many.
    let writer = after.write(|settings| {
        (settings.segment_bytes, settings.retain.segments) = (4096, Some(1));
    });
    let unknown = |line: &Value| line["outcome"] == "unknown";
    wait_for("the outcome of the crash", || after.lines(&form).iter().any(unknown));
    seen.extend(kinds(&after.lines(&form)));
    while first_segment(&after.path()).exists() {
        writer.send(Class::Required, &audit::credentials("production", 1, CredentialState::Current));
        std::thread::yield_now();
    }
    seen.extend(after.wait_for(&form, "retention"));

    // The segment is gone.
    let segment = after.segments().pop().unwrap();
    fs::remove_file(segment).unwrap();
    after.wait_for(&form, "fault");
    assert_eq!(writer.finish(0), 0);
    seen.extend(kinds(&after.lines(&form)));

    // No room for strangers.
    let scarce = Chain::new();
    let writer = scarce.write(|settings| settings.reserve_bytes = u64::MAX);
    wait_for("the reserve", || writer.health().short_of_space());
    writer.send(Class::Stranger, &intent);
    scarce.wait_for(&form, "loss");
    assert_eq!(writer.finish(0), 0, "a line tells of it");
    let lines = scarce.lines(&form);
    seen.extend(kinds(&lines));

    let known = published();
    let known = known["oneOf"].as_array().unwrap().iter();
    let known = known.map(|kind| kind["$ref"].as_str().unwrap().trim_start_matches("#/$defs/").to_owned());
    assert_eq!(seen, known.collect());
    let loss = lines.iter().find(|line| line["kind"] == "loss").unwrap();
    assert_eq!((&loss["strangers"], &loss["best_effort"]), (&1.into(), &0.into()));
}
