//! Which keys can be written, of which type, within which limits, with which defaults?
//!
//! Each key's first line is what a report shows when the key is missing; all its lines are its
//! description in `dcams-gateway schema config`. `config/gateway.toml` repeats limits and defaults, and a
//! test compares the two.

use super::addresses::{Host, OpsListen, UrlPath};
use super::collections::{List, Named};
use super::model::{
    Effect, HttpVersion, Listen, LogFormat, Recording, Roots, SecretRef, UpstreamUrl, Validate,
};
use super::names::{FileName, FilePath, Filter, KeyId, Member, Name};
use super::reader::tables;
use super::references::{CredentialName, Expiry, Output, Sha256, Variable};
use super::units::{Count, Flag, Share, Size, Speed, Time};

tables! {
    /// The configuration of dcams-gateway: one TOML file.
    Root {
        /// Name of this instance in the audit record.
        /// Absent: the host's name.
        may instance: Name;
        /// Folder of the schema files, relative to the folder of this file.
        /// Absent: the schemas that are built in.
        may schemas_dir: FilePath;
        /// The listener of the callers.
        may data: Data = {};
        /// The listener of the operators.
        may ops: Ops = {};
        /// Where audit records go.
        must audit: Audit;
        /// How diagnostics are written to stderr.
        may log: Log = {};
        /// How the upstream is spoken to.
        may upstream: Upstream = {};
        /// Where callers post to and where that is forwarded to, by name.
        must endpoints: Named<Endpoint>;
        /// The pairs of API user name and password, by name; secrets by reference only.
        must credentials: Named<Credential>;
        /// The services, by the value of the endpoint's service member.
        must services: Named<Service>;
        /// Who may call, and what.
        must callers: List<Caller>;
    }

    /// The listener of the callers.
    Data {
        /// Addresses: an IP address with port, or `unix:` and an absolute path.
        /// Other than loopback only with TLS.
        may listen: List<Listen> = ["127.0.0.1:3226"];
        /// Certificate and key for the TCP addresses.
        /// Absent: plain HTTP, which is for loopback only.
        may tls: Tls;
        /// Worker threads.
        /// Absent: one per core.
        may workers: Count => "1" to "1024";
        /// All request bodies in memory at once.
        may body_budget: Size = "128MiB" => "1MiB" to "1024GiB";
        /// All upstream answers in memory at once.
        may answer_budget: Size = "64MiB" => "1MiB" to "1024GiB";
        /// How much of `body_budget` one caller may hold.
        may caller_share: Share = "50%" => "1%" to "100%";
        /// How long a body waits for a full budget before it is refused with 503 `overloaded`.
        may budget_wait: Time = "1s" => "0s" to "60s";
        /// A body slower than this, averaged since its request head, is refused with 408; 0B/s: none is.
        may min_body_rate: Speed = "16KiB/s" => "0B/s" to "1GiB/s";
        /// How long a body may be slower than `min_body_rate`.
        may min_body_rate_grace: Time = "5s" => "0s" to "10m";
        /// From the accepted connection to its first byte.
        may first_byte_timeout: Time = "10s" => "100ms" to "10m";
        /// From the first byte of a request head to its last.
        may header_timeout: Time = "10s" => "100ms" to "10m";
        /// From the request head to the last byte of the body.
        may body_timeout: Time = "60s" => "100ms" to "1h";
        /// A connection without a request, or whose caller reads nothing of an answer, is closed after this.
        may idle_timeout: Time = "75s" => "100ms" to "1h";
        /// Open connections in total.
        may max_connections: Count = 1024 => "1" to "1000000";
        /// Open connections per peer: IP address, or uid on a unix socket.
        may max_connections_per_peer: Count = 512 => "1" to "1000000";
        /// Requests in progress in total; more are refused with 503 `overloaded`.
        may max_requests: Count = 512 => "1" to "1000000";
        /// Largest request head.
        may max_head: Size = "16KiB" => "8KiB" to "1MiB";
        /// Values of `Host`, without port, that loopback addresses answer to (DNS rebinding); of `ops.listen` too.
        may hosts: List<Host> = ["localhost", "127.0.0.1", "[::1]"];
        /// How long SIGTERM waits for requests in progress.
        may drain_timeout: Time = "30s" => "0s" to "1h";
        /// How long after SIGTERM requests on open connections are still served.
        may drain_grace: Time = "5s" => "0s" to "1h";
    }

    /// A certificate chain and its private key; read again when the files change.
    Tls {
        /// PEM file with the certificate chain, the server's own first.
        must cert: FilePath;
        /// PEM file with the private key; not readable by everybody.
        must key: FilePath;
    }

    /// The listener of the operators: health, metrics and version.
    Ops {
        /// An IP address with port, or `off`.
        may listen: OpsListen = "127.0.0.1:3227";
        /// Whether metrics carry the callers' names.
        /// Absent: only when `listen` is a loopback address.
        may caller_names: Flag;
    }

    /// Where audit records go.
    Audit {
        /// `{ folder = "…" }`: a chain of signed segments, which needs `signing_key`; or `"stdout"`: lines that are
        /// numbered and as durable as what reads them.
        may output: Output = "stdout";
        /// The Ed25519 key that signs the checkpoints, by reference: PKCS#8 in PEM.
        /// Absent: `output` is `"stdout"`.
        may signing_key: SecretRef;
        /// The secret that the keys of the chain come from, by reference: 32 bytes or more. It is read only to begin
        /// a chain, in an empty folder; then take it off the host and keep it for `audit verify`.
        /// Absent: the folder holds a chain, or `output` is `"stdout"`.
        may chain_key: SecretRef;
        /// A segment of the folder is ended at this size.
        may segment_bytes: Size = "64MiB" => "4KiB" to "64GiB";
        /// A segment of the folder is ended at this age.
        may segment_age: Time = "24h" => "1s" to "366d";
        /// How often a signed checkpoint is written, while there are lines.
        may checkpoint_interval: Time = "1m" => "100ms" to "24h";
        /// How many ended segments are kept; the oldest is removed first, and a record tells of it.
        /// Absent: all.
        may retain_segments: Count => "1" to "1000000";
        /// How long an ended segment is kept after its last line.
        /// Absent: for ever.
        may retain_age: Time => "1m" to "36525d";
        /// How many bytes all segments may have together; the one being written is never removed.
        /// Absent: any number.
        may retain_bytes: Size => "4KiB" to "1024GiB";
        /// With less free disk space than this, records of strangers are counted and not written; 0B: they always are.
        may reserve: Size = "64MiB" => "0B" to "1024GiB";
        /// The secret key of the fingerprints, by reference: 32 bytes or more.
        must fingerprint_key: SecretRef;
        /// Name of that key in the records: 1 to 32 of a-z 0-9 -.
        may fingerprint_key_id: KeyId = "k1";
        /// At which rate is recorded what nobody identified as a caller sent; the rest is counted.
        may stranger_rate: RateTable = { per_second = 1, burst = 10 };
    }

    /// How diagnostics are written to stderr.
    Log {
        /// Which events: a level, or levels by module.
        may filter: Filter = "info";
        /// `json`: one object a line; `text`: for people.
        may format: LogFormat = "json";
    }

    /// How the upstream is spoken to, for all endpoints.
    Upstream {
        /// HTTP version, `"1.1"` or `"2"`.
        may http: HttpVersion = "1.1";
        /// Which certificate authorities are trusted.
        /// `"native"`: the operating system's; `"webpki"`: Mozilla's, built in; `{ file = "…" }`: a PEM file.
        may roots: Roots = "native";
        /// For the TCP and TLS handshakes together.
        may connect_timeout: Time = "5s" => "10ms" to "60s";
        /// From the start of a forward to the last byte of its answer, for endpoints without a `deadline`.
        may deadline: Time = "30s" => "100ms" to "10m";
        /// Idle upstream connections are closed after this.
        may idle_timeout: Time = "30s" => "0s" to "10m";
        /// Idle connections that each worker keeps per caller and endpoint.
        may max_idle_per_caller: Count = 8 => "0" to "1024";
        /// Largest answer.
        may answer_limit: Size = "32MiB" => "1KiB" to "1GiB";
        /// Accept `http://` URLs of loopback hosts, for tests: credentials then travel in clear.
        may plain_http_to_loopback: Flag = false;
        /// What is sent again, and how often.
        may retry: Retry = {};
        /// When nothing is sent for a while, because DCAMS failed too often.
        may breaker: Breaker = {};
    }

    /// What is sent again, and how often: reads that DCAMS could not be reached for, or that were not answered in time;
    /// writes only where no connection came about.
    Retry {
        /// Attempts of one request at most, the first included; 1: nothing is tried again.
        may attempts: Count = 3 => "1" to "10";
        /// A read without an answer is tried again after this, if another attempt is allowed.
        /// Absent: half of the endpoint's `deadline`.
        may attempt_timeout: Time => "10ms" to "10m";
        /// The longest pause before the second attempt; it doubles with each further one. Every shorter pause is as
        /// likely.
        may backoff_base: Time = "50ms" => "1ms" to "60s";
        /// The longest pause.
        may backoff_max: Time = "1s" => "1ms" to "60s";
        /// Retries of one caller, of its requests to one endpoint within `budget_window`.
        may budget: Share = "20%" => "0%" to "100%";
        /// Retries a second that each caller has beyond that.
        may budget_min_per_second: Count = 1 => "0" to "1000";
        /// How long a request counts towards the budget.
        may budget_window: Time = "10s" => "1s" to "60s";
    }

    /// When nothing is sent for a while, because DCAMS failed too often. Each endpoint has a breaker for all callers,
    /// which opens where no connection comes about; each caller has its own, for reads and for writes.
    Breaker {
        /// Failures within `window` that open it; 0: it never opens.
        may failures: Count = 10 => "0" to "100000";
        /// Which part of all attempts within `window` they must be.
        may share: Share = "50%" => "1%" to "100%";
        /// How long an attempt counts.
        may window: Time = "10s" => "1s" to "10m";
        /// An answer that takes longer counts as a failure.
        may slow: Time = "15s" => "10ms" to "10m";
        /// How long it stays open for the first time, at most; at least half of it.
        may open_for: Time = "5s" => "100ms" to "10m";
        /// How long it stays open at most when it is opened again and again, each time for twice as long.
        may open_max: Time = "1m" => "100ms" to "1h";
        /// Attempts at once that probe it afterwards, and how many of them must be fine to close it.
        may probes: Count = 3 => "1" to "100";
    }

    /// A path that callers post to, and the URL that it is forwarded to.
    Endpoint {
        /// What callers post to, for example `/v3/stable/api/storage`.
        must path: UrlPath;
        /// Where it is forwarded to: an https URL without user information, query and fragment.
        must url: UpstreamUrl;
        /// The top-level body member that names the service.
        /// Absent: the endpoint has exactly one service.
        may service_member: Member;
        /// From the start of a forward to the last byte of its answer.
        /// A write that was begun is seen through for up to twice as long, and recorded.
        /// Absent: as `upstream.deadline`.
        may deadline: Time => "100ms" to "10m";
    }

    /// One pair of API user name and password.
    Credential {
        /// The API user name, by reference: `{ file = "…" }`, `{ env = "…" }` or `{ credential = "…" }`.
        must user: SecretRef;
        /// The API password, by reference as `user`.
        must pass: SecretRef;
        /// A second pair, which is used while DCAMS rejects the first: what comes next, or came before, in a rotation.
        /// Absent: there is none.
        may next: NextPair;
        /// A limit for the account as a whole.
        /// Absent: none.
        may rate: RateTable;
    }

    /// A second pair of API user name and password for the same account.
    NextPair {
        /// The API user name, by reference.
        must user: SecretRef;
        /// The API password, by reference.
        must pass: SecretRef;
    }

    /// One service of an endpoint.
    Service {
        /// The name of its endpoint.
        must endpoint: Name;
        /// Its schema file in the folder of the schemas.
        /// Absent: the service's name and `.schema.json`.
        may schema: FileName;
        /// `enforce`, or `report` for roll-out: the schema's verdict is recorded, not enforced.
        may validate: Validate = "enforce";
        /// `read` or `write`: whether it changes anything upstream, which decides the retry rule.
        must effect: Effect;
        /// Largest body.
        may body_limit: Size = "20MiB" => "1KiB" to "1GiB";
        /// `required`: nothing is forwarded before its intent is durable; `best_effort`: the intent is not waited for.
        may audit: Recording = "required";
    }

    /// One caller. It needs `keys`, a `uid` or `anonymous`.
    Caller {
        /// Its name in records and metrics.
        must name: Name;
        /// SHA-256 of its bearer keys.
        may keys: List<KeyTable> = [];
        /// Its user id on a unix socket.
        /// Absent: it is not known by uid.
        may uid: Count => "0" to "4294967295";
        /// Whether it is everybody without a key, on loopback only; for first steps.
        may anonymous: Flag = false;
        /// The name of the credentials that are injected for it.
        must credentials: Name;
        /// The limit of all its requests: `{ per_second = …, burst = … }`.
        must rate: RateTable;
        /// Further limits, by service.
        may service_rates: Named<RateTable> = {};
        /// Its requests in progress.
        may max_requests: Count = 64 => "1" to "1000000";
        /// Its request bodies in memory at once.
        /// Absent: its share of `data.body_budget`.
        may max_body: Size => "1KiB" to "1024GiB";
        /// The names of the services that it may use.
        must services: List<Name>;
    }

    /// One bearer key.
    KeyTable {
        /// SHA-256 of the key's text: 64 hex digits.
        must sha256: Sha256;
        /// From when on the key is refused: a date (its beginning, UTC) or a timestamp, RFC 3339.
        /// Absent: never.
        may expires: Expiry;
    }

    /// A limit of requests.
    RateTable {
        /// Requests a second, sustained.
        must per_second: Count => "1" to "1000000";
        /// Requests at once.
        /// Absent: as `per_second`.
        may burst: Count => "1" to "1000000";
    }

    /// A file.
    FileTable {
        /// Its path, relative to the folder of the configuration file.
        must file: FilePath;
    }

    /// A folder.
    FolderTable {
        /// Its path, relative to the folder of the configuration file.
        must folder: FilePath;
    }

    /// Where a secret is read from: exactly one of the three.
    SecretTable {
        /// Path of a file that not everybody can read; one trailing newline is not part of the secret.
        may file: FilePath;
        /// Name of an environment variable.
        may env: Variable;
        /// Name of a file in `$CREDENTIALS_DIRECTORY` (systemd).
        may credential: CredentialName;
    }
}
