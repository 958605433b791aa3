//! Which strings are addresses: to listen on, to forward to, to be asked for?

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::model::{Listen, UpstreamUrl};
use super::reader::Limits;
use super::text::{Text, Wrong};

/// `data.listen`: an IP address with port, or `unix:` and an absolute path.
impl Text for Listen {
    const FORM: &str =
        "an IP address with a port such as \"127.0.0.1:3226\" or \"[::1]:3226\", or \"unix:/absolute/path\"";
    const PATTERN: &str = "^(unix:/.{1,106}|[0-9.]+:[0-9]{1,5}|\\[[0-9A-Fa-f:.]+\\]:[0-9]{1,5})$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix("unix:") {
            // sockaddr_un holds 108 bytes, the last of them NUL (unix(7)).
            let usable = Path::new(path).is_absolute() && path.len() <= 107 && !path.contains('\0');
            return match usable {
                true => Ok(Self::Unix(path.into())),
                false => Err(Wrong::new("is not an absolute path of at most 107 bytes")
                    .remedy("write it as \"unix:/run/dcams-gateway/data.sock\"")
                    .concealed_if(may_carry_secret(path))),
            };
        }
        socket_address(text).map(Self::Tcp)
    }

    fn canonical(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

/// `ops.listen`: an IP address with port, or `off`.
pub(super) struct OpsListen(pub(super) Option<SocketAddr>);

impl Text for OpsListen {
    const FORM: &str = "an IP address with a port such as \"127.0.0.1:3227\", or \"off\"";
    const PATTERN: &str = "^(off|[0-9.]+:[0-9]{1,5}|\\[[0-9A-Fa-f:.]+\\]:[0-9]{1,5})$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        match text {
            "off" => Ok(Self(None)),
            _ => socket_address(text).map(|address| Self(Some(address))),
        }
    }

    fn canonical(&self) -> String {
        self.0.map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && host.bytes().all(is_host_byte) => {
            Wrong::new("names a host where an IP address is needed")
        }
        None if text.parse::<IpAddr>().is_ok() => Wrong::new("has no port"),
        _ => Wrong::new("is not an address").concealed_if(may_carry_secret(text)),
    })
}

/// A value of a `Host` header, without port, in lower case.
pub(super) struct Host(pub(super) String);

impl Text for Host {
    const FORM: &str = "a host name or IP address without a port, such as \"localhost\" or \"[::1]\"";
    const PATTERN: &str = "^([A-Za-z0-9._-]{1,253}|\\[[0-9A-Fa-f:.]+\\])$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        match is_host(text) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(Wrong::new("is not a host").concealed_if(may_carry_secret(text))),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

/// A path that callers post to.
pub(super) struct UrlPath(pub(super) String);

impl Text for UrlPath {
    const FORM: &str =
        "a path such as \"/v3/stable/api/storage\": no query, no percent-encoding, no `.` or `..` segment";
    const PATTERN: &str = "^(/[A-Za-z0-9._~-]*)+$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        let wrong = || Wrong::new("is not a usable path").concealed_if(may_carry_secret(text));
        is_path(text).then(|| Self(text.to_owned())).ok_or_else(wrong)
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

/// Where an endpoint forwards to.
impl Text for UpstreamUrl {
    const FORM: &str = "a URL such as \"https://dcams.app/v3/stable/api/storage\"";
    const PATTERN: &str =
        "^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]*)*$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        Self::split(text).map_err(|wrong| wrong.concealed_if(may_carry_secret(text)))
    }

