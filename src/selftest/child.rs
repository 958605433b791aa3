//! How is the gateway run so that everything it says is caught?

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::answer::Answer;
use super::audit_table::{AUDIT_FOLDER, KEY_FILES, Records};
use super::folder::{Folder, files_under};
use super::problem::Problem;
use super::readers::readings;

/// How long anything is waited for before the self test gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The files of a stand that the gateway did not make.
const OURS: [&str; 5] = ["user", "pass", "authority.pem", "gateway.toml", "caught"];

/// What operators may ask for.
const TARGETS: [&str; 7] =
    ["/metrics", "/livez", "/readyz", "/readyz?verbose", "/version", "/audit/checkpoint", "/nothing-here"];

/// A gateway that runs in a folder of its own; it is ended, by its process id, when this is dropped.
pub(super) struct Gateway {
    folder: Folder,
    process: Child,
    callers: SocketAddr,
    operators: SocketAddr,
    host: String,
    binary: PathBuf,
    records: Records,
    answers: Mutex<Vec<Answer>>,
    /// What operators saw.
    seen: Mutex<Vec<Said>>,
}

/// What was said on one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) channel: String,
    pub(super) bytes: Vec<u8>,
    /// Whether a channel without bytes was not searched, rather than silent.
    pub(super) never_empty: bool,
}

impl Said {
    fn always(channel: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { channel: channel.into(), bytes, never_empty: true }
    }

    fn perhaps(channel: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { channel: channel.into(), bytes, never_empty: false }
    }
}

/// Everything that one gateway said.
pub(super) struct Caught {
    /// To anybody but callers.
    pub(super) channels: Vec<Said>,
    /// To callers.
    pub(super) answers: Vec<Answer>,
    pub(super) exit: ExitStatus,
    /// Where the records went.
    pub(super) records: Records,
    /// Commands on the records that did not end with 0.
    pub(super) failed: Vec<(String, ExitStatus)>,
}

