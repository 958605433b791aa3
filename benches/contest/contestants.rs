//! Who takes part, and how is each of them configured?

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::CONTESTANTS_CORE;
use crate::process::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    Floor,
    Nginx,
    Haproxy,
    Hyper,
    NginxLua,
    Node,
    Envoy,
    Gateway,
    BestEffort,
    /// The gateway under callgrind; takes no part.
    Counted,
    /// The gateway with as many callers and connections as it should bear; takes no part.
    Crowded,
}

/// Callers of the crowded gateway.
pub const CALLERS: usize = 1_000;
/// Connections that it is to hold.
pub const CONNECTIONS: usize = 10_000;

impl Contestant {
    pub const ALL: [Self; 9] = [
        Self::Floor,
        Self::Nginx,
        Self::Haproxy,
        Self::Hyper,
        Self::NginxLua,
        Self::Node,
        Self::Envoy,
        Self::Gateway,
        Self::BestEffort,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "no proxy",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hyper => "bare hyper",
            Self::NginxLua => "nginx+Lua",
            Self::Node => "Node",
            Self::Envoy => "Envoy",
            Self::Gateway => "dcams-gateway",
            Self::BestEffort => "dcams-gateway, best_effort",
            Self::Counted => "dcams-gateway under callgrind",
            Self::Crowded => "dcams-gateway, crowded",
        }
    }

    /// Its word in `with=`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Floor => "none",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hyper => "hyper",
            Self::NginxLua => "lua",
            Self::Node => "node",
            Self::Envoy => "envoy",
            Self::Gateway => "gateway",
            Self::BestEffort => "best-effort",
            Self::Counted => "counted",
            Self::Crowded => "crowded",
        }
    }

    /// Whether callers send no credentials, because it adds them.
    pub fn injects(self) -> bool {
        !matches!(self, Self::Floor | Self::Nginx | Self::Haproxy | Self::Hyper | Self::Envoy)
    }
}

/// From where contestants are started, and where their files go.
pub struct Place {
    /// Installed from npm and PyPI.
    pub installed: PathBuf,
    /// Certificates, configurations and logs of this run.
    pub folder: PathBuf,
    /// The gateway that is measured.
    pub gateway: PathBuf,
}

/// On which side of a contestant is what?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// HTTP/1.1 in, TLS to the upstream: what users run.
    Tls,
    /// HTTP/1.1 in, plain HTTP to the upstream.
    Plain,
    /// HTTP/2 over TLS in, TLS to the upstream.
    Http2,
}

/// A contestant that is ready.
pub struct Running {
    pub process: Process,
    pub address: SocketAddr,
}

/// Starts `contestant` in front of the upstream at `port`.
///
/// # Errors
///
/// Why it is skipped.
pub fn start(contestant: Contestant, variant: Variant, port: u16, place: &Place) -> Result<Running, String> {
    let address = free_address();
    let folder = place.folder.join(format!("{}-{variant:?}", contestant.word()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let setup = Setup { contestant, variant, address, port, folder, place };
    setup.write_files();
    let command = setup.command()?;
    let process = Process::start(CONTESTANTS_CORE, &command, address, &setup.folder.join("log"))?;
    Ok(Running { process, address })
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// What one process is made of.
pub struct Setup<'a> {
    pub contestant: Contestant,
    pub variant: Variant,
    pub address: SocketAddr,
    pub port: u16,
    pub folder: PathBuf,
    pub place: &'a Place,
}

impl Setup<'_> {
    fn command(&self) -> Result<Vec<String>, String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Ok(match self.contestant {
            Contestant::Floor => return Err("is no process".to_owned()),
            Contestant::Nginx => {
                words(&[&program("nginx")?, "-p", &file(""), "-e", "stderr", "-c", &file("nginx.conf")])
            }
            Contestant::NginxLua => {
                for module in ["ndk_http_module.so", "ngx_http_lua_module.so"] {
                    exists(Path::new("/usr/lib/nginx/modules").join(module))?;
                }
                words(&[&program("nginx")?, "-p", &file(""), "-e", "stderr", "-c", &file("nginx-lua.conf")])
            }
            Contestant::Haproxy => words(&[&program("haproxy")?, "-db", "-f", &file("haproxy.cfg")]),
            Contestant::Node => {
                // Its packages are looked for beside the program.
                let modules = exists(self.place.installed.join("node/node_modules"))?;
                std::os::unix::fs::symlink(modules, self.folder.join("node_modules")).unwrap();
                words(&[&program("node")?, &file("gateway.mjs")])
            }
            Contestant::Envoy => {
                let envoy = exists(self.place.installed.join("envoy"))?.display().to_string();
                let quiet = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
                let mut command = words(&[&envoy, "--config-path", &file("envoy.yaml")]);
                command.extend(words(&quiet));
                command
            }
            Contestant::Hyper => {
                let own = std::env::current_exe().unwrap().display().to_string();
                let (port, upstream) = (self.address.port().to_string(), self.port.to_string());
                let folder = self.place.folder.display().to_string();
                let mut command = words(&[&own, "passthrough", &port, &upstream, &folder]);
                if self.variant != Variant::Plain {
                    command.push("tls-upstream".to_owned());
                }
                if self.variant == Variant::Http2 {
                    command.push("http2".to_owned());
                }
                command
            }
            Contestant::Gateway | Contestant::BestEffort | Contestant::Crowded => {
                words(&[&self.gateway(), "run", "--config", &file("gateway.toml")])
            }
            Contestant::Counted => {
                let output = format!("--callgrind-out-file={}/callgrind.out.%p", self.place.folder.display());
                let mut command = words(&[&program("valgrind")?, "--tool=callgrind", &output]);
                command.extend(words(&[&self.gateway(), "run", "--config", &file("gateway.toml")]));
                command
            }
        })
    }

    fn gateway(&self) -> String {
        self.place.gateway.display().to_string()
    }
}

fn program(name: &str) -> Result<String, String> {
    let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/bin";
    let found = folders.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.map(|path| path.display().to_string()).ok_or_else(|| format!("{name} is not installed"))
}

fn exists(path: PathBuf) -> Result<PathBuf, String> {
    if path.exists() { Ok(path) } else { Err(format!("{} is not installed", path.display())) }
}
