//! How is the memory of a process capped and counted?

use std::fs;
use std::path::{Path, PathBuf};

/// A control group with a limit of memory; removed when this is dropped.
pub struct Cap {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Cap {
    /// One of `bytes`, swap included; `None` where this user can make none.
    pub fn of(bytes: u64) -> Option<Self> {
        let name = format!("dcams-gateway-test-{}", std::process::id());
        let (one, two) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (folder, version) =
            if one.is_dir() { (one.join(name), Version::One) } else { (two.join(name), Version::Two) };
        fs::create_dir(&folder).ok()?;
        let cap = Self { folder, version };
        let limit = match version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        fs::write(cap.folder.join(limit), bytes.to_string()).ok()?;
        let swap = match version {
            Version::One => ("memory.memsw.limit_in_bytes", bytes),
            Version::Two => ("memory.swap.max", 0),
        };
        // Where the kernel does not count swap there is nothing to limit.
        let _ = fs::write(cap.folder.join(swap.0), swap.1.to_string());
        Some(cap)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The most that was in use, what was read and written through the page cache included.
    pub fn peak_bytes(&self) -> u64 {
        self.number(match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        })
    }

    /// How often the limit was met, which the page cache does as well, and how many processes were killed.
    pub fn met_and_killed(&self) -> (u64, u64) {
        match self.version {
            Version::One => (self.number("memory.failcnt"), self.line("memory.oom_control", "oom_kill")),
            Version::Two => (self.line("memory.events", "max"), self.line("memory.events", "oom_kill")),
        }
    }

    fn number(&self, file: &str) -> u64 {
        fs::read_to_string(self.folder.join(file)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn line(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).unwrap_or(0)
    }
}

impl Drop for Cap {
    fn drop(&mut self) {
        // Its process has ended, or is about to.
        for _ in 0..1_000 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// A line of `/proc/PID/status`, KiB.
pub fn status_kib(process: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t']).split(' ').next().unwrap().trim().parse().unwrap()
}