    fn canonical(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

impl UpstreamUrl {
    fn split(text: &str) -> Result<Self, Wrong> {
        if text.contains('@') {
            return Err(Wrong::new("carries user information")
                .remedy("credentials belong into [credentials.NAME], by reference"));
        }
        if text.contains(['?', '#']) {
            return Err(Wrong::new("has a query or a fragment"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| Wrong::new("has no scheme"))?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(Wrong::new("has a scheme other than https")),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        if !is_path(path) {
            return Err(Wrong::new(
                "has a path with other characters than A-Z a-z 0-9 . _ ~ - /, or a `.` segment",
            ));
        }
        let (host, port) = split_authority(authority).ok_or_else(|| Wrong::new("has no usable host"))?;
        let host = host.to_ascii_lowercase();
        let default_port = if tls { 443 } else { 80 };
        let port = port.unwrap_or(default_port);
        let authority = if port == default_port { host.clone() } else { format!("{host}:{port}") };
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).into(),
            port,
            path: path.into(),
            authority: authority.into(),
        })
    }
}

/// Whether a text that is no address has a part in which secrets are often written: a user's password, a query,
/// or nothing that an address has. It need not be well-formed.
fn may_carry_secret(text: &str) -> bool {
    let after_colons = text.split(':').skip(1).filter_map(|part| part.chars().next());
    // After a colon of an address come digits, a path or another colon.
    let password = after_colons.into_iter().any(|first| !first.is_ascii_digit() && !"/]".contains(first));
    let word = !text.contains(['.', ':', '/']);
    password || word || text.contains(['@', '?', '#', '%', '=', '&', '\\']) || text.contains(char::is_control)
}

/// Whether `url`'s host is this machine: the name `localhost`, or a loopback address.
pub(super) fn is_loopback(url: &UpstreamUrl) -> bool {
    &*url.host == "localhost" || url.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand within its brackets.
        Some((_, after)) if after.ends_with(']') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    is_host(host).then_some((host, port))
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let label = |label: &str| {
                (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
            };
            text.len() <= 253
                && text.bytes().all(is_host_byte)
                && text.trim_end_matches('.').split('.').all(label)
        }
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Only what no proxy, framework or server rewrites: unreserved characters (RFC 3986, 2.3) and `/`.
fn is_path(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-/".contains(&byte));
    text.starts_with('/')
        && text.len() <= 1024
        && plain
        && !text.split('/').any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<(bool, String, u16, String, String)> {
        let url = UpstreamUrl::parse(text, None).ok()?;
        Some((url.tls, url.host.into(), url.port, url.path.into(), url.authority.into()))
    }

    #[test]
    fn a_url_is_split_into_what_a_connection_needs() {
        for (text, tls, host, port, path, authority) in [
            ("https://dcams.app/v3/x", true, "dcams.app", 443, "/v3/x", "dcams.app"),
            ("https://DCAMS.app", true, "dcams.app", 443, "/", "dcams.app"),
            ("https://dcams.app:443/", true, "dcams.app", 443, "/", "dcams.app"),
            ("https://dcams.app:8443/a_b~c-d.e", true, "dcams.app", 8443, "/a_b~c-d.e", "dcams.app:8443"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1", 8080, "/", "127.0.0.1:8080"),
            ("https://[::1]/x", true, "::1", 443, "/x", "[::1]"),
            ("https://[::1]:8443/x", true, "::1", 8443, "/x", "[::1]:8443"),
        ] {
            let expected = (tls, host.to_owned(), port, path.to_owned(), authority.to_owned());
            assert_eq!(url(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_url_that_two_parsers_could_read_differently_is_refused() {
        for text in [
            "",
            "https://",
            "https:///x",
            "//dcams.app/",
            "dcams.app",
            "HTTPS://dcams.app/",
            "ftp://dcams.app/",
            "https://user@dcams.app/",
            "https://user:pass@dcams.app/",
            "https://dcams.app/?q",
            "https://dcams.app/#f",
            "https://dcams.app\\@evil/",
            "https://dcams.app/%2e%2e/",
            "https://dcams.app/a/../b",
            "https://dcams.app/./",
            "https://dcams.app:/",
            "https://dcams.app:0/",
            "https://dcams.app:65536/",
            "https://dcams.app:+443/",
            "https://dc ams.app/",
            "https://dcäms.app/",
            "https://-dcams.app/",
            "https://dcams..app/",
            "https://[::1/",
            "https://::1/",
            "https://[127.0.0.1]/",
            "https://dcams.app/a b",
            "https://dcams.app/\n",
            "https://dcams.app\r\n/",
        ] {
            assert_eq!(url(text), None, "{text:?}");
        }
    }

    #[test]
    fn loopback_is_a_name_or_an_address() {
        for (text, loopback) in [
            ("https://localhost/", true),
            ("https://127.0.0.1/", true),
            ("https://127.9.9.9:1/", true),
            ("https://[::1]/", true),
            ("https://dcams.app/", false),
            ("https://localhost.example.com/", false),
            ("https://10.0.0.1/", false),
            ("https://0.0.0.0/", false),
        ] {
            let url = UpstreamUrl::parse(text, None).ok().expect(text);
            assert_eq!(is_loopback(&url), loopback, "{text}");
        }
    }
}
