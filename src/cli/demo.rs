//! `demo`: what does all of this look like?

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::hash_key::random_key;
use super::{Exit, print, process, tell};
use crate::audit::{SigningKey, hex};
use crate::config::{self, Listen, Log, LogFormat, Source};
use crate::gateway::Gateway;
use crate::selftest::{Folder, private_file};
use crate::server::{self, Running};
use crate::simulate::{Double, Encoding, Fault, Settings};
use crate::stages::key_hash;

const PATH: &str = "/v3/stable/api/storage";
const CONFIGURATION: &str = include_str!("demo.toml");
const FRONT: &[u8] = include_bytes!("../../tests/images/thumbnail.jpg");
const BACK: &[u8] = include_bytes!("../../tests/images/scan.png");

/// How many the transcript has.
const REQUESTS: usize = 21;

#[derive(Args)]
pub(super) struct Demo {
    /// End after the transcript instead of serving on
    #[arg(long)]
    once: bool,
}

pub(super) fn demo(demo: &Demo) -> Exit {
    let log = Log { filter: "error".into(), format: LogFormat::Text };
    let _ = process::log_to_stderr(&log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Exit::Io };
    match runtime.block_on(show(demo)) {
        Ok(exit) => exit,
        Err(problem) => {
            tell(&format!("demo: {problem}"));
            Exit::Io
        }
    }
}

/// Why the demo broke off.
type Problem = Box<dyn std::error::Error>;

async fn show(demo: &Demo) -> Result<Exit, Problem> {
    let double = Double::start(Settings::default()).await?;
    let folder = Folder::new("demo")?;
    let stage = Theatre::set_up(&double, folder.path()).await?;
    say(&format!(
        "The double of DCAMS serves {} with a certificate authority of its own.\n\
         The gateway serves http://{} in front of it: it alone knows the account's user and pass.\n\
         Callers: kyc-api (all services), ops-portal (getStatus, updateStatus), batch (two requests a second).\n",
        double.url(),
        stage.address,
    ));
    stage.forwards(&double).await?;
    stage.refusals().await?;
    stage.failures(&double).await?;
    stage.records(&folder.path().join("audit")).await?;
    if demo.once {
        stage.running.drain().await;
        return Ok(Exit::Ok);
    }
    say(&format!(
        "Try it yourself (Ctrl-C ends everything):\n\n  \
         curl -sS http://{}{PATH} \\\n    -H 'Authorization: Bearer {}' \\\n    -H 'Content-Type: application/json' \\\n    \
         -d '{{\"service\":\"getStatus\",\"target\":{{\"email\":\"jane@example.com\"}}}}'\n\n  \
         curl -sS http://{}/metrics\n",
        stage.address,
        stage.kyc_api,
        stage.running.ops().map_or_else(String::new, |address| address.to_string()),
    ));
    let told = process::told_to_stop().await;
    stage.running.drain().await;
    Ok(told)
}

/// A gateway with three callers in front of a double.
struct Theatre {
    running: Running,
    address: String,
    kyc_api: String,
    ops_portal: String,
    batch: String,
}

/// What came back.
struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    body: Value,
    bytes: usize,
}

