use std::sync::Arc;
use std::time::Duration;

use brizo_backend::{JobId, JobSpec, LogStream};
use brizo_conformance::{Output, Program, Step};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Flaw;
use super::world::{Entry, Piece, World};

/// How a played algorithm ended.
pub(crate) enum Played {
    Exit(i32),
    Signal(i32),
    Memory,
    Disk,
}

/// Plays one execution.
pub(crate) struct Player {
    pub(crate) world: Arc<World>,
    pub(crate) id: JobId,
    pub(crate) spec: JobSpec,
    /// Its staged inputs: folder, number, bytes.
    pub(crate) inputs: Vec<(String, usize, Vec<u8>)>,
    pub(crate) term: CancellationToken,
    /// Tags of what it started.
    pub(crate) tags: Vec<String>,
}

impl Player {
    pub(crate) async fn play(&mut self, program: Program) -> Played {
        let mut deaf = false;
        for step in program.0 {
            match step {
                Step::Print(output, bytes) => self.print(output, bytes),
                Step::Repeat(output, byte, count) => self.print(output, vec![byte; count as usize]),
                Step::Count { to, pause_ms } => {
                    for n in 1..=to {
                        self.print(Output::Stdout, format!("{n}\n").into_bytes());
                        tokio::time::sleep(Duration::from_millis(pause_ms.into())).await;
                    }
                }
                Step::Token => self.token(),
                Step::Write(path, bytes) => self.write(path, Entry::File(bytes)),
                Step::Fill(path, bytes) => {
                    self.write(path, Entry::File(vec![0; bytes as usize]));
                    if self.written() > self.spec.limits.disk_bytes && !self.world.is(Flaw::NoLimits) {
                        return Played::Disk;
                    }
                }
                Step::Symlink(path, target) => self.write(path, Entry::Symlink(target)),
                Step::HardLink(path, of) => {
                    self.write(path, Entry::HardLink);
                    self.write(of, Entry::HardLink);
                }
                Step::Fifo(path) => self.write(path, Entry::Fifo),
                Step::Inputs => self.copy_inputs(),
                Step::Environment => self.environment(),
                Step::Folder(_) | Step::Search(..) => {}
                Step::Allocate(bytes) => {
                    if bytes > self.spec.limits.memory_bytes && !self.world.is(Flaw::NoLimits) {
                        return Played::Memory;
                    }
                }
                Step::Child(tag) => self.start(tag),
                Step::Sleep(tag, millis) => {
                    self.start(tag);
                    let over = tokio::time::sleep(Duration::from_millis(millis.into()));
                    if self.termed_before(deaf, over).await {
                        return Played::Signal(15);
                    }
                    self.end_last();
                }
                Step::Hold(tag) => {
                    self.start(tag);
                    self.termed_before(deaf, std::future::pending()).await;
                    return Played::Signal(15);
                }
                Step::IgnoreTerm => deaf = true,
                Step::SaveOnTerm(path, bytes) => {
                    self.print(Output::Stdout, b"ready\n".to_vec());
                    self.term.cancelled().await;
                    self.write(path, Entry::File(bytes));
                    return Played::Exit(0);
                }
                Step::Kill(signal) => return Played::Signal(signal),
                Step::Exit(code) => return Played::Exit(code),
            }
        }
        Played::Exit(0)
    }

    /// Whether SIGTERM, unless it is ignored, came before `over`.
    async fn termed_before(&self, deaf: bool, over: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = over => false,
            () = self.term.cancelled(), if !deaf => true,
        }
    }

    fn print(&self, output: Output, bytes: Vec<u8>) {
        let stream = match output {
            Output::Stdout => LogStream::Stdout,
            Output::Stderr => LogStream::Stderr,
        };
        let piece = Piece { stream, at: brizo_backend::now(), bytes: Bytes::from(bytes) };
        self.world.change(|state| {
            if state.jobs.contains_key(&self.id) {
                state.logs.entry(self.id).or_default().push(piece);
            }
        });
    }

    fn write(&self, path: String, entry: Entry) {
        self.world.change(|state| {
            if state.jobs.contains_key(&self.id) {
                state.work.entry(self.id).or_default().insert(path, entry);
            }
        });
    }

    fn token(&self) {
        let line = format!("token {}\n", JobId::random());
        let mut tokens = self.file("token");
        tokens.extend(line.bytes());
        self.write("token".to_owned(), Entry::File(tokens));
        self.print(Output::Stdout, line.into_bytes());
    }

    fn file(&self, path: &str) -> Vec<u8> {
        match self.world.state().work.get(&self.id).and_then(|work| work.get(path)) {
            Some(Entry::File(bytes)) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    fn written(&self) -> u64 {
        let size = |entry: &Entry| if let Entry::File(bytes) = entry { bytes.len() as u64 } else { 0 };
        self.world.state().work.get(&self.id).map_or(0, |work| work.values().map(size).sum())
    }

    fn copy_inputs(&self) {
        for (folder, number, bytes) in &self.inputs {
            self.write(format!("inputs/{folder}/{number}"), Entry::File(bytes.clone()));
            if self.world.is(Flaw::WritesInputs) {
                self.print(Output::Stdout, format!("wrote /data/inputs/{folder}/{number}\n").into_bytes());
            }
        }
    }

    fn environment(&self) {
        let dids: Vec<_> = self.spec.datasets.iter().map(brizo_backend::Dataset::folder).collect();
        let algorithm = self.spec.algorithm.did.as_deref().unwrap_or_default();
        let text = format!(
            "DIDS={}\nTRANSFORMATION_DID={algorithm}\nVOLUME=/data\nLOGS=/data/logs\nINPUTS=/data/inputs\n\
             OUTPUTS=/data/outputs\n",
            serde_json::json!(dids)
        );
        self.write("environment".to_owned(), Entry::File(text.into_bytes()));
    }

    fn start(&mut self, tag: String) {
        self.world.change(|state| *state.running.entry(tag.clone()).or_default() += 1);
        self.tags.push(tag);
    }

    fn end_last(&mut self) {
        if let Some(tag) = self.tags.pop() {
            ended(&self.world, &tag);
        }
    }
}

/// All that it started dies with it.
impl Drop for Player {
    fn drop(&mut self) {
        if !self.world.is(Flaw::LeavesChildren) {
            for tag in &self.tags {
                ended(&self.world, tag);
            }
        }
    }
}

fn ended(world: &World, tag: &str) {
    world.change(|state| {
        if let Some(count) = state.running.get_mut(tag) {
            *count = count.saturating_sub(1);
        }
    });
}
