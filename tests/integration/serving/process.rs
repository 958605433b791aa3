//! What can others on the machine learn from the process?

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;

use crate::harness::{Setup, Upstream, wait_for};

#[test]
fn the_process_leaves_no_core_file() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}

/// The kernel gives the files in `/proc` of a process that is not dumpable to root. That tells only of
/// the process of another user, so this one runs as nobody; who is not root cannot start it so.
#[test]
fn no_process_of_the_same_user_can_read_its_memory() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let mut command = setup.command(&["run"]);
    chown(setup.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
    for file in std::fs::read_dir(setup.folder()).unwrap() {
        chown(file.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // Where nobody can reach the binary it is, at that moment, started from.
    let binary = setup.folder().join("dcams-gateway");
    std::fs::copy(command.get_program(), &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = std::process::Command::new(&binary);
    let mut child =
        command.args(arguments).uid(NOBODY).gid(NOBODY).stderr(std::process::Stdio::null()).spawn().unwrap();
    let owner =
        |file: &str| std::fs::metadata(format!("/proc/{}/{file}", child.id())).map(|found| found.uid()).ok();
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the files to be root's", || (owner("environ") == Some(0)).then_some(()));
    }));
    child.kill().unwrap();
    child.wait().unwrap();
    seen.unwrap();
}
