//! Configure: in this process what lies on this host, in one of its own what comes from URLs, so that neither a runtime
//! nor TLS ever is part of the shim.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use brizo_backend::facts::VoidCause;
use brizo_backend::now;
use brizo_runner::layout::Layout;
use brizo_runner::stage::{self, HttpFetch, StageFault, StageSpec, Staged};
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::{Leave, STAGE, Shim, Step};
use crate::folder::{Mark, waiting_for_store};
use crate::spec::{sealed, unsealed};

/// How often a shim that waits for its fetcher looks whether it is still wanted.
const LOOK: u16 = 50;

/// What a fetcher is told.
#[derive(Serialize, Deserialize)]
struct FetchSpec {
    stage: StageSpec,
    folder: PathBuf,
    deadline: Timestamp,
}

/// What it says, a line each.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Waiting(String),
    Done(Result<Staged, StageFault>),
}

impl Shim {
    /// Stages everything, unless it is staged.
    pub(super) fn configure(&mut self) -> Step<()> {
        self.mark(Mark::Configuring)?;
        if stage::staged(self.folder.layout()).is_some() {
            return Ok(());
        }
        let Some(spec) = self.spec.stage() else {
            return Err(Leave::Fault("the secrets are not those of the job".to_owned()));
        };
        let result = if spec.needs_network() {
            self.fetch(spec)?
        } else {
            Some(stage::stage(&spec, self.folder.layout(), None))
        };
        let fault = match result {
            Some(Ok(_)) => return Ok(()),
            // Not wanted any more.
            None => {
                self.void(VoidCause::Stop)?;
                return Err(Leave::Gone);
            }
            Some(Err(StageFault::Host(words))) => return Err(Leave::Fault(words)),
            Some(Err(fault)) => fault,
        };
        self.folder.set_fault(&fault)?;
        let cause =
            if matches!(fault, StageFault::Unreachable(_)) { VoidCause::Deadline } else { VoidCause::Configure };
        self.void(cause)?;
        Err(Leave::Gone)
    }

    /// By a fetcher; `None` if the job was stopped, deleted or decided meanwhile.
    fn fetch(&mut self, stage: StageSpec) -> Step<Option<Result<Staged, StageFault>>> {
        let deadline = self.spec.deadline;
        let folder = self.folder.layout().root().to_owned();
        let spec = sealed(&FetchSpec { stage, folder, deadline })?;
        let mut child = Fetcher::start(spec, self.lock.try_clone()?)?;
        let mut text = Vec::new();
        loop {
            if ["stop", "deleted", "started"].iter().any(|fact| self.folder.has_fact(fact)) {
                return Ok(None);
            }
            let mut fds = [PollFd::new(child.said.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(LOOK)).map_err(io::Error::from)?;
            if fds[0].revents().is_none_or(|events| events.is_empty()) {
                continue;
            }
            let mut buffer = [0; 4096];
            let read = child.said.read(&mut buffer)?;
            if read == 0 {
                return Err(Leave::Fault("the fetcher vanished".to_owned()));
            }
            text.extend_from_slice(&buffer[..read]);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(io::Error::from)? {
                    Said::Waiting(words) => self.folder.set_waiting(&waiting_for_store(&words, deadline))?,
                    Said::Done(result) => return Ok(Some(result)),
                }
            }
        }
    }
}

/// A fetcher, which does not outlive this value.
struct Fetcher {
    child: Child,
    said: File,
}

impl Fetcher {
    /// `lock`: as long as it writes into the job's folder, nobody else may.
    fn start(spec: File, lock: OwnedFd) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg0(STAGE)
            .stdin(Stdio::from(spec))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(lock))
            .spawn()?;
        let said = child.stdout.take().map(OwnedFd::from).map(File::from);
        Ok(Self { child, said: said.ok_or_else(|| io::Error::other("the fetcher has no pipe"))? })
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole life of a fetcher.
pub(crate) fn main() -> ExitCode {
    // It dies with its shim, whose lock it holds until then.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    if nix::unistd::getppid().as_raw() == 1 {
        return ExitCode::FAILURE;
    }
    let Ok(spec) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let Ok(FetchSpec { stage, folder, deadline }) = unsealed(File::from(spec)) else { return ExitCode::FAILURE };
    let left = u64::try_from(deadline.duration_since(now()).as_millis()).unwrap_or(0);
    let fetched = HttpFetch::new(Instant::now() + Duration::from_millis(left), |words| {
        say(&Said::Waiting(words.to_owned()));
    })
    .map_err(|error| StageFault::Host(error.kind().to_string()))
    .and_then(|mut http| stage::stage(&stage, &Layout::new(folder), Some(&mut http)));
    say(&Said::Done(fetched));
    ExitCode::SUCCESS
}

fn say(said: &Said) {
    let mut out = io::stdout().lock();
    let _ = serde_json::to_writer(&mut out, said);
    let _ = out.write_all(b"\n").and_then(|()| out.flush());
}
