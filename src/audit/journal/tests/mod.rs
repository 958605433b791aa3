//! What must hold of a folder, whatever happened to it?

mod crash;
mod disk;
mod faults;
mod log;
mod running;
mod segments;
mod sequences;

use std::path::Path;

use self::log::Log;
use super::*;
use crate::audit::SigningKey;
use crate::secret::Secret;

/// What every test's folder is written with.
fn settings(folder: &Path) -> JournalSettings {
    let secrets = AuditSecrets { signing_key: signing_key(), chain_key: Some(chain_secret()) };
    JournalSettings::new(folder.to_owned(), secrets)
}

fn signing_key() -> SigningKey {
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n";
    SigningKey::of_pem(&Secret::new(PEM.into())).unwrap()
}

fn chain_secret() -> Secret {
    Secret::new(vec![b'k'; 32])
}

fn origin() -> Origin {
    Origin {
        instance: "gateway-1".into(),
        version: "1.0.0".into(),
        config: [7; 32],
        services: vec![("getStatus".into(), [8; 32])],
    }
}

fn open(folder: &Path) -> Journal {
    Journal::open(settings(folder), origin()).unwrap()
}

fn intent(id: u128) -> Vec<u8> {
    let (id, instance) = (Uuid::from_u128(id), "gateway-1");
    let time = "2026-11-20T14:03:07.123456Z";
    format!(
        r#"{{"v":1,"kind":"intent","time":"{time}","id":"{id}","instance":"{instance}","config":"07","caller":"batch","bytes":{{"received":2}}}}"#
    )
    .into_bytes()
}

fn outcome(id: u128) -> Vec<u8> {
    let id = Uuid::from_u128(id);
    format!(
        r#"{{"v":1,"kind":"outcome","time":"2026-11-20T14:03:08.123456Z","id":"{id}","outcome":"forwarded"}}"#
    )
    .into_bytes()
}

impl Journal {
    fn intend(&mut self, id: u128) {
        self.append(&intent(id), Change::Opens(id));
    }

    fn end(&mut self, id: u128) {
        self.append(&outcome(id), Change::Closes(id));
    }

    fn commit_all(&mut self) {
        self.commit(Depth::Durable).unwrap();
    }
}

/// How often an experiment is repeated: as the environment says, or `few` times.
fn rounds<N: std::str::FromStr>(variable: &str, few: N) -> N {
    let told = std::env::var_os(variable).and_then(|value| value.to_str()?.parse().ok());
    told.unwrap_or(few)
}

/// Ends the writer as a kill does: nothing more is written.
fn kill(journal: Journal) {
    drop(journal);
}

#[test]
fn a_chain_goes_on_over_stops_and_kills_and_its_key_is_needed_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.intend(1);
    journal.end(1);
    journal.commit_all();
    journal.close().unwrap();
    drop(journal);
    let without = || {
        let mut settings = settings(folder.path());
        settings.secrets.chain_key = None;
        Journal::open(settings, origin()).unwrap()
    };
    let mut journal = without();
    journal.intend(2);
    journal.commit_all();
    kill(journal);
    let mut journal = without();
    journal.close().unwrap();
    let log = Log::read(folder.path());
    assert_eq!(log.kinds(), "segment start intent outcome checkpoint start intent start outcome checkpoint");
    assert_eq!(log.segments, [(1, 10)]);
}

#[test]
fn a_request_without_outcome_is_closed_as_unknown_with_what_its_intent_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.intend(1);
    journal.intend(2);
    journal.end(1);
    journal.commit_all();
    kill(journal);
    open(folder.path()).close().unwrap();
    let log = Log::read(folder.path());
    let closed = log.lines.iter().rev().find(|line| line["kind"] == "outcome").unwrap();
    let expected = serde_json::json!({
        "seq": 7, "v": 1, "kind": "outcome", "time": "2026-11-20T14:03:07.123456Z",
        "id": Uuid::from_u128(2).to_string(), "instance": "gateway-1", "config": "07", "caller": "batch",
        "outcome": "unknown", "mac": closed["mac"],
    });
    assert_eq!(*closed, expected);
    assert_eq!(log.outcomes_of(1), ["forwarded"]);
}

#[test]
fn a_torn_last_line_is_cut_off_and_noted_and_the_next_is_not_glued_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.intend(1);
    journal.commit_all();
    let path = folder.path().join(Segment::name_of(1));
    let whole = std::fs::read(&path).unwrap();
    kill(journal);
    for torn in [&b"{\"seq\":4,\"v\":1,\"kin"[..], &[0; 5000], b"{\"seq\"\0\0\0\0\n\0\n"] {
        std::fs::write(&path, [&whole, torn].concat()).unwrap();
        kill({
            let mut journal = open(folder.path());
            journal.commit_all();
            journal
        });
        let log = Log::read(folder.path());
        assert_eq!(log.kinds(), "segment start intent repair start outcome");
        assert_eq!(log.lines[3]["torn_bytes"], torn.len());
        let copy = std::fs::read(folder.path().join(format!("torn-{:016}-{}", 1, whole.len()))).ok();
        assert_eq!(copy.as_deref(), Some(torn).filter(|torn| torn.contains(&b'\n')));
        std::fs::remove_file(folder.path().join("chain")).ok();
        std::fs::write(&path, &whole).unwrap();
        restore_state(folder.path());
    }
}

/// The state as it is before the first checkpoint.
fn restore_state(folder: &Path) {
    let log = Log::read(folder);
    let chain = log.chain();
    let key = ChainKey::of_chain(&chain_secret(), chain);
    let key = Zeroizing::new(first(key.raw()));
    let slot = Slot { chain, epoch: 0, next_seq: 1, segment: 1, offset: 0, previous: [0; 32], key };
    StateFile::create(&Folder::open(folder).unwrap(), &Disk, &slot).unwrap();
}

#[test]
fn a_chain_is_begun_only_with_its_key_and_only_in_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut without = settings(folder.path());
    without.secrets.chain_key = None;
    assert!(AuditSecrets::are_all_needed(folder.path()));
    assert!(matches!(Journal::open(without, origin()), Err(AuditFault::NoChainKey)));
    let mut journal = open(folder.path());
    assert!(!AuditSecrets::are_all_needed(folder.path()));
    assert!(matches!(Journal::open(settings(folder.path()), origin()), Err(AuditFault::Locked)));
    journal.close().unwrap();
    drop(journal);
    std::fs::write(folder.path().join("chain"), [0; 1024]).unwrap();
    assert!(matches!(Journal::open(settings(folder.path()), origin()), Err(AuditFault::NoState)));
    std::fs::remove_file(folder.path().join("chain")).unwrap();
    assert!(matches!(Journal::open(settings(folder.path()), origin()), Err(AuditFault::NoState)));
}

#[test]
fn the_key_of_an_epoch_is_on_disk_no_longer_than_its_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let mut keys = vec![journal.chain.key().raw().to_vec()];
    for _ in 0..3 {
        journal.checkpoint(Instant::now()).unwrap();
        keys.push(journal.chain.key().raw().to_vec());
    }
    let state = std::fs::read(folder.path().join("chain")).unwrap();
    let holds = |key: &Vec<u8>| state.windows(key.len()).any(|window| window == key);
    assert_eq!(keys.iter().map(holds).collect::<Vec<_>>(), [false, false, false, true]);
}
