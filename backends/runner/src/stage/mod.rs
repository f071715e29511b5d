//! `stage`: brings the inputs and the algorithm into the job's folder, streaming, checked for size and SHA-256.
//!
//! It alone sees where they come from; no fault and no message of it says so.

mod file;
mod http;
mod sink;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use brizo_backend::{Input, Source};
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::layout::Layout;

pub use http::HttpFetch;
use sink::Sink;

/// What is to be staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSpec {
    /// The datasets: each one's id as it is shown, its folder's name, and its files in order.
    pub datasets: Vec<DatasetFiles>,
    /// The algorithm.
    pub algorithm: Input,
}

/// The files of one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFiles {
    /// `did:op:…`, for messages.
    pub did: String,
    /// The name of its folder.
    pub folder: String,
    /// In order; the name of each is its number.
    pub files: Vec<Input>,
}

impl StageSpec {
    /// Whether anything of it comes from a URL.
    pub fn needs_network(&self) -> bool {
        let url = |input: &Input| matches!(input.source, Source::PublisherUrl { .. } | Source::GuardedUrl { .. });
        url(&self.algorithm) || self.datasets.iter().flat_map(|dataset| &dataset.files).any(url)
    }
}

/// What was learnt by staging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The SHA-256 of the algorithm's bytes in hex.
    pub algorithm_sha256: String,
    /// Bytes of all inputs.
    pub input_bytes: u64,
}

/// Why something could not be staged. The messages name files by number, never by URL or path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StageFault {
    /// An input, for good.
    #[error("{0}")]
    Inputs(String),
    /// The algorithm, for good.
    #[error("{0}")]
    Algorithm(String),
    /// A store that did not answer until the deadline.
    #[error("{0}")]
    Unreachable(String),
    /// This host could not write.
    #[error("{0}")]
    Host(String),
}

/// A fault of one file, without its name.
#[derive(Debug)]
pub(crate) enum FileFault {
    /// Another try would end the same way.
    Definite(String),
    /// Another try may go through; until when it was tried is over.
    Unreachable(String),
    /// This host's.
    Host(io::Error),
}

/// Stages everything anew; what an attempt before left is removed first. `http` fetches what comes from URLs, and may be
/// absent where nothing does.
pub fn stage(spec: &StageSpec, layout: &Layout, mut http: Option<&mut HttpFetch>) -> Result<Staged, StageFault> {
    let host = |error: io::Error| StageFault::Host(format!("The job's folder can't be written: {}.", error.kind()));
    clear(layout).map_err(host)?;
    let mut input_bytes = 0;
    for dataset in &spec.datasets {
        let folder = layout.inputs().join(&dataset.folder);
        fs::create_dir_all(&folder).map_err(host)?;
        for (number, input) in dataset.files.iter().enumerate() {
            let mut sink = Sink::create(&folder.join(number.to_string()), 0o444).map_err(host)?;
            fetch(input, &mut sink, http.as_deref_mut()).map_err(|fault| {
                let name = format!("File {number} of dataset {}", dataset.did);
                fault.named(&name, StageFault::Inputs)
            })?;
            input_bytes += sink.bytes();
        }
    }
    let mut sink = Sink::create(&layout.transformations().join("algorithm"), 0o555).map_err(host)?;
    fetch(&spec.algorithm, &mut sink, http).map_err(|fault| fault.named("The algorithm", StageFault::Algorithm))?;
    let staged = Staged { algorithm_sha256: sink.sha256(), input_bytes };
    let text = serde_json::to_vec(&staged).map_err(|error| host(error.into()))?;
    // If the machine loses it, it loses nothing that can't be staged again.
    atomic::create_light(&layout.staged(), &text).map_err(host)?;
    Ok(staged)
}

/// What an earlier [`stage`] learnt, if the folder is staged.
pub fn staged(layout: &Layout) -> Option<Staged> {
    serde_json::from_slice(&fs::read(layout.staged()).ok()?).ok()
}

