//! How is the gateway run so that everything it says is caught?

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::answer::Answer;
use super::audit_table::Records;
use super::folder::{Folder, files_under};
use super::problem::Problem;

/// How long anything is waited for before the self test gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The files of a stand that the gateway did not make.
const OURS: [&str; 5] = ["user", "pass", "authority.pem", "gateway.toml", "caught"];

/// A gateway that runs in a folder of its own; it is ended, by its process id, when this is dropped.
pub(super) struct Gateway {
    folder: Folder,
    process: Child,
    callers: SocketAddr,
    operators: SocketAddr,
    host: String,
    answers: Mutex<Vec<Answer>>,
}

/// Everything that one gateway said.
pub(super) struct Caught {
    /// To anybody but callers: channel and bytes.
    pub(super) channels: Vec<(String, Vec<u8>)>,
    /// To callers.
    pub(super) answers: Vec<Answer>,
    pub(super) exit: ExitStatus,
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
            answers: Mutex::default(),
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

    /// Ends the gateway and hands over all that it said.
    pub(super) fn end(mut self) -> Result<Caught, Problem> {
        let mut channels = Vec::new();
        let targets = ["/metrics", "/livez", "/readyz", "/readyz?verbose", "/version", "/nothing-here"];
        for target in targets {
            channels.push((format!("operators: {target}"), self.operators(target)));
        }
        for name in ["cmdline", "environ"] {
            // Who may not look has seen nothing, which is as good.
            let bytes = fs::read(format!("/proc/{}/{name}", self.process.id())).unwrap_or_default();
            channels.push((format!("process: {name}"), bytes));
        }
        self.ask_to_stop();
        let process = &mut self.process;
        let exit = wait_for("the end of the gateway", || process.try_wait().ok().flatten())?;
        for name in ["stdout", "stderr"] {
            let path = self.caught(name);
            // There is none where standard output was a device.
            if path.exists() {
                channels.push((name.to_owned(), fs::read(path)?));
            }
        }
        let mut names = Vec::new();
        for (path, bytes) in files_under(self.folder.path())? {
            let first = path.iter().next().unwrap_or_default().to_string_lossy();
            if OURS.contains(&&*first) || super::audit_table::KEY_FILES.contains(&&*first) {
                continue;
            }
            names.extend_from_slice(format!("{}\n", path.display()).as_bytes());
            channels.push(("files left behind".to_owned(), bytes));
        }
        channels.push(("names of files left behind".to_owned(), names));
        let answers = std::mem::take(&mut *self.kept());
        Ok(Caught { channels, answers, exit })
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
