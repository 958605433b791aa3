//! What does a terminal show, and what not?

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::log::{BEGIN_US, Log, Random, Request, request};

/// Runs the command on a terminal of its own, types `typed` once `prompt` is shown, and gives all that was shown.
fn on_terminal(command: &mut Command, prompt: &str, typed: &str) -> String {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let no_controlling_terminal = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let user_end = || {
        OpenOptions::new().read(true).write(true).custom_flags(no_controlling_terminal).open(&name).unwrap()
    };
    let mut child =
        command.stdin(user_end()).stdout(user_end()).stderr(Stdio::from(user_end())).spawn().unwrap();
    // They hold the user's end open.
    *command = Command::new("true");
    let mut controller = File::from(controller);
    let mut shown = Vec::new();
    let mut to_type = Some(typed);
    let mut buffer = [0; 4096];
    // Reading fails when the last user's end is closed.
    while let Ok(read @ 1..) = controller.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..read]);
        if String::from_utf8_lossy(&shown).contains(prompt)
            && let Some(typed) = to_type.take()
        {
            controller.write_all(typed.as_bytes()).unwrap();
        }
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}

fn audit(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcams-gateway"));
    command.arg("audit").args(arguments).env_remove("NO_COLOR").env("TERM", "xterm");
    // Of this process's tests only.
    command.env("XDG_CACHE_HOME", crate::log::cache());
    command
}

fn log(folder: &Path) {
    let mut log = Log::begin(folder, 1);
    log.outcome(&Request { outcome: "forwarded", code: None, ..request(&mut Random(1), BEGIN_US, 3) });
}

#[test]
fn a_value_that_is_typed_is_not_shown_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path());
    let key = folder.path().join("k1.key");
    fs::write(&key, [1; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (path, key) = (folder.path().to_str().unwrap(), key.to_str().unwrap());
    let index = folder.path().join("index.sqlite");
    let find =
        ["find", path, "--email", "--key-file", key, "--key-id", "k1", "--index", index.to_str().unwrap()];
    let nothing = "nothing found; requests of the log with fingerprints: 1 of key id k1. A key file that does not hold \
                   the key of its --key-id finds nothing and cannot be told from the right one: a person who must be \
                   found proves the key\r\n";
    let hidden = on_terminal(&mut audit(&find), "E-mail (not shown): ", "jane@example.com\n");
    assert_eq!(hidden, format!("E-mail (not shown): \r\n{nothing}"));
    let echoed =
        on_terminal(&mut audit(&[&find[..], &["--echo"]].concat()), "E-mail: ", "jane@example.com\n");
    assert_eq!(echoed, format!("E-mail: jane@example.com\r\n{nothing}"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path());
    let path = folder.path().to_str().unwrap();
    for command in ["tail", "query"] {
        let coloured = |command: &mut Command| on_terminal(command, "never", "").contains("\u{1b}[32m");
        assert!(coloured(&mut audit(&[command, path])));
        assert!(!coloured(audit(&[command, path]).env("NO_COLOR", "1")));
        assert!(!coloured(audit(&[command, path]).env("TERM", "dumb")));
        let piped = audit(&[command, path]).output().unwrap();
        assert!(!piped.stdout.contains(&0x1b));
    }
}