impl Theatre {
    async fn set_up(double: &Double, folder: &Path) -> Result<Self, Problem> {
        let key = || random_key().ok_or("the system has no random bytes");
        let (kyc_api, ops_portal, batch) = (key()?, key()?, key()?);
        let settings = Settings::default();
        private_file(&folder.join("user"), settings.user.as_bytes())?;
        private_file(&folder.join("pass"), settings.pass.as_bytes())?;
        private_file(&folder.join("fingerprint-key"), key()?.as_bytes())?;
        private_file(&folder.join("chain-key"), key()?.as_bytes())?;
        let signing_key = SigningKey::new_pem().ok_or("the system has no random bytes")?;
        private_file(&folder.join("signing-key"), signing_key.expose())?;
        private_file(&folder.join("ca.pem"), double.ca_pem().as_bytes())?;
        let hash = |key: &str| hex(&key_hash(key.as_bytes()));
        let text = CONFIGURATION
            .replace("@URL@", &format!("https://localhost:{}{PATH}", double.address().port()))
            .replace("@KYC-API@", &hash(&kyc_api))
            .replace("@OPS-PORTAL@", &hash(&ops_portal))
            .replace("@BATCH@", &hash(&batch));
        let path = folder.join("gateway.toml");
        private_file(&path, text.as_bytes())?;
        let source = Source { path, ..Source::default() };
        let (loaded, secrets) = config::load_with_secrets(&source).map_err(|faults| faults.render(false))?;
        let gateway = Arc::new(Gateway::new(loaded.config, &secrets)?);
        let running = server::start(gateway).await?;
        let address = match running.addresses() {
            [Listen::Tcp(address), ..] => address.to_string(),
            _ => return Err("the gateway has no address".into()),
        };
        Ok(Self { running, address, kyc_api, ops_portal, batch })
    }

    async fn forwards(&self, double: &Double) -> Result<(), Problem> {
        say("== Forwarded: the same JSON as DCAMS takes, without user and pass ==\n");
        let answer =
            self.step("kyc-api stores a customer with two images", Some(&self.kyc_api), &customer()).await?;
        print_members(&answer, &["result", "type", "status"]);
        if let Some(received) = double.received().last() {
            let text = String::from_utf8_lossy(received.body.get(..96).unwrap_or_default()).into_owned();
            let shown = text.replace(&Settings::default().pass, "••••••••");
            say(&format!("     DCAMS received {} bytes: {shown}…", received.body.len()));
        }
        let status = json!({"service": "getStatus", "target": {"email": "jane@example.com"}});
        let answer =
            self.step("ops-portal reads the status", Some(&self.ops_portal), &status.to_string()).await?;
        print_members(&answer, &["result", "status"]);
        let pass =
            json!({"service": "updateStatus", "target": {"email": "jane@example.com", "status": "PASS"}});
        let answer =
            self.step("ops-portal sets the status", Some(&self.ops_portal), &pass.to_string()).await?;
        print_members(&answer, &["result"]);
        let images = json!({"service": "getDocumentImages", "target": {"email": "jane@example.com"}});
        let answer = self.step("kyc-api reads the images", Some(&self.kyc_api), &images.to_string()).await?;
        let front =
            answer.body.pointer("/target/documents/front").and_then(Value::as_str).unwrap_or_default();
        let same = STANDARD.decode(front).is_ok_and(|bytes| bytes == FRONT);
        say(&format!(
            "     {} bytes; the front image is {} stored\n",
            answer.bytes,
            if same { "as" } else { "NOT as" }
        ));
        let nobody = json!({"service": "getStatus", "target": {"email": "nobody@example.com"}});
        let answer =
            self.step("DCAMS's own errors pass unchanged", Some(&self.kyc_api), &nobody.to_string()).await?;
        print_members(&answer, &["result", "message"]);
        Ok(())
    }

