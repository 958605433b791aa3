//! Would a leak be found? The gateway is made to say planted texts in each channel.

use dcams_gateway::simulate::{FailureStyle, Fault};

use super::canaries::{core, key, named};
use super::configuration::{Wanted, configuration};
use super::inputs::post;
use super::scene::{Caught, Stage, schema_file};
use super::upstreams::Upstream;
use crate::scanner::{Canary, Scanner, disguises};

/// Where a planted text must come out, because it is a name of the configuration.
const EXPECTED: [(&str, &[&str]); 6] = [
    ("stdout", &["instance", "caller", "service", "credential"]),
    ("stderr", &["credential"]),
    ("/metrics", &["caller", "service", "endpoint"]),
    ("cmdline", &["folder"]),
    ("problem bodies", &["member"]),
    ("heads", &["request id"]),
];

#[test]
fn what_is_planted_in_the_configuration_is_found_in_every_channel() {
    let (caught, plants) = caught();
    let scanner = Scanner::new(&plants);
    for (name, expected) in EXPECTED {
        let leaks = scanner.leaks(bytes(&caught, name));
        for plant in expected {
            let found = leaks.iter().any(|leak| leak.starts_with(&format!("planted {plant} (")));
            assert!(found, "{plant} in {name}: {leaks:?}");
        }
    }
    // These have no name of the configuration to say.
    assert!(bytes(&caught, "/readyz?verbose").ends_with(b"requests 0 in progress\n"));
    assert!(bytes(&caught, "/version").ends_with(b"}\n"));
}

#[test]
fn a_leak_is_found_in_every_channel_and_encoding() {
    let (caught, _) = caught();
    let canary = Canary { name: "planted".to_owned(), text: super::canaries::pass() };
    let scanner = Scanner::new(std::slice::from_ref(&canary));
    for (name, bytes) in caught.channels.iter().chain(&caught.own_answers) {
        assert!(scanner.leaks(bytes).is_empty(), "{name}");
        let (before, after) = bytes.split_at(bytes.len() / 2);
        for (how, written) in disguises(&canary.text) {
            // Apart from what stands beside it, as any value of a field is.
            let planted = [before, b" ", &written, b" ", after].concat();
            assert!(!scanner.leaks(&planted).is_empty(), "{how} in {name}");
        }
    }
}

fn bytes<'a>(caught: &'a Caught, name: &str) -> &'a [u8] {
    let mut all = caught.channels.iter().chain(&caught.own_answers);
    &all.find(|(channel, _)| channel == name).unwrap().1
}

/// A gateway whose own names are canaries has forwarded, refused and failed.
fn caught() -> (Caught, Vec<Canary>) {
    let mut plants = Vec::new();
    let mut plant = |name: &str| {
        let name = format!("planted {name}");
        plants.push(named(&name, core(&name)));
        core(&name)
    };
    let (caller, credential, endpoint) = (plant("caller"), plant("credential"), plant("endpoint"));
    let (service, member, request_id) = (plant("service"), plant("member"), plant("request id"));
    let instance = plant("instance");
    let upstream = Upstream::start(FailureStyle::OkWithError);
    let url = upstream.url();
    let hash = super::configuration::key_hash_hex("planted");
    let more = format!(
        "[endpoints.{endpoint}]\npath = \"/planted\"\nurl = \"{url}\"\nservice_member = \"service\"\n\
         [credentials.{credential}]\nuser = {{ file = \"user\" }}\npass = {{ file = \"pass\" }}\n\
         [services.{service}]\nendpoint = \"{endpoint}\"\neffect = \"read\"\n\
         [[callers]]\nname = \"{caller}\"\nkeys = [{{ sha256 = \"{hash}\" }}]\ncredentials = \"{credential}\"\n\
         rate = {{ per_second = 100 }}\nservices = [\"{service}\"]\n"
    );
    let text = configuration(&Wanted { url: &url, audit: "\"stdout\"", more: &more, ..Wanted::default() });
    let stage = Stage::new(&format!("instance = \"{instance}\"\nschemas_dir = \"schemas\"\n{text}"));
    stage.file("ca.pem", upstream.double().ca_pem().as_bytes());
    for name in ["createOrUpdateCustomer", "updateStatus", "getStatus", "getDocumentImages"] {
        let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        schema_file(&stage, &format!("{name}.schema.json"), &std::fs::read_to_string(path).unwrap());
    }
    let schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "planted",
        "type": "object", "additionalProperties": false, "required": ["service"],
        "properties": {"service": {"type": "string", "const": service}, &member: {"type": "string", "maxLength": 3}},
    });
    schema_file(&stage, &format!("{service}.schema.json"), &schema.to_string());
    plants.push(named("planted folder", stage.path("gateway.toml").to_str().unwrap().to_owned()));
    let scene = stage.start();
    let send = |body: serde_json::Value| {
        let request =
            post(&key("planted"), &format!("X-Request-Id: {request_id}\r\n"), body.to_string().as_bytes());
        scene.send(String::from_utf8(request).unwrap().replace(super::scene::PATH, "/planted").as_bytes())
    };
    assert_eq!(
        send(serde_json::json!({"service": service, &member: "too long"})).code().unwrap(),
        "schema_violation"
    );
    assert_eq!(send(serde_json::json!({"service": service})).status, 200, "the double misses an input");
    upstream.double().inject(Fault::RejectCredential);
    send(serde_json::json!({"service": service}));
    (scene.end(), plants)
}
