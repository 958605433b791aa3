//! `audit verify`: is the log whole and unchanged, and up to where is that proven?

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::{Exit, failed, print, tell};
use crate::audit::PublicKey;
use crate::audit::verify::{Evidence, Report, Verdict, verify};
use crate::config::SecretRef;
use crate::secret::Secret;

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit verify /var/lib/dcams-gateway/audit --public-key public.pem
  dcams-gateway audit verify copy/ --public-key public.pem --chain-key chain.key
  dcams-gateway audit verify copy/ --public-key public.pem --checkpoint checkpoints.jsonl
  dcams-gateway audit verify copy/ --public-key public.pem --checkpoint - -o json < kept.jsonl

It needs no gateway, no configuration and no network. Exit code 0: nothing is wrong. 1: something
is, and the first bad record is named first, by segment, line, byte and seq; or nothing is proven,
because no checkpoint was written yet and no chain key was given.

The public key shows that the holder of the signing key wrote every byte before the signature of the
last checkpoint. The chain key shows each single line, up to the last. A checkpoint that was kept off
the machine (`audit checkpoint`) shows that none of the lines before it that are here was changed
since, whoever holds the host and its keys. The oldest segments may be missing where a proven record
says that retention removed them: the verdict tells which; compare it with what was decided. Lines
cut off after the last checkpoint kept elsewhere cannot be seen.";

/// Checkpoints of more than a few years' minutes.
const MOST_CHECKPOINT_BYTES: u64 = 256 << 20;
/// How long before progress is shown, and how often.
const PATIENCE: Duration = Duration::from_secs(1);
/// Findings that are printed as text; all are in the JSON.
const SHOWN: usize = 20;

#[derive(Args)]
pub(super) struct Verify {
    /// The audit folder, or a copy of it
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The public half of the key that signs checkpoints; again for each earlier key
    #[arg(long, value_name = "FILE", required = true)]
    public_key: Vec<PathBuf>,
    /// The secret that the chain was begun with: with it, each line is proven
    #[arg(long, value_name = "FILE")]
    chain_key: Option<PathBuf>,
    /// Checkpoints that were kept off the machine, one a line; - reads standard input; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The form of the verdict
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

pub(super) fn run(command: &Verify) -> Exit {
    let evidence = match evidence(command) {
        Ok(evidence) => evidence,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new();
    let report = match verify(&command.folder, &evidence, &mut |done, all| progress.show(done, all)) {
        Ok(report) => report,
        Err(error) => return failed("cannot read", &command.folder, &error),
    };
    progress.end(report.bytes);
    let text = match command.output {
        Output::Text => as_text(&report),
        Output::Json => serde_json::to_string_pretty(&report).map(|text| text + "\n").unwrap_or_default(),
    };
    match print(&text) {
        Exit::Ok if report.clean => Exit::Ok,
        Exit::Ok => Exit::Negative,
        exit => exit,
    }
}

fn evidence(command: &Verify) -> Result<Evidence, Exit> {
    let keys = command.public_key.iter().map(|path| public_key(path)).collect::<Result<_, _>>()?;
    let chain_key = command.chain_key.as_deref().map(chain_key).transpose()?;
    let mut checkpoints = Vec::new();
    for path in &command.checkpoint {
        let text = checkpoint_text(path).map_err(|error| failed("cannot read", path, &error))?;
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let before = checkpoints.len();
        checkpoints.extend(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        if checkpoints.len() == before {
            tell(&format!("{} holds no checkpoint: expected one a line", path.display()));
            return Err(Exit::Config);
        }
    }
    Ok(Evidence { keys, chain_key, checkpoints })
}

fn public_key(path: &Path) -> Result<PublicKey, Exit> {
    let pem = fs::read(path).map_err(|error| failed("cannot read", path, &error))?;
    PublicKey::of_pem(&pem).map_err(|fault| {
        tell(&format!("{}: {fault}", path.display()));
        Exit::Config
    })
}

fn chain_key(path: &Path) -> Result<Secret, Exit> {
    SecretRef::File(path.to_owned()).read().map_err(|fault| {
        tell(&fault.to_string());
        Exit::Config
    })
}

fn checkpoint_text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(MOST_CHECKPOINT_BYTES).read_to_end(&mut text)?;
    } else {
        fs::File::open(path)?.take(MOST_CHECKPOINT_BYTES).read_to_end(&mut text)?;
    }
    Ok(text)
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let chain = report.chain.map_or_else(|| "unknown".to_owned(), |chain| chain.to_string());
    let range = report.first.zip(report.last).map_or_else(
        || "no lines".to_owned(),
        |(first, last)| format!("seq {first} to {last}, {} lines", report.lines),
    );
    say(match report.verdict {
        Verdict::Clean => "clean: nothing is wrong",
        Verdict::NotClean => "NOT CLEAN",
        Verdict::NothingProven => "NOTHING PROVEN: nothing is wrong, and nothing shows that",
    });
    say(&format!("chain {chain}: {range} in {} segments, {}", report.segments, mebibytes(report.bytes)));
    for (at, finding) in report.findings.iter().take(SHOWN).enumerate() {
        let place = finding.place.map_or_else(|| "the log".to_owned(), |place| place.to_string());
        let more =
            if finding.lines > 1 { format!(" ({} lines in a row)", finding.lines) } else { String::new() };
        say(&format!(
            "{} {place}{more}\n  {}: {}",
            if at == 0 { "\nfirst bad record:" } else { "then:" },
            finding.wrong.code(),
            finding.wrong
        ));
    }
    let left = (report.findings.len().saturating_sub(SHOWN) as u64).saturating_add(report.findings_left_out);
    if left > 0 {
        say(&format!("and {left} findings more"));
    }
    say("\nproven");
    for statement in report.statements() {
        say(&format!("  {statement}"));
    }
    if !report.notes.is_empty() {
        say("\nto know");
        for note in &report.notes {
            say(&format!("  {}: {}", note.code, note.message));
        }
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

/// Says on standard error how far it is, where that takes longer than a second.
struct Progress {
    begun: Instant,
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), shown: None, on_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64, all: u64) {
        let now = Instant::now();
        if now.duration_since(self.shown.unwrap_or(self.begun)) < PATIENCE {
            return;
        }
        self.shown = Some(now);
        let percent = (u128::from(done) * 100).checked_div(all.into()).unwrap_or(100).min(100);
        self.say(&format!("{percent} % of {}, {}", mebibytes(all), self.rate(done)), false);
    }

    fn end(&self, bytes: u64) {
        if self.shown.is_some() {
            self.say(&format!("verified {}, {}", mebibytes(bytes), self.rate(bytes)), true);
        }
    }

    fn rate(&self, done: u64) -> String {
        let elapsed_ms = self.begun.elapsed().as_millis().max(1);
        format!("{} MB/s", u128::from(done) / 1000 / elapsed_ms)
    }

    /// On a terminal, over what was said before.
    fn say(&self, text: &str, is_last: bool) {
        let (before, after) = match (self.on_terminal, is_last) {
            (true, false) => ("\r\x1b[K", ""),
            (true, true) => ("\r\x1b[K", "\n"),
            (false, _) => ("", "\n"),
        };
        let mut stderr = io::stderr().lock();
        // A message that cannot be shown holds nothing up.
        let _ = write!(stderr, "{before}{text}{after}").and_then(|()| stderr.flush());
    }
}