    async fn refusals(&self) -> Result<(), Problem> {
        say("\n== Refused: nothing of these reaches DCAMS ==\n");
        let status = json!({"service": "getStatus", "target": {"email": "jane@example.com"}}).to_string();
        let images = status.replace("getStatus", "getDocumentImages");
        let kyc = Some(self.kyc_api.as_str());
        let cases = [
            ("no key", None, status.clone()),
            ("a service that the caller may not use", Some(self.ops_portal.as_str()), images),
            ("credentials in the body, escaped", kyc, status.replacen('{', "{\"us\\u0065r\":\"me\",", 1)),
            ("a member twice", kyc, status.replacen('{', "{\"service\":\"updateStatus\",", 1)),
            ("not JSON", kyc, status.replace('}', "")),
            ("an unknown service", kyc, status.replace("getStatus", "deleteEverything")),
            ("a member that DCAMS does not know", kyc, status.replace("\"target\"", "\"targets\"")),
            ("a birthday that does not exist", kyc, customer().replace("19900228", "19900231")),
            (
                "an image that is none",
                kyc,
                customer().replace(&STANDARD.encode(FRONT), "R0lGODlhAQABAAAAACw="),
            ),
        ];
        for (title, key, body) in cases {
            let answer = self.step(title, key, &body).await?;
            print_refusal(&answer);
        }
        for attempt in 1..=3 {
            let answer =
                self.step(&format!("batch, request {attempt} at once"), Some(&self.batch), &status).await?;
            print_refusal(&answer);
        }
        Ok(())
    }

    async fn failures(&self, double: &Double) -> Result<(), Problem> {
        say("\n== DCAMS misbehaves: the caller gets a clean 502 ==\n");
        let status = json!({"service": "getStatus", "target": {"email": "jane@example.com"}}).to_string();
        let faults = [
            ("an HTML error page", Fault::Html { status: 503 }),
            ("a redirect", Fault::Redirect { status: 302 }),
            ("an answer that breaks off", Fault::Truncate { after: 40 }),
            ("an answer that quotes the password", Fault::ReflectCredential(Encoding::Base64(1))),
        ];
        for (title, fault) in faults {
            double.inject_once(fault);
            let answer = self.step(title, Some(&self.kyc_api), &status).await?;
            print_refusal(&answer);
        }
        Ok(())
    }

    /// The lines are written by a thread of their own; they are there in a moment.
    async fn records(&self, folder: &Path) -> Result<(), Problem> {
        say("\n== The audit records: who did what, and nothing of whom ==\n");
        let path = folder.join("audit-0000000000000001.jsonl");
        let mut lines = String::new();
        for _ in 0..100 {
            lines = fs::read_to_string(&path)?;
            if lines.lines().filter(|line| line.contains("\"kind\":\"outcome\"")).count() >= REQUESTS {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        say(&lines);
        Ok(())
    }

    async fn step(&self, title: &str, key: Option<&str>, body: &str) -> Result<Answer, Problem> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request =
            Request::post(PATH).header(HOST, &self.address).header(CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = response.into_body().collect().await?.to_bytes();
        say(&format!("{:>5} {title}", status.as_u16()));
        let body = serde_json::from_str(&String::from_utf8_lossy(&bytes))?;
        Ok(Answer { status, retry_after, body, bytes: bytes.len() })
    }
}

fn customer() -> String {
    json!({
        "service": "createOrUpdateCustomer",
        "reference": "888888812",
        "target": {
            "email": "jane@example.com", "fn": "Jane", "ln": "Doe", "addr": "123 Main St", "city": "Stratford",
            "state": "CT", "zip": "06614", "dob": "19900228", "phone": "2015550123",
            "documents": {"front": STANDARD.encode(FRONT), "back": STANDARD.encode(BACK)}
        }
    })
    .to_string()
}

fn print_members(answer: &Answer, members: &[&str]) {
    let member = |name: &&str| Some(format!("{name} = {}", answer.body.get(*name)?));
    say(&format!("     {}", members.iter().filter_map(member).collect::<Vec<_>>().join(", ")));
}

fn print_refusal(answer: &Answer) {
    if answer.status.is_success() {
        return print_members(answer, &["result"]);
    }
    let text = |name: &str| answer.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("     {}: {}", text("code"), text("title"));
    for error in answer.body.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        line.push_str(&format!("\n     at {} by {}", part("pointer"), part("keyword")));
    }
    if let Some(seconds) = &answer.retry_after {
        line.push_str(&format!(" (Retry-After: {seconds})"));
    }
    say(&line);
}

fn say(text: &str) {
    let _ = print(&format!("{text}\n"));
}
