//! The conformance suite over the process backend: as root, and as an ordinary user.

#[path = "../as_user/mod.rs"]
mod as_user;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use brizo_backend::{Backend, Image, JobId, JobSpec, Source};
use brizo_conformance::{Failure, Harness, Site};
use brizo_journal::{Journal, Keys};
use brizo_process::{ProcessBackend, ProcessConfig, Settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

fn main() -> ExitCode {
    brizo_process::dispatch();
    let as_user = as_user::again_as_user();
    let code = brizo_conformance::run(Process);
    if as_user { code } else { ExitCode::FAILURE }
}

const PROVIDER: &str = "0x00000000000000000000000000000000000000aa";

static NEXT_UID: AtomicU32 = AtomicU32::new(300_000);

struct Process;

#[async_trait]
impl Harness for Process {
    fn backend_type(&self) -> &'static str {
        "process"
    }

    async fn site(&self, settings: &brizo_conformance::Settings) -> Result<Arc<dyn Site>, Failure> {
        let dir = TempDir::new()?;
        fs::create_dir(dir.path().join("published"))?;
        let first_uid = NEXT_UID.fetch_add(100, Ordering::Relaxed);
        Ok(Arc::new(Place { dir, first_uid, settings: settings.clone() }))
    }
}

struct Place {
    dir: TempDir,
    /// Of this site alone: several run at once, and each thinks that its uids are nobody else's.
    first_uid: u32,
    settings: brizo_conformance::Settings,
}

impl Place {
    fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn keys() -> Keys {
        Keys::new(&[7; 32], &[])
    }

    fn source(&self, name: &str) -> Source {
        let root = self.dir.path().join("published").to_string_lossy().into_owned();
        Source::File { root, path: name.to_owned() }
    }
}

#[async_trait]
impl Site for Place {
    async fn open(&self) -> brizo_backend::Result<Arc<dyn Backend>> {
        let config =
            ProcessConfig { state_dir: self.state_dir(), first_uid: self.first_uid, ..ProcessConfig::default() };
        let settings = Settings {
            provider: PROVIDER.to_owned(),
            quotas: self.settings.quotas.clone(),
            keep: self.settings.keep,
            keys: Self::keys(),
        };
        Ok(Arc::new(ProcessBackend::open(config, settings).await?))
    }

    async fn publish(&self, name: &str, bytes: &[u8]) -> Result<Source, Failure> {
        fs::write(self.dir.path().join("published").join(name), bytes)?;
        Ok(self.source(name))
    }

    fn absent(&self, name: &str) -> Source {
        self.source(name)
    }

    fn image(&self) -> Image {
        Image { name: "sh".to_owned(), tag: "1".to_owned(), checksum: None }
    }

    async fn destroy(&self, id: &JobId) -> Result<bool, Failure> {
        let shims = shims(&self.state_dir().join(PROVIDER).join("jobs").join(id.to_string()));
        for shim in &shims {
            kill(Pid::from_raw(*shim), Signal::SIGKILL).map_err(std::io::Error::from)?;
        }
        Ok(!shims.is_empty())
    }

    async fn remains(&self, id: &JobId) -> Result<Vec<String>, Failure> {
        let id = id.to_string();
        let left = files(&self.state_dir()).into_iter().map(|path| path.display().to_string());
        Ok(left
            .filter(|path| path.contains(&id))
            .filter(|path| !path.ends_with(&format!("{id}/deleted")) && !path.contains("/index/graves/"))
            .collect())
    }

    async fn facts(&self) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let hidden = ["inputs", "transformations", "outputs", "logs", "log"].map(|name| format!("/work/{name}/"));
        let mut facts = Vec::new();
        for path in files(&self.state_dir()) {
            let name = path.display().to_string();
            if hidden.iter().any(|part| name.contains(part)) {
                continue;
            }
            let Ok(mut bytes) = fs::read(&path) else { continue };
            if name.ends_with("/submitted") {
                // What follows the line is sealed.
                bytes.truncate(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
            }
            facts.push((name, bytes));
        }
        Ok(facts)
    }

    async fn plant_newer(&self, spec: &JobSpec) -> Result<(), Failure> {
        let journal = Journal::local(&self.state_dir(), PROVIDER, Self::keys())?;
        journal.submit(spec).await?;
        let path = journal.folder(&spec.id).unwrap_or_default().join("submitted");
        let text = fs::read(&path)?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut value: serde_json::Value = serde_json::from_slice(line).map_err(std::io::Error::from)?;
        value["of_the_future"] = serde_json::json!({"unknown": true});
        let mut newer = value.to_string().into_bytes();
        newer.push(b'\n');
        let beside = path.with_extension("newer");
        fs::write(&beside, newer)?;
        fs::rename(&beside, &path)?;
        Ok(())
    }
}

/// The shims that have a file of this folder open. The init of a sandbox is a copy of its shim, and its child: it is left
/// out, since it has to die by itself.
fn shims(folder: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let has_it_open = |pid: &i32| {
        let name = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        name.starts_with(b"brizo-shim\0") && targets.any(|target| target.starts_with(folder))
    };
    let all: Vec<_> = pids.filter(has_it_open).collect();
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name.split_whitespace().nth(1).and_then(|parent| parent.parse::<i32>().ok())
    };
    all.iter().copied().filter(|pid| !parent(*pid).is_some_and(|parent| all.contains(&parent))).collect()
}

/// All files below a folder, those that vanish meanwhile left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