fn clear(layout: &Layout) -> io::Result<()> {
    for folder in [layout.inputs(), layout.transformations()] {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(&folder)?;
        // Whatever the umask: the algorithm's uid reads what is mounted from here, and nothing else of the folder.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn fetch(input: &Input, sink: &mut Sink, http: Option<&mut HttpFetch>) -> Result<(), FileFault> {
    sink.expect(input.max_bytes);
    match &input.source {
        Source::Inline { code } => sink.write(code.as_bytes())?,
        Source::File { root, path } => file::copy(root, path, sink)?,
        Source::PublisherUrl { url } => http.ok_or_else(no_network)?.publisher(url, sink)?,
        Source::GuardedUrl { url, allow } => http.ok_or_else(no_network)?.guarded(url, allow, sink)?,
    }
    sink.finish(input.sha256.as_deref())
}

fn no_network() -> FileFault {
    FileFault::Definite("comes from a URL, and nothing is fetched here".to_owned())
}

impl FileFault {
    fn named(self, name: &str, definite: fn(String) -> StageFault) -> StageFault {
        match self {
            Self::Definite(what) => definite(format!("{name} {what}.")),
            Self::Unreachable(what) => StageFault::Unreachable(format!("{name} {what}.")),
            Self::Host(error) => StageFault::Host(format!("{name} can't be written here: {}.", error.kind())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(code: &str) -> Input {
        Input { source: Source::Inline { code: code.to_owned() }, sha256: None, max_bytes: None }
    }

    fn file(root: &std::path::Path, path: &str) -> Input {
        let source = Source::File { root: root.to_string_lossy().into_owned(), path: path.to_owned() };
        Input { source, sha256: None, max_bytes: Some(100) }
    }

    fn with(input: Input) -> StageSpec {
        let files = vec![inline("first"), input];
        let dataset = DatasetFiles { did: "did:op:ab".to_owned(), folder: "ab".to_owned(), files };
        StageSpec { datasets: vec![dataset], algorithm: inline("print(1)") }
    }

    fn run(input: Input) -> (tempfile::TempDir, Result<Staged, StageFault>) {
        let dir = tempfile::tempdir().unwrap();
        let result = stage(&with(input), &Layout::new(dir.path()), None);
        (dir, result)
    }

    #[test]
    fn files_and_code_are_staged_byte_for_byte() {
        let source = tempfile::tempdir().unwrap();
        fs::create_dir(source.path().join("d")).unwrap();
        fs::write(source.path().join("d/x"), b"\x00\xff").unwrap();
        let (dir, staged_now) = run(file(source.path(), "d/x"));
        let layout = Layout::new(dir.path());
        assert_eq!(fs::read(layout.inputs().join("ab/1")).unwrap(), b"\x00\xff");
        assert_eq!(fs::read(layout.transformations().join("algorithm")).unwrap(), b"print(1)");
        assert_eq!(staged(&layout), Some(staged_now.unwrap()));
    }

    #[test]
    fn nothing_outside_of_the_root_is_ever_staged_and_no_message_says_where_it_was() {
        let source = tempfile::tempdir().unwrap();
        let root = source.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(source.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink(source.path().join("secret"), root.join("absolute")).unwrap();
        fs::write(root.join("big"), vec![0; 101]).unwrap();
        for path in ["out", "absolute", "../secret", "/etc/passwd", "missing", ".", "big"] {
            let (dir, result) = run(file(&root, path));
            let Err(StageFault::Inputs(message)) = result else { panic!("{path}: {result:?}") };
            assert!(message.starts_with("File 1 of dataset did:op:ab "), "{message}");
            assert!(!message.contains(&*root.to_string_lossy()) && !message.contains("secret"), "{message}");
            assert_eq!(staged(&Layout::new(dir.path())), None);
        }
    }

    #[test]
    fn another_checksum_is_a_fault_for_good() {
        let wrong = Input { sha256: Some("0".repeat(64)), ..inline("x") };
        assert!(matches!(run(wrong).1, Err(StageFault::Inputs(message)) if message.contains("SHA-256")));
    }
}