impl Gateway {
    /// Runs `binary` on the configuration in `folder`, with nothing of this process's environment.
    pub(super) fn start(
        act: &'static str,
        binary: &Path,
        folder: Folder,
        host: &str,
        records: Records,
    ) -> Result<Self, Problem> {
        let caught = folder.folder("caught")?;
        let run = folder.folder("run")?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(folder.path().join("gateway.toml"));
        command.env_clear().current_dir(run).stdin(std::process::Stdio::null());
        let stdout = match records.device() {
            Some(device) => File::options().write(true).open(device)?,
            None => File::create(caught.join("stdout"))?,
        };
        command.stdout(stdout).stderr(File::create(caught.join("stderr"))?);
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            process: command.spawn()?,
            folder,
            callers: unknown,
            operators: unknown,
            host: host.to_owned(),
            binary: binary.to_owned(),
            records,
            answers: Mutex::default(),
            seen: Mutex::default(),
        };
        gateway.callers = gateway.announced(act, "serving callers")?;
        gateway.operators = gateway.announced(act, "serving operators")?;
        Ok(gateway)
    }

    /// Waits for the address that the gateway says it serves.
    fn announced(&mut self, act: &'static str, what: &'static str) -> Result<SocketAddr, Problem> {
        let path = self.caught("stderr");
        let ended = &mut self.process;
        let found = wait_for(what, || {
            let said = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            let address = address_in(&said, what).map(Ok);
            // Asked only where nothing was found, so that what was said last is not missed.
            address.or_else(|| {
                matches!(ended.try_wait(), Ok(None)).then_some(()).map_or(Some(Err(said)), |()| None)
            })
        });
        match found? {
            Ok(address) => Ok(address),
            Err(said) => {
                let tail = said.chars().rev().take(2_000).collect::<Vec<_>>().into_iter().rev().collect();
                Err(Problem::Start { act, said: tail })
            }
        }
    }

    fn caught(&self, name: &str) -> PathBuf {
        self.folder.path().join("caught").join(name)
    }

    /// The value of `Host` that the gateway answers to.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Sends `request` on a connection of its own and reads until it is closed.
    pub(super) fn send(&self, request: &[u8]) -> Answer {
        match self.connect() {
            Ok(mut stream) => {
                // Refused early, a request need not be taken to its end.
                let _ = stream.write_all(request);
                self.take(&read_all(&mut stream))
            }
            Err(_) => self.take(&[]),
        }
    }

    /// A connection to the callers' listener.
    pub(super) fn connect(&self) -> std::io::Result<TcpStream> {
        connect(self.callers)
    }

    /// Keeps an answer for the search.
    pub(super) fn take(&self, bytes: &[u8]) -> Answer {
        let answer = Answer::of(bytes);
        self.kept().push(answer.clone());
        answer
    }

    /// The codes of all refusals so far.
    pub(super) fn has_answered(&self, code: &str) -> bool {
        self.kept().iter().any(|answer| answer.code().as_deref() == Some(code))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What operators see at `target`, head included.
    pub(super) fn operators(&self, target: &str) -> Vec<u8> {
        let Ok(mut stream) = connect(self.operators) else { return Vec::new() };
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host);
        let _ = stream.write_all(request.as_bytes());
        read_all(&mut stream)
    }

    /// Asks it to stop.
    pub(super) fn ask_to_stop(&self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself, which its exit tells.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Looks at all that operators may see, while there is somebody to answer.
    pub(super) fn look_as_operator(&self) {
        if self.records == Records::Folder {
            // One is written within a second. Where none is, the channel has no bytes.
            let _ = wait_for("a checkpoint", || self.checkpoint().map(drop));
        }
        for target in TARGETS {
            let bytes = match (target, self.records) {
                ("/audit/checkpoint", Records::Folder) => self.checkpoint().unwrap_or_default(),
                _ => self.operators(target),
            };
            self.see(target, bytes);
        }
    }

    /// Keeps what operators saw for the search.
    pub(super) fn see(&self, target: &str, bytes: Vec<u8>) {
        self.seen().push(Said::always(format!("operators: {target}"), bytes));
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Said>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint(&self) -> Option<Vec<u8>> {
        Some(self.operators("/audit/checkpoint")).filter(|bytes| bytes.starts_with(b"HTTP/1.1 200 "))
    }

    /// Ends the gateway and hands over all that it said.
    pub(super) fn end(mut self) -> Result<Caught, Problem> {
        if self.seen().is_empty() {
            self.look_as_operator();
        }
        let mut channels = std::mem::take(&mut *self.seen());
        // Its environment is not read: nothing is in it, and the system shows it to nobody.
        let line = fs::read(format!("/proc/{}/cmdline", self.process.id()));
        channels.push(Said::always("process: cmdline", line.unwrap_or_default()));
        self.ask_to_stop();
        let process = &mut self.process;
        let exit = wait_for("the end of the gateway", || process.try_wait().ok().flatten())?;
        let records = self.records;
        let stdout =
            |bytes| Said { channel: "stdout".to_owned(), bytes, never_empty: records == Records::Stdout };
        if records.device().is_none() {
            channels.push(stdout(fs::read(self.caught("stdout"))?));
        }
        channels.push(Said::always("stderr", fs::read(self.caught("stderr"))?));
        let mut failed = Vec::new();
        if records == Records::Folder {
            let mut notices = Vec::new();
            for reading in readings(&self.binary, &self.folder.path().join(AUDIT_FOLDER))? {
                channels.push(Said::always(&reading.command, reading.stdout));
                notices.extend(reading.stderr);
                if !reading.exit.success() {
                    failed.push((reading.command, reading.exit));
                }
            }
            channels.push(Said::perhaps("audit commands: stderr", notices));
        }
        channels.extend(left_behind(files_under(self.folder.path())?, records));
        let answers = std::mem::take(&mut *self.kept());
        Ok(Caught { channels, answers, exit, records, failed })
    }
}

/// What the gateway, and the commands on its records, left in `files`.
fn left_behind(files: Vec<(PathBuf, Vec<u8>)>, records: Records) -> Vec<Said> {
    let (mut left, mut names, mut segments, mut states) = (Vec::new(), Vec::new(), 0, 0);
    for (path, bytes) in files {
        let first = path.iter().next().unwrap_or_default().to_string_lossy();
        if OURS.contains(&&*first) || KEY_FILES.contains(&&*first) {
            continue;
        }
        names.extend_from_slice(format!("{}\n", path.display()).as_bytes());
        left.push(match kind(&path) {
            Kind::Segment => {
                segments += 1;
                Said::always(format!("audit: segment {segments}"), bytes)
            }
            Kind::State => {
                states += 1;
                Said::always("audit: state of the chain", bytes)
            }
            Kind::Lock => Said::perhaps("audit: lock", bytes),
            Kind::Index => Said::always("audit: index", bytes),
            // Its name may be anything: it stands in no report.
            Kind::Other => Said::perhaps("files left behind", bytes),
        });
    }
    if records == Records::Folder {
        let absent = [(segments, "audit: segment 1"), (states, "audit: state of the chain")];
        left.extend(absent.iter().filter(|it| it.0 == 0).map(|it| Said::always(it.1, Vec::new())));
    }
    left.push(Said {
        channel: "names of files left behind".to_owned(),
        bytes: names,
        never_empty: records == Records::Folder,
    });
    left
}

/// What a file in the folder of the records is.
enum Kind {
    Segment,
    State,
    Lock,
    Index,
    Other,
}

fn kind(path: &Path) -> Kind {
    let parts: Vec<_> = path.components().collect();
    let [Component::Normal(folder), Component::Normal(name)] = &parts[..] else { return Kind::Other };
    match name.to_str() {
        _ if *folder != AUDIT_FOLDER => Kind::Other,
        Some("chain") => Kind::State,
        Some("lock" | "index.sqlite-lock") => Kind::Lock,
        Some("index.sqlite") => Kind::Index,
        Some(name) if name.starts_with("audit-") && name.ends_with(".jsonl") => Kind::Segment,
        _ => Kind::Other,
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A gateway that has ended cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the line that says `what`.
fn address_in(said: &str, what: &str) -> Option<SocketAddr> {
    // The last line may still be half written.
    let line = said.split_inclusive('\n').find(|line| line.contains(what) && line.ends_with('\n'))?;
    let address = line.get(line.find("127.0.0.1:")?..)?;
    let end = address.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
    address.get(..end.unwrap_or(address.len()))?.parse().ok()
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What comes until the connection ends, however it does.
pub(super) fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    bytes
}

/// Asks again and again until there is something.
pub(super) fn wait_for<T>(what: &'static str, mut look: impl FnMut() -> Option<T>) -> Result<T, Problem> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(Problem::Patience(what));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_a_whole_line_of_either_log_format() {
        let what = "serving callers";
        let address = "127.0.0.1:4711".parse().ok();
        let json = "{\"message\":\"serving callers\",\"address\":\"127.0.0.1:4711\"}\n";
        assert_eq!(address_in(json, what), address);
        assert_eq!(address_in("INFO serving callers address=127.0.0.1:4711\n", what), address);
        assert_eq!(address_in("INFO serving callers address=127.0.0.1:47", what), None);
        assert_eq!(address_in("INFO serving operators address=127.0.0.1:47\n", what), None);
    }
}
