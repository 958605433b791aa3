//! Which command was meant, and how does it end?

mod audit;
mod check;
mod config_source;
mod demo;
mod diagnostics;
mod documents;
mod hash_key;
mod health;
mod process;
mod run;
mod selftest;
mod simulate;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};

/// How a command ends; the values follow `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The answer is no: not ready, not as it should be.
    Negative = 1,
    /// The command line is not understood.
    Usage = 2,
    /// The upstream cannot be reached.
    UpstreamUnavailable = 69,
    /// Input or output failed.
    Io = 74,
    /// The system does not allow it.
    Permission = 77,
    /// The configuration is faulty.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXAMPLES: &str = "\
Examples:
  dcams-gateway demo                                     see it work, without any set-up
  dcams-gateway hash-key                                 make a key for a caller
  dcams-gateway check --config gateway.toml              find every fault of a configuration
  dcams-gateway selftest redaction --config gateway.toml prove that no secret comes out
  dcams-gateway run --config gateway.toml                serve
  DCAMS_GATEWAY__LOG__FILTER=debug dcams-gateway run --config gateway.toml
                                                         override one key by the environment
  dcams-gateway health --url http://127.0.0.1:3227/readyz

Exit codes: 0 ok, 1 negative verdict, 2 usage, 69 upstream unavailable, 74 input or output,
77 permission, 78 bad configuration.";

/// A sidecar that stands between internal services and the DCAMS storage API: it knows the caller,
/// checks and limits the request, adds the account's credentials, forwards, and keeps a redacted
/// record.
#[derive(Parser)]
#[command(name = "dcams-gateway", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve callers until SIGTERM or SIGINT
    #[command(
        after_help = "Example:\n  dcams-gateway run --config /etc/dcams-gateway/gateway.toml --set data.listen='[\"127.0.0.1:3226\"]'"
    )]
    Run(Configured),
    /// Check configuration, schemas, secrets, listeners and the upstream, and report every fault
    #[command(
        after_help = "Examples:\n  dcams-gateway check --config gateway.toml\n  dcams-gateway check --offline --config gateway.toml     in CI: no socket is opened"
    )]
    Check(check::Check),
    /// Show everything on a built-in double of DCAMS: a forward, refusals and the audit records
    #[command(
        after_help = "Example:\n  dcams-gateway demo --once      end after the transcript instead of serving on"
    )]
    Demo(demo::Demo),
    /// Prove with canaries that nothing comes out that must not, with your own configuration
    Selftest(selftest::Selftest),
    /// Run the double of DCAMS alone
    #[command(
        after_help = "Example:\n  dcams-gateway simulate --listen 127.0.0.1:8443 --fault truncate:100 --ca-file ca.pem"
    )]
    Simulate(simulate::Simulate),
    /// Print a schema: of the configuration, of the callers' API, of the audit lines or of a service
    #[command(
        after_help = "Examples:\n  dcams-gateway schema config\n  dcams-gateway schema openapi > openapi.json\n  dcams-gateway schema getStatus"
    )]
    Schema(documents::Schema),
    /// Verify and read the audit log, and make its keys
    Audit(audit::Audit),
    /// Make a random key for a caller, or hash one that is read from standard input
    #[command(after_help = "Examples:\n  dcams-gateway hash-key\n  dcams-gateway hash-key --stdin < key.txt")]
    HashKey(hash_key::HashKey),
    /// Ask a running gateway whether it is ready; for probes
    #[command(after_help = "Example:\n  dcams-gateway health --url http://127.0.0.1:3227/readyz")]
    Health(health::Health),
    /// Print the version
    Version,
    /// Print a shell's completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What every command with a configuration takes.
#[derive(Args)]
struct Configured {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = "/etc/dcams-gateway/gateway.toml")]
    config: PathBuf,
    /// Override one key: a dotted path and a TOML value, or a bare string; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    crate::tls::install_provider();
    process::quiet_panics();
    // Usage errors and `--help` end here, with 2 and 0.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let error = unquoted(error);
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let exit = ended(cli.command);
    process::flush_log();
    exit.into()
}

fn ended(command: Command) -> Exit {
    match command {
        Command::Run(configured) => run::run(&configured),
        Command::Check(check) => check::check(&check),
        Command::Demo(demo) => demo::demo(&demo),
        Command::Selftest(selftest) => selftest::selftest(&selftest),
        Command::Simulate(simulate) => simulate::simulate(simulate),
        Command::Schema(schema) => documents::schema(&schema),
        Command::Audit(audit) => audit::audit(audit),
        Command::HashKey(hash_key) => hash_key::hash_key(&hash_key),
        Command::Health(health) => health::health(&health),
        Command::Version => print(&format!("dcams-gateway {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Completions { shell } => completions(shell),
        Command::Man => manual(),
    }
}

/// Without the words that stand where none belongs, also behind `=` of a flag that takes no value: one of them may be a
/// key, or a person's e-mail, that was pasted there.
fn unquoted(mut error: clap::Error) -> clap::Error {
    let stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => !argument.starts_with('-'),
        _ => false,
    };
    if error.kind() == ErrorKind::UnknownArgument && stray {
        error.insert(ContextKind::InvalidArg, ContextValue::String("…".to_owned()));
        error.remove(ContextKind::Suggested);
    }
    if error.kind() == ErrorKind::TooManyValues {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    error
}

/// Writes data to standard output.
fn print(text: &str) -> Exit {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Io,
    }
}

/// Writes a message to standard error. When even that fails, nobody is left to be told.
fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

fn completions(shell: clap_complete::Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dcams-gateway", &mut text);
    print(&String::from_utf8_lossy(&text))
}

fn manual() -> Exit {
    let mut text = Vec::new();
    match clap_mangen::Man::new(Cli::command()).render(&mut text) {
        Ok(()) => print(&String::from_utf8_lossy(&text)),
        Err(_) => Exit::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_line_that_only_the_command_can_judge_ends_as_one_that_is_not_understood() {
        for line in [
            &["health", "--url", "https://127.0.0.1:3227/readyz"][..],
            &["health", "--url", "/readyz"],
            &["simulate", "--log", "a=b=c"],
            &["schema", "getstatus"],
            &["check", "--set", "log.filter"],
        ] {
            let cli = Cli::try_parse_from([&["dcams-gateway"], line].concat()).ok().unwrap();
            assert_eq!(ended(cli.command), Exit::Usage, "{line:?}");
        }
    }
}
