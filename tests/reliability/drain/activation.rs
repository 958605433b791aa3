//! Are the sockets used that systemd passes, and is a wrong one a fault?

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Connection, GET_STATUS, KYC_API, Setup, Upstream, wait_for};

/// `systemd-socket-activate` around the command of `setup`; it starts the gateway with the first connection.
fn activated(setup: &Setup, sockets: &[String], arguments: &[&str]) -> Command {
    let inner = setup.command(arguments);
    let mut command = Command::new("systemd-socket-activate");
    for socket in sockets {
        command.arg("-l").arg(socket);
    }
    command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(setup.folder().join("log")).unwrap());
    command
}

fn log(setup: &Setup) -> String {
    fs::read_to_string(setup.folder().join("log")).unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ended(mut child: Child) -> Option<i32> {
    let ended = wait_for("the gateway to end", || child.try_wait().unwrap());
    ended.code()
}

fn private_folder(setup: &Setup) -> std::path::PathBuf {
    let folder = setup.folder().join("run");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    folder
}

fn keep_to_the_group(socket: &Path) {
    wait_for("the socket", || socket.exists().then_some(()));
    fs::set_permissions(socket, fs::Permissions::from_mode(0o660)).unwrap();
}

#[test]
fn the_sockets_that_systemd_passes_are_served_and_left_there() {
    let upstream = Upstream::start();
    let (data, ops) = (free_address(), free_address());
    let setup = Setup::before(&upstream).set("ops.listen", &ops.to_string());
    let socket = private_folder(&setup).join("data.sock");
    let unix = format!("unix:{}", socket.display());
    let setup = setup.set("data.listen", &format!("[\"{data}\", \"{unix}\"]"));
    let mut command =
        activated(&setup, &[data.to_string(), socket.display().to_string(), ops.to_string()], &["run"]);
    let notified = UnixDatagram::bind(setup.folder().join("notify")).unwrap();
    command.arg("--set").arg("data.drain_grace=1s");
    let mut wrapped = Command::new(command.get_program());
    wrapped.args(["-E".to_owned(), format!("NOTIFY_SOCKET={}", setup.folder().join("notify").display())]);
    wrapped.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
    wrapped.stderr(File::create(setup.folder().join("log")).unwrap());
    let child = wrapped.spawn().unwrap();
    keep_to_the_group(&socket);
    wait_for("the socket", || TcpStream::connect(data).ok());

    assert_eq!(Connection::plain(data).post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    assert_eq!(Connection::unix(&socket).post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    let mut operators = Connection::plain(ops);
    operators.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(operators.read_answer().text(), "ready\n");
    assert_eq!(told(&notified), "READY=1");

    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(told(&notified), "STOPPING=1");
    assert_eq!(ended(child), Some(0), "{}", log(&setup));
    assert!(socket.exists(), "the file of a passed socket is not ours to remove");
}

fn told(notified: &UnixDatagram) -> String {
    notified.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    let mut bytes = [0; 64];
    let count = notified.recv(&mut bytes).expect("a notification");
    String::from_utf8_lossy(&bytes[..count]).trim_end().to_owned()
}

#[test]
fn check_judges_what_is_passed() {
    let upstream = Upstream::start();
    let data = free_address();
    let setup =
        Setup::before(&upstream).set("data.listen", &format!("[\"{data}\"]")).set("ops.listen", "off");
    for (passed, code) in [(data, 0), (free_address(), 78)] {
        let child = activated(&setup, &[passed.to_string()], &["check"]).spawn().unwrap();
        wait_for("the socket", || TcpStream::connect(passed).ok());
        assert_eq!(ended(child), Some(code), "{}", log(&setup));
        assert_eq!(log(&setup).contains(&format!("a socket on {passed} was passed")), code == 78);
    }
}

#[test]
fn a_passed_socket_that_is_not_configured_is_a_fault() {
    let upstream = Upstream::start();
    let passed = free_address();
    let setup = Setup::before(&upstream);
    let child = activated(&setup, &[passed.to_string()], &["run"]).spawn().unwrap();
    wait_for("the socket", || TcpStream::connect(passed).ok());
    assert_eq!(ended(child), Some(78));
    let told = format!(
        "cannot start: a socket on {passed} was passed, and neither data.listen nor ops.listen has this address"
    );
    assert!(log(&setup).contains(&told), "{}", log(&setup));
    assert!(!setup.folder().join("audit").exists(), "nothing was begun");
}

#[test]
fn a_passed_unix_socket_that_everybody_can_use_is_a_fault() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let socket = private_folder(&setup).join("data.sock");
    let setup = setup.set("data.listen", &format!("[\"unix:{}\"]", socket.display()));
    let child = activated(&setup, &[socket.display().to_string()], &["run"]).spawn().unwrap();
    wait_for("the socket", || socket.exists().then_some(()));
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    wait_for("the socket", || UnixStream::connect(&socket).ok());
    assert_eq!(ended(child), Some(77), "{}", log(&setup));
    assert!(log(&setup).contains("SocketMode="), "{}", log(&setup));
}
