use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use brizo_backend::{JobSpec, Secrets, Source};
use brizo_runner::stage::{DatasetFiles, StageSpec};
use jiff::Timestamp;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::runtime::Runtime;

/// All that a shim is told. It holds the job's secrets: it crosses the exec in sealed memory, never on a disk, in an
/// argument or in the environment.
#[derive(Serialize, Deserialize)]
pub(crate) struct ShimSpec {
    /// Of the journal.
    pub(crate) state_dir: PathBuf,
    /// Whose journal.
    pub(crate) provider: String,
    /// The job.
    pub(crate) job: JobSpec,
    /// Its secrets.
    pub(crate) secrets: Secrets,
    /// What it runs in.
    pub(crate) runtime: Runtime,
    /// The uid that it has alone, where the gateway is root.
    pub(crate) uid: Option<u32>,
    /// Whether it gets the host's network.
    pub(crate) network: bool,
    /// When it fails if it does not run.
    pub(crate) deadline: Timestamp,
}

impl ShimSpec {
    /// What is to be staged; `None` if the secrets are not those of the job.
    pub(crate) fn stage(&self) -> Option<StageSpec> {
        let datasets = self.job.datasets.iter().zip(&self.secrets.inputs).map(|(dataset, files)| DatasetFiles {
            did: dataset.did.clone(),
            folder: dataset.folder().to_owned(),
            files: files.clone(),
        });
        Some(StageSpec { datasets: datasets.collect(), algorithm: self.secrets.algorithm.clone()? })
    }
}

/// Overwrites what a process holds that must not go on to the next step, as far as it can be done from here.
pub(crate) fn wipe(secrets: &mut Secrets) {
    let Secrets { inputs, algorithm } = std::mem::take(secrets);
    for input in inputs.into_iter().flatten().chain(algorithm) {
        let texts = match input.source {
            Source::File { root, path } => [root, path],
            Source::PublisherUrl { url } | Source::GuardedUrl { url, .. } => [url, String::new()],
            Source::Inline { code } => [code, String::new()],
        };
        for text in texts {
            overwrite(text.into_bytes());
        }
    }
}

fn overwrite(mut bytes: Vec<u8>) {
    bytes.fill(0);
    // Or the compiler sees that nobody reads it.
    std::hint::black_box(&bytes);
}

/// Writes `value` into sealed memory, to be inherited.
pub(crate) fn sealed(value: &impl Serialize) -> io::Result<File> {
    let mut file = File::from(memfd_create("brizo", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(&serde_json::to_vec(value)?)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

/// Reads what [`sealed`] wrote.
pub(crate) fn unsealed<T: DeserializeOwned>(mut file: File) -> io::Result<T> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let value = serde_json::from_slice(&bytes);
    overwrite(bytes);
    Ok(value?)
}
