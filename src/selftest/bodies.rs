//! What can a caller send with a canary in the body of a request?

use serde_json::{Value, json};

use super::canary::{Allowed, LENGTH, Mint};
use super::route::Route;
use super::sample::accepts;

/// Requests to `route` whose bodies no service takes, whatever its schema says.
pub(super) fn malformed(route: &Route, host: &str, mint: &mut Mint) -> Vec<Vec<u8>> {
    let mut bodies = Bodies { route, host, mint, made: Vec::new() };
    bodies.not_json();
    bodies.too_much();
    bodies.credentials();
    bodies.services();
    bodies.made
}

/// Requests to `route` that break its schema: every value wrong in turn, unknown members everywhere.
pub(super) fn violating(route: &Route, host: &str, mint: &mut Mint) -> Vec<Vec<u8>> {
    let mut bodies = Bodies { route, host, mint, made: Vec::new() };
    bodies.unknown_members();
    bodies.wrong_values();
    bodies.made
}

struct Bodies<'a> {
    route: &'a Route,
    host: &'a str,
    mint: &'a mut Mint,
    made: Vec<Vec<u8>>,
}

impl Bodies<'_> {
    fn fresh(&mut self, name: &str) -> String {
        self.mint.fresh(&format!("body: {name}"))
    }

    /// A canary that a lenient service forwards.
    fn maybe_forwarded(&mut self, name: &str) -> String {
        let name = format!("body: {name} ({})", self.route.service);
        let text = self.mint.reserve(&name, |mint| mint.letters(LENGTH));
        let allowed = if self.route.lenient { Allowed::ForwardedBodies } else { Allowed::Nowhere };
        self.mint.plant(&name, &text, allowed);
        text
    }

    fn add(&mut self, body: impl AsRef<[u8]>) {
        self.made.push(self.route.post(self.host, "", body.as_ref()));
    }

    /// Adds `body` where the schema refuses it: what it takes is forwarded, and may come back.
    fn add_refused(&mut self, body: &Value) {
        if !accepts(&self.route.schema, body) {
            self.add(body.to_string());
        }
    }

    fn not_json(&mut self) {
        let c = self.fresh("not JSON");
        for body in [
            c.clone(),
            format!("\"{c}\""),
            format!("[\"{c}\"]"),
            format!("{{\"service\":\"{c}"),
            format!("{{\"service\":\"{c}\""),
            format!("{{\"service\":{c}}}"),
            format!("{{{c}:1}}"),
            format!("{{\"service\":\"\\x{c}\"}}"),
            format!("{{\"service\":\"\u{1}{c}\"}}"),
            format!("{{\"service\":\"\\ud800{c}\"}}"),
            format!("{{\"service\":\"getStatus\"}}{c}"),
            format!("{{/*{c}*/\"service\":\"getStatus\"}}"),
            format!("\u{feff}{{\"service\":\"{c}\"}}"),
            format!("{{\"service\":1{c}}}"),
            format!("{{\"service\":NaN,\"x\":\"{c}\"}}"),
        ] {
            self.add(body);
        }
        self.add([b"{\"service\":\"\xff", c.as_bytes(), b"\"}"].concat());
    }

    fn too_much(&mut self) {
        let c = self.fresh("name twice");
        self.add(format!("{{\"{c}\":\"{c}\",\"{c}\":\"{c}\"}}"));
        let c = self.fresh("too complex");
        self.add(format!("{}1{}", format!("{{\"{c}\":").repeat(40), "}".repeat(40)));
        self.add(format!("{{\"{}\":1}}", c.repeat(500)));
        let members: String = (0..3_000).map(|n| format!("\"{c}{n}\":{n},")).collect();
        self.add(format!("{{{members}\"x\":1}}"));
        // Its length is told, not sent.
        let c = self.fresh("too large");
        let length = format!("Content-Length: {}", self.route.caller_limit.saturating_add(1));
        let request = self.route.post(self.host, "", format!("{{\"{c}\":\"").as_bytes());
        let request = String::from_utf8_lossy(&request).into_owned();
        let told =
            request.find("Content-Length: ").and_then(|at| Some((at, at + request.get(at..)?.find("\r\n")?)));
        if let Some((begin, end)) = told {
            let (before, after) =
                (request.get(..begin).unwrap_or_default(), request.get(end..).unwrap_or_default());
            self.made.push(format!("{before}{length}{after}").into());
        }
        let c = self.fresh("stops half-way");
        let half = self.route.post(self.host, "", format!("{{\"{c}\":\"{c}\"}}").as_bytes());
        self.made.push(half.get(..half.len().saturating_sub(20)).unwrap_or_default().to_vec());
        // Larger than the service takes, where that can be sent at all.
        if self.route.service_limit <= 1 << 20 && self.route.service_limit < self.route.caller_limit {
            let c = self.fresh("too large for its service");
            let times = usize::try_from(self.route.service_limit).unwrap_or_default() / c.len() + 1;
            let mut body = self.route.sample.body.clone();
            if let Some(members) = body.as_object_mut() {
                members.insert(c.clone(), c.repeat(times).into());
            }
            self.add(body.to_string());
        }
    }

    fn credentials(&mut self) {
        let c = self.fresh("credentials of a caller");
        for name in ["user", "pass", "PASS", "\\u0070ass", "pa\\u017fs", " user "] {
            let body = self.route.sample.body.to_string();
            self.add(body.replacen('{', &format!("{{\"{name}\":\"{c}\","), 1));
        }
    }

    fn services(&mut self) {
        let Some(member) = self.route.member.clone() else { return };
        let c = self.fresh("unknown service");
        self.add(json!({&member: c, "target": {}}).to_string());
        self.add(json!({&member: {&c: &c}}).to_string());
    }

    fn unknown_members(&mut self) {
        let c = self.maybe_forwarded("unknown members");
        for pointer in objects(&self.route.sample.body, "") {
            let mut body = self.route.sample.body.clone();
            if let Some(members) = body.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                members.insert(c.clone(), json!({&c: [&c]}));
            }
            self.add_refused(&body);
        }
    }

    fn wrong_values(&mut self) {
        let c = self.maybe_forwarded("wrong values");
        let wrong = [
            json!(format!("\n\u{1}{c}")),
            json!({&c: &c}),
            json!([&c, {&c: &c}]),
            json!(c.repeat(20)),
            json!(format!("data:image/jpeg;base64,{c}")),
        ];
        for pointer in self.route.sample.canaries.clone() {
            for value in &wrong {
                let mut body = self.route.sample.body.clone();
                if let Some(place) = body.pointer_mut(&pointer) {
                    *place = value.clone();
                }
                self.add_refused(&body);
            }
        }
    }
}

/// Pointers to every object of a document.
fn objects(value: &Value, pointer: &str) -> Vec<String> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            found.push(pointer.to_owned());
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                found.extend(objects(value, &format!("{pointer}/{name}")));
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                found.extend(objects(value, &format!("{pointer}/{index}")));
            }
        }
        _ => {}
    }
    found
}
