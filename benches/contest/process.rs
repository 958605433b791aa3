//! What does a contestant's process cost?

use std::cell::RefCell;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A contestant with all its processes, on its core; they end when this is dropped.
pub struct Process {
    child: Child,
    members: RefCell<Vec<u32>>,
    /// From its start until it accepted a connection.
    pub ready_after: Duration,
    /// Memory when it was ready, KiB.
    pub idle_kib: u64,
}

impl Process {
    /// Starts `command` on `core` and waits until `address` accepts connections.
    pub fn start(core: &str, command: &[String], address: SocketAddr, log: &Path) -> Result<Self, String> {
        let output = File::create(log).unwrap();
        let started = Instant::now();
        let child = on_core(core)
            .args(command)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .expect("setpriv (util-linux) starts");
        let mut process =
            Self { child, members: RefCell::default(), ready_after: Duration::ZERO, idle_kib: 0 };
        while TcpStream::connect(address).is_err() {
            let ended = process.child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > Duration::from_secs(60) {
                let text = fs::read_to_string(log).unwrap_or_default();
                let last =
                    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
                return Err(format!("does not start: {last}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        process.ready_after = started.elapsed();
        // Who accepts connections already may still be starting its workers.
        std::thread::sleep(Duration::from_millis(300));
        process.forget_peak();
        process.idle_kib = process.resident_kib();
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What all its threads have spent so far, user and system (the first field of `schedstat`, nanoseconds).
    pub fn cpu(&self) -> Duration {
        let mut nanoseconds = 0;
        for pid in &*self.members.borrow() {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                let spent = text.split_whitespace().next().and_then(|number| number.parse().ok());
                nanoseconds += spent.unwrap_or(0);
            }
        }
        Duration::from_nanos(nanoseconds)
    }

    /// Lets the peak begin again at what is resident now (proc(5), `clear_refs`), of all processes that there are now.
    pub fn forget_peak(&self) {
        *self.members.borrow_mut() = members(self.child.id());
        for pid in &*self.members.borrow() {
            fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak can be reset");
        }
    }

    /// The most that was resident since, KiB, summed over its processes.
    pub fn peak_kib(&self) -> u64 {
        self.sum("VmHWM:")
    }

    /// What is resident now, KiB.
    pub fn resident_kib(&self) -> u64 {
        self.sum("VmRSS:")
    }

    /// How many files and sockets it has open, all its processes together.
    pub fn descriptors(&self) -> usize {
        let of = |pid: &u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        self.members.borrow().iter().map(of).sum()
    }

    fn sum(&self, field: &str) -> u64 {
        let of = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(field).map(str::to_owned))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        self.members.borrow().iter().filter_map(of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(group) = Pid::from_raw(self.child.id() as i32) else { return };
        let _ = kill_process_group(group, Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(2) {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What starts a program on `core` that is asked to end when its parent does: Ctrl-C leaves no contestant behind.
pub fn on_core(core: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", core]);
    command
}

/// The processes of `group`.
fn members(group: u32) -> Vec<u32> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // proc_pid_stat(5): behind the name in brackets come state, parent and group.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        if fields.split_whitespace().nth(2).and_then(|field| field.parse().ok()) == Some(group) {
            members.push(pid);
        }
    }
    members
}
