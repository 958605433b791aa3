//! What can a caller send with a secret in it, in every part of a request?

use super::canaries::{Person, core, image, key, named};
use super::scene::PATH;
use crate::scanner::Canary;

/// Requests to send as they are, each with a title, and what they hold beside [`canaries`](super::canaries).
#[derive(Default)]
pub struct Inputs {
    pub requests: Vec<(String, Vec<u8>)>,
    pub canaries: Vec<Canary>,
}

impl Inputs {
    /// All of them.
    pub fn all() -> Self {
        let mut inputs = Self::default();
        inputs.heads();
        inputs.keys();
        inputs.bodies();
        inputs.members();
        inputs
    }

    /// A new canary.
    fn fresh(&mut self, name: &str) -> String {
        let name = format!("request: {name}");
        self.canaries.push(named(&name, core(&name)));
        core(&name)
    }

    fn add(&mut self, title: &str, request: impl Into<Vec<u8>>) {
        self.requests.push((title.to_owned(), request.into()));
    }

    fn body(&mut self, title: &str, body: impl AsRef<[u8]>) {
        self.add(title, post(&key("kyc-api"), "", body.as_ref()));
    }

    fn heads(&mut self) {
        let good = Person::asked("getStatus").to_string();
        let c = self.fresh("harmless headers");
        // The id is one that is echoed to its sender, and must not be recorded.
        let harmless = format!(
            "X-Request-Id: jane.{}\r\ntraceparent: 00-{c}-{c}-01\r\ntracestate: {c}={c}\r\nCookie: {c}={c}\r\nUser-Agent: {c}\r\n\
             Referer: https://{c}/\r\nForwarded: for={c}\r\nX-Forwarded-For: {c}\r\nX-{c}: {c}\r\nVia: {c}\r\nFrom: {c}@example.com\r\n",
            core(ECHOED),
        );
        self.add("harmless headers", post(&key("kyc-api"), &harmless, good.as_bytes()));
        let headers = [
            ("an unsafe request id", "X-Request-Id: a "),
            ("an origin", "Origin: https://"),
            ("an expectation", "Expect: "),
            ("a content coding", "Content-Encoding: "),
            ("a transfer coding", "Transfer-Encoding: "),
            ("a connection option", "Connection: "),
            ("an upgrade", "Upgrade: "),
            ("a second host", "Host: "),
            ("a second media type", "Content-Type: text/"),
            ("a second key", "Authorization: Bearer "),
            ("a length", "Content-Length: 5"),
            ("a method override", "X-HTTP-Method-Override: "),
            ("a header without a value", "\u{1}"),
        ];
        for (title, header) in headers {
            let line = format!("{header}{}\r\n", self.fresh(title));
            self.add(title, post(&key("kyc-api"), &line, good.as_bytes()));
        }
        let lines = [
            ("a method", "@ ", PATH, " HTTP/1.1"),
            ("a path", "POST /@", "", " HTTP/1.1"),
            ("a path beneath", "POST ", PATH, "/@ HTTP/1.1"),
            ("a query", "POST ", PATH, "?email=@ HTTP/1.1"),
            ("an absolute target", "POST http://@", PATH, " HTTP/1.1"),
            ("a target with user information", "POST http://me:@@localhost", PATH, " HTTP/1.1"),
            ("a target that is none", "POST ", "", "@ HTTP/1.1"),
            ("a fragment", "POST ", PATH, "#@ HTTP/1.1"),
            ("a blank in the target", "POST ", PATH, " @ HTTP/1.1"),
            ("a version", "POST ", PATH, " HTTP/@"),
            ("a target beyond ASCII", "POST ", PATH, "/é@ HTTP/1.1"),
            ("a method that HTTP knows", "PATCH ", PATH, "?@ HTTP/1.1"),
            ("no line", "@", "", ""),
        ];
        for (title, before, path, after) in lines {
            let line = format!("{before}{path}{after}").replace('@', &self.fresh(title));
            let rest = format!(
                "Host: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
                                Connection: close\r\nContent-Length: {}\r\n\r\n{good}",
                key("kyc-api"),
                good.len()
            );
            self.add(title, format!("{line}\r\n{rest}"));
        }
        let c = self.fresh("host");
        for host in [format!("{c}.example.com"), format!("{c}@localhost"), format!("localhost:{c}")] {
            let rest = format!(
                "Authorization: Bearer {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                key("kyc-api")
            );
            self.add("a host", format!("POST {PATH} HTTP/1.1\r\nHost: {host}\r\n{rest}"));
        }
        let c = self.fresh("media type");
        let rest = format!(
            "Authorization: Bearer {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            key("kyc-api")
        );
        self.add(
            "a media type",
            format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/{c}\r\n{rest}"),
        );
        let c = self.fresh("chunks");
        let chunked = format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                               Transfer-Encoding: chunked\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            key("kyc-api")
        );
        self.add("a chunk size", format!("{chunked}{c}\r\n"));
        self.add("a chunk extension", format!("{chunked}{:x};{c}={c}\r\n{good}\r\n0\r\n\r\n", good.len()));
        self.add("a trailer", format!("{chunked}{:x}\r\n{good}\r\n0\r\nX-{c}: {c}\r\n\r\n", good.len()));
        let c = self.fresh("long head");
        self.add(
            "a long head",
            post(&key("kyc-api"), &format!("X-Long: {}\r\n", c.repeat(1_000)), good.as_bytes()),
        );
        self.add(
            "a head that does not end",
            format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nX-{c}: {c}"),
        );
    }

    fn keys(&mut self) {
        let good = Person::asked("getStatus").to_string();
        let wrong = format!("dgw_{}", self.fresh("wrong key").repeat(2));
        self.add("a wrong key", post(&wrong, "", good.as_bytes()));
        let right = key("kyc-api");
        self.add("a key cut short", post(&right[..right.len() - 1], "", good.as_bytes()));
        let c = self.fresh("other scheme");
        use base64::Engine;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("me:{c}"));
        for authorization in [
            format!("Basic {basic}"),
            format!("Digest username=\"{c}\""),
            c.clone(),
            right,
            format!("Bearer {c} {c}"),
        ] {
            let head = format!(
                "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
            );
            self.add(
                "another scheme",
                format!(
                    "{head}Authorization: {authorization}\r\nContent-Length: {}\r\n\r\n{good}",
                    good.len()
                ),
            );
        }
        self.add(
            "a service that is not permitted",
            post(&key("ops-portal"), "", Person::asked("getDocumentImages").to_string().as_bytes()),
        );
        for _ in 0..3 {
            self.add("more than the quota", post(&key("batch"), "", good.as_bytes()));
        }
    }

    fn bodies(&mut self) {
        let c = self.fresh("malformed JSON");
        let bodies = [
            ("no JSON", c.clone()),
            ("a string", format!("\"{c}\"")),
            ("a list", format!("[\"{c}\"]")),
            ("an open string", format!("{{\"service\":\"{c}")),
            ("an open object", format!("{{\"service\":\"{c}\"")),
            ("a bare word", format!("{{\"service\":{c}}}")),
            ("a bare name", format!("{{{c}:1}}")),
            ("an unknown escape", format!("{{\"service\":\"\\x{c}\"}}")),
            ("a control character", format!("{{\"service\":\"\u{1}{c}\"}}")),
            ("a lone surrogate", format!("{{\"service\":\"\\ud800{c}\"}}")),
            ("more after the end", format!("{{\"service\":\"getStatus\"}}{c}")),
            ("a comment", format!("{{/*{c}*/\"service\":\"getStatus\"}}")),
            ("a mark before", format!("\u{feff}{{\"service\":\"{c}\"}}")),
            ("a wrong number", format!("{{\"service\":1{c}}}")),
            ("not a number", format!("{{\"service\":NaN,\"x\":\"{c}\"}}")),
        ];
        for (title, body) in bodies {
            self.body(title, body);
        }
        self.body("no UTF-8", [b"{\"service\":\"\xff", c.as_bytes(), b"\"}"].concat());
        let c = self.fresh("a name twice");
        self.body("a name twice", format!("{{\"{c}\":\"{c}\",\"{c}\":\"{c}\"}}"));
        let c = self.fresh("depth");
        self.body("depth", format!("{}1{}", format!("{{\"{c}\":").repeat(40), "}".repeat(40)));
        self.body("a long name", format!("{{\"{}\":1}}", c.repeat(500)));
        self.body(
            "many members",
            format!("{{{}\"x\":1}}", (0..3_000).map(|n| format!("\"{c}{n}\":{n},")).collect::<String>()),
        );
        let c = self.fresh("a large body");
        self.body("a large body", format!("{{\"service\":\"getStatus\",\"{c}\":\"{}\"}}", c.repeat(20_000)));
        self.body(
            "a body too large for its service",
            format!("{{\"service\":\"getStatus\",\"{c}\":\"{}\"}}", c.repeat(4_000)),
        );
        let c = self.fresh("service");
        self.body("an unknown service", format!("{{\"service\":\"{c}\",\"target\":{{}}}}"));
        self.body("a service that is no text", format!("{{\"service\":{{\"{c}\":\"{c}\"}}}}"));
        let c = self.fresh("credentials of a caller");
        for name in ["user", "pass", "PASS", "\\u0070ass", "pa\\u017fs", " user "] {
            let body =
                Person::asked("getStatus").to_string().replacen('{', &format!("{{\"{name}\":\"{c}\","), 1);
            self.body("a credential", body);
        }
        let half = post(&key("kyc-api"), "", Person::stored().to_string().as_bytes());
        self.add("a body that stops", half[..half.len() / 2].to_vec());
    }

    /// Every member of the schema with a wrong value, and unknown ones everywhere.
    fn members(&mut self) {
        let with = |pointer: &str, value: serde_json::Value| {
            let mut body = Person::stored();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value;
            body.to_string()
        };
        self.body("a good one", Person::stored().to_string());
        let c = self.fresh("unknown members");
        for place in ["", "/target", "/target/documents"] {
            self.body("an unknown member", with(&format!("{place}/{c}"), serde_json::json!({&c: [&c]})));
        }
        let c = self.fresh("wrong values");
        for (name, _) in Person::members() {
            for value in [
                serde_json::json!(format!("\n{c}")),
                serde_json::json!({&c: &c}),
                serde_json::json!([&c]),
                c.repeat(20).into(),
            ] {
                self.body(&format!("a wrong {name}"), with(&format!("/target/{name}"), value));
            }
        }
        for pointer in ["/target", "/reference", "/target/documents"] {
            self.body(&format!("a wrong {pointer}"), with(pointer, serde_json::json!([&c, {&c: &c}])));
        }
        let front = image("front");
        let images = [
            format!("data:image/jpeg;base64,{front}"),
            format!("{c}{front}"),
            front[4..].to_owned(),
            format!("{front}===="),
            format!("{}!", front),
            c.clone(),
        ];
        for text in images {
            self.body("a wrong image", with("/target/documents/front", text.into()));
        }
        for service in ["getStatus", "getDocumentImages", "updateStatus"] {
            let mut body = Person::asked(service);
            body["target"]["status"] = c.as_str().into();
            self.body(&format!("a wrong {service}"), body.to_string());
        }
    }
}

/// The canary in the one header that is given back to its sender.
pub const ECHOED: &str = "request id";

/// A request with `key`, further header lines and a body of a true length.
pub fn post(key: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         {headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
