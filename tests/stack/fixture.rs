//! What is a gateway with one caller, in memory but for its files?

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use dcams_gateway::arrival::{Arrival, Peer};
use dcams_gateway::audit::Output;
use dcams_gateway::config::{self, Source};
use dcams_gateway::gateway::Gateway;
use dcams_gateway::stages::{Reply, key_hash};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

pub const KEY: &str = "the-key-of-kyc-api";
pub const STATUS: &str = r#"{"service":"getStatus","target":{"email":"jane@example.com"}}"#;
pub const PATH: &str = "/v3/stable/api/storage";
const CONFIGURATION: &str = include_str!("gateway.toml");

pub struct Fixture {
    pub gateway: Arc<Gateway>,
    audit: PathBuf,
    _folder: tempfile::TempDir,
}

/// What came back, whole.
pub struct Answered {
    pub head: http::response::Parts,
    pub text: String,
}

impl Fixture {
    /// The gateway of `gateway.toml` with other values for some dotted keys. Its records go to a file.
    pub fn new(overrides: &[(&str, &str)]) -> Self {
        let to_file = |path: &Path| Output::Stream(fs::File::create(path).unwrap());
        Self::recording_to(to_file, overrides)
    }

    /// As [`Self::new`], with another output: it is given the path of the file that [`Self::lines`] reads.
    pub fn recording_to(output: impl FnOnce(&Path) -> Output, overrides: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        private(&folder.path().join("user"), "api-user");
        private(&folder.path().join("pass"), "the password of DCAMS");
        private(&folder.path().join("fingerprint-key"), &"k".repeat(32));
        let hash: String = key_hash(KEY.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.path().join("gateway.toml");
        fs::write(&path, CONFIGURATION.replace("@KEY@", &hash)).unwrap();
        let overrides =
            overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let source = Source { path, overrides, ..Source::default() };
        let (loaded, secrets) =
            config::load_with_secrets(&source).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let audit = folder.path().join("audit.jsonl");
        let gateway = Gateway::recording_to(output(&audit), loaded.config, &secrets).unwrap();
        Self { gateway: Arc::new(gateway), audit, _folder: folder }
    }

    /// Every audit line so far; nothing is recorded after that.
    pub fn lines(&self) -> Vec<Value> {
        assert_eq!(self.gateway.writer.finish(0), 0, "every line was written");
        let text = fs::read_to_string(&self.audit).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The outcomes among them.
    pub fn outcomes(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["kind"] == "outcome").collect()
    }
}

/// A request of `kyc-api`.
pub fn request(body: impl Into<Bytes>) -> Arrival<Full<Bytes>> {
    let mut arrival = request_without_key(body);
    let bearer = format!("Bearer {KEY}").parse().unwrap();
    arrival.request.headers_mut().insert("authorization", bearer);
    arrival
}

/// A request of nobody.
pub fn request_without_key(body: impl Into<Bytes>) -> Arrival<Full<Bytes>> {
    let request = Request::post(PATH)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap();
    let peer = Peer::Tcp { address: IpAddr::V4(Ipv4Addr::LOCALHOST), loopback_listener: true };
    Arrival { request, peer }
}

/// Takes the whole body, as hyper would.
pub async fn read(response: Response<Reply>) -> Answered {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answered { head, text: String::from_utf8(bytes.into()).unwrap() }
}

impl Answered {
    /// Everything that the caller sees.
    pub fn all(&self) -> String {
        format!("{:?} {}", self.head, self.text)
    }

    /// Status and code of a problem.
    pub fn refusal(&self) -> (u16, String) {
        let problem: Value = serde_json::from_str(&self.text).unwrap();
        (self.head.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
