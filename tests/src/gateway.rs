//! A real gateway: the `brizo` program with the process backend, on a folder of its own, killed and started again at will.

use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloy_signer_local::PrivateKeySigner;

/// How long a gateway may take to be ready on a busy machine.
const READY: Duration = Duration::from_mins(1);

/// Where the chain is, as a gateway needs it.
#[derive(Debug, Clone)]
pub struct OnChain {
    /// Its JSON-RPC endpoint.
    pub rpc_url: String,
    /// The folder of the contracts' artifacts.
    pub artifacts: PathBuf,
}

/// A folder with everything that a gateway is made of: configuration, keys, documents, jobs.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
    /// Where the gateway answers.
    pub url: String,
    /// Where its metrics are.
    pub metrics: String,
}

/// A running gateway. Dropped, it is killed, and its jobs go on.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    url: String,
}

impl Home {
    /// A home for the provider with this key. `settings` is more TOML: whole sections, or keys of none.
    pub fn new(chain: &OnChain, provider: &PrivateKeySigner, settings: &str) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("brizo-home-").tempdir()?;
        let home = folder.path();
        // Jobs run under uids of their own, which must be able to pass through to their inputs.
        open_to_all(home)?;
        for sub in ["data", "assets", "state"] {
            std::fs::create_dir(home.join(sub))?;
        }
        open_to_all(&home.join("data"))?;
        secret(&home.join("provider.key"), &hex::encode(provider.to_bytes()))?;
        secret(&home.join("seal.key"), &hex::encode(PrivateKeySigner::random().to_bytes()))?;
        let (url, metrics) = (loopback()?, loopback()?);
        let listen = |url: &str| url.trim_start_matches("http://").to_owned();
        let extra = |section: &str| section_of(settings, section);
        let text = format!(
            "[server]\nlisten = \"{listen}\"\npublic_url = \"{url}\"\nmetrics_listen = \"{metrics_listen}\"\n\
             audit_file = \"{home}/audit.jsonl\"\n{server}\n\
             [keeper]\nrpc_url = \"{rpc}\"\nartifacts = \"{artifacts}\"\nnetwork = \"development\"\n{keeper}\n\
             [provider]\naddress = \"{provider}\"\nkey_file = \"{home}/provider.key\"\n\
             [assets]\nseal_key_file = \"{home}/seal.key\"\nroots = [\"{home}/data\"]\n{assets}\n\
             [metadata]\nurl = \"file://{home}/assets\"\n\
             [limits]\n{limits}\n[guard]\n{guard}\n\
             [backend]\ntype = \"process\"\n[backend.process]\nstate_dir = \"{home}/state\"\n{process}\n",
            listen = listen(&url),
            metrics_listen = listen(&metrics),
            home = home.display(),
            rpc = chain.rpc_url,
            artifacts = chain.artifacts.display(),
            provider = provider.address(),
            server = extra("server"),
            keeper = extra("keeper"),
            assets = extra("assets"),
            limits = extra("limits"),
            guard = extra("guard"),
            process = extra("backend.process"),
        );
        secret(&home.join("brizo.toml"), &text)?;
        Ok(Self { folder, url, metrics })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that inputs may lie in.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The `brizo` program with this home's configuration.
    pub fn brizo(&self) -> Command {
        let mut command = Command::new(program());
        command.env("BRIZO_CONFIG", self.path().join("brizo.toml")).stdin(Stdio::null());
        command
    }

    /// Starts a gateway here, and waits until it is ready. Any number may run at once, each with its own ports.
    pub fn serve(&self) -> std::io::Result<Gateway> {
        self.serve_at(&self.url, &self.metrics)
    }

    /// Starts another gateway on the same state, at ports of its own.
    pub fn serve_another(&self) -> std::io::Result<Gateway> {
        self.serve_at(&loopback()?, &loopback()?)
    }

    fn serve_at(&self, url: &str, metrics: &str) -> std::io::Result<Gateway> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path().join("serve.log"))?;
        let mut command = self.brizo();
        command
            .arg("serve")
            .env("BRIZO_SERVER__LISTEN", url.trim_start_matches("http://"))
            .env("BRIZO_SERVER__METRICS_LISTEN", metrics.trim_start_matches("http://"))
            .stdout(log.try_clone()?)
            .stderr(log);
        if url != self.url {
            command.env("BRIZO_SERVER__ALIASES", format!("[\"{url}\"]"));
        }
        let mut gateway = Gateway { child: command.spawn()?, url: url.to_owned() };
        let until = Instant::now() + READY;
        while !gateway.is_ready() {
            if let Some(status) = gateway.child.try_wait()? {
                let log = std::fs::read_to_string(self.path().join("serve.log")).unwrap_or_default();
                return Err(std::io::Error::other(format!("brizo serve ended with {status}:\n{log}")));
            }
            if Instant::now() > until {
                return Err(std::io::Error::other("brizo serve was not ready in time"));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(gateway)
    }
}

impl Gateway {
    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> std::io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(std::io::Error::other)?;
        Ok(kib * 1024)
    }

    /// Ends it as a power cut would: SIGKILL, and waits for its end. Nothing of its jobs is touched.
    pub fn kill(mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    fn is_ready(&self) -> bool {
        use std::io::{Read, Write};
        let address = self.url.trim_start_matches("http://");
        let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
        let asked = stream.write_all(
            format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        let mut answer = String::new();
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `brizo` program: `BRIZO_BIN`, or the one built beside the running test.
pub fn program() -> PathBuf {
    std::env::var_os("BRIZO_BIN").map_or_else(
        || {
            let test = std::env::current_exe().unwrap_or_default();
            test.ancestors().nth(2).map(|folder| folder.join("brizo")).unwrap_or_default()
        },
        PathBuf::from,
    )
}

/// A URL at a port of loopback that was free a moment ago.
pub fn loopback() -> std::io::Result<String> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    Ok(format!("http://127.0.0.1:{port}"))
}

fn secret(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

/// The lines of one `[section]` in a piece of TOML.
fn section_of(settings: &str, section: &str) -> String {
    let head = format!("[{section}]");
    let lines = settings.lines().skip_while(|line| line.trim() != head).skip(1);
    lines.take_while(|line| !line.trim_start().starts_with('[')).collect::<Vec<_>>().join("\n")
}
