//! What can a caller send with a canary in the head of a request, or in its framing?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::canary::{Allowed, LENGTH, Mint};
use super::route::Route;

/// Requests to `route`, each full of canaries, to be sent as they are.
pub(super) fn heads(route: &Route, host: &str, mint: &mut Mint) -> Vec<Vec<u8>> {
    let mut heads = Heads { route, host, good: route.sample.body.to_string(), mint, made: Vec::new() };
    heads.headers();
    heads.lines();
    heads.hosts();
    heads.framing();
    heads.keys();
    heads.made
}

struct Heads<'a> {
    route: &'a Route,
    host: &'a str,
    good: String,
    mint: &'a mut Mint,
    made: Vec<Vec<u8>>,
}

impl Heads<'_> {
    fn fresh(&mut self, name: &str) -> String {
        self.mint.fresh(&format!("head: {name}"))
    }

    fn with(&mut self, headers: &str) {
        self.made.push(self.route.post(self.host, headers, self.good.as_bytes()));
    }

    fn headers(&mut self) {
        // Of a form that is echoed to its sender, and must not be recorded: it could hold a name.
        let echoed = self.mint.reserve("head: request id", |mint| mint.letters(LENGTH));
        self.mint.plant("head: request id", &echoed, Allowed::Heads);
        let [cookie, agent, trace, other] =
            ["cookie", "user agent", "trace", "harmless headers"].map(|name| self.fresh(name));
        self.with(&format!(
            "X-Request-Id: jane.{echoed}\r\ntraceparent: 00-{trace}-{trace}-01\r\ntracestate: {trace}={trace}\r\n\
             Cookie: {cookie}={cookie}\r\nUser-Agent: {agent}\r\nReferer: https://{other}/\r\nForwarded: for={other}\r\n\
             X-Forwarded-For: {other}\r\nX-{other}: {other}\r\nVia: {other}\r\nFrom: {other}@example.com\r\n"
        ));
        for (name, header) in [
            ("request id that is not echoed", "X-Request-Id: a "),
            ("origin", "Origin: https://"),
            ("expectation", "Expect: "),
            ("content coding", "Content-Encoding: "),
            ("transfer coding", "Transfer-Encoding: "),
            ("connection option", "Connection: "),
            ("upgrade", "Upgrade: "),
            ("second host", "Host: "),
            ("second media type", "Content-Type: text/"),
            ("second key", "Authorization: Bearer "),
            ("second length", "Content-Length: 5"),
            ("method override", "X-HTTP-Method-Override: "),
            ("header without a value", "\u{1}"),
        ] {
            let canary = self.fresh(name);
            self.with(&format!("{header}{canary}\r\n"));
        }
        let long = self.fresh("long header").repeat(1_000);
        self.with(&format!("X-Long: {long}\r\n"));
    }

    /// Request lines; `@` stands for the canary, `/P` for the path.
    fn lines(&mut self) {
        for (name, line) in [
            ("method", "@ /P HTTP/1.1"),
            ("method that HTTP knows", "PATCH /P HTTP/1.1\r\nX-Canary: @"),
            ("path", "POST /@ HTTP/1.1"),
            ("path beneath", "POST /P/@ HTTP/1.1"),
            ("query", "POST /P?email=@ HTTP/1.1"),
            ("absolute target", "POST http://@/P HTTP/1.1"),
            ("target with user information", "POST http://me:@@localhost/P HTTP/1.1"),
            ("target that is none", "POST @ HTTP/1.1"),
            ("fragment", "POST /P#@ HTTP/1.1"),
            ("blank in the target", "POST /P @ HTTP/1.1"),
            ("version", "POST /P HTTP/@"),
            ("target beyond ASCII", "POST /P/é@ HTTP/1.1"),
            ("no request line", "@"),
        ] {
            let line = line.replace('@', &self.fresh(name)).replace("/P", &self.route.path);
            let rest = self.rest(self.host, "application/json");
            self.made.push(format!("{line}\r\n{rest}{}", self.good).into());
        }
    }

    /// Everything of a request after its first line, up to the body.
    fn rest(&self, host: &str, media_type: &str) -> String {
        format!(
            "Host: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: {media_type}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            self.route.key,
            self.good.len(),
        )
    }

    fn first_line(&self) -> String {
        format!("POST {} HTTP/1.1\r\n", self.route.path)
    }

    fn hosts(&mut self) {
        let canary = self.fresh("host");
        for host in
            [format!("{canary}.example.com"), format!("{canary}@localhost"), format!("localhost:{canary}")]
        {
            self.made.push(
                format!("{}{}{}", self.first_line(), self.rest(&host, "application/json"), self.good).into(),
            );
        }
        let canary = self.fresh("media type");
        let rest = self.rest(self.host, &format!("text/{canary}"));
        self.made.push(format!("{}{rest}{}", self.first_line(), self.good).into());
    }

    fn framing(&mut self) {
        let [size, extension, trailer, unended] =
            ["chunk size", "chunk extension", "trailer", "head that does not end"]
                .map(|name| self.fresh(name));
        let chunked = format!(
            "{}Host: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\n\r\n",
            self.first_line(),
            self.host,
            self.route.key,
        );
        let (length, good) = (self.good.len(), &self.good);
        self.made.extend(
            [
                format!("{chunked}{size}\r\n"),
                format!("{chunked}{length:x};{extension}={extension}\r\n{good}\r\n0\r\n\r\n"),
                format!("{chunked}{length:x}\r\n{good}\r\n0\r\nX-{trailer}: {trailer}\r\n\r\n"),
                format!("{}Host: {}\r\nX-{unended}: {unended}", self.first_line(), self.host),
            ]
            .map(String::into_bytes),
        );
    }

    fn keys(&mut self) {
        let [wrong, other] = ["wrong key", "another scheme"].map(|name| self.fresh(name));
        let right = &self.route.key;
        let basic = STANDARD.encode(format!("me:{other}"));
        let cut = right.get(..right.len().saturating_sub(1)).unwrap_or_default();
        for authorization in [
            format!("Bearer dgw_{wrong}{wrong}"),
            format!("Bearer {cut}"),
            format!("Basic {basic}"),
            format!("Digest username=\"{other}\""),
            other.clone(),
            right.clone(),
            format!("Bearer {other} {other}"),
        ] {
            let length = self.good.len();
            self.made.push(
                format!(
                    "{}Host: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
                     Authorization: {authorization}\r\nContent-Length: {length}\r\n\r\n{}",
                    self.first_line(),
                    self.host,
                    self.good,
                )
                .into(),
            );
        }
    }
}
