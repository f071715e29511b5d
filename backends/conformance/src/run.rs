use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use brizo_backend::Capability;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use futures::stream::{self, StreamExt};

use crate::bench::Bench;
use crate::failure::Verdict;
use crate::{Failure, Harness, trials};

/// One trial: of a bullet, or of one case of a bullet (`bullet::case`).
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    /// What a user would lose if it failed.
    pub(crate) loss: &'static str,
    /// Whether a backend with this capability must pass it.
    pub(crate) applies: fn(&Capability) -> bool,
    pub(crate) run: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Verdict>,
}

/// How a trial went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Left out: the backend does not declare the capability.
    LeftOut,
    /// Otherwise; the text says what was seen and what a user would lose.
    Failed(String),
}

/// No trial needs so many times the harness's patience.
const WHOLE: u32 = 6;

impl Trial {
    async fn outcome(&self, bench: &Bench) -> Outcome {
        if !(self.applies)(&bench.capability) {
            return Outcome::LeftOut;
        }
        let whole = bench.harness.patience() * WHOLE;
        let verdict = AssertUnwindSafe(tokio::time::timeout(whole, (self.run)(bench))).catch_unwind().await;
        match verdict {
            Ok(Ok(Ok(()))) => Outcome::Passed,
            Ok(Ok(Err(failure))) => self.failed(&failure),
            Ok(Err(_)) => self.failed(&Failure::new(format!("it did not come to an end in {whole:?}"))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
                self.failed(&Failure::new(format!("it panicked: {text}")))
            }
        }
    }

    fn failed(&self, failure: &Failure) -> Outcome {
        Outcome::Failed(format!("{failure}\n  What a user would lose: {}", self.loss))
    }
}

/// Runs every trial on the harness's backend, some at once, and tells how each went.
pub async fn outcomes(harness: impl Harness) -> Vec<(&'static str, Outcome)> {
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let at_once = harness.trials_at_once();
    match Bench::new(harness).await {
        Ok(bench) => {
            let bench = &bench;
            let trials = trials::all();
            let running = stream::iter(&trials).map(|trial| async { (trial.name, trial.outcome(bench).await) });
            running.buffered(at_once).collect().await
        }
        Err(failure) => {
            let failed = |trial: Trial| (trial.name, trial.failed(&failure));
            trials::all().into_iter().map(failed).collect()
        }
    }
}

/// The main of a test binary: runs the trials that the command line asks for, as `cargo test` expects it.
pub fn run(harness: impl Harness) -> ExitCode {
    let mut arguments = libtest_mimic::Arguments::from_args();
    let harness: Arc<dyn Harness> = Arc::new(harness);
    arguments.test_threads.get_or_insert(harness.trials_at_once());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let bench = if arguments.list { None } else { Some(runtime.block_on(Bench::new(harness))) };
    let bench = match bench.transpose() {
        Ok(bench) => bench.map(Arc::new),
        Err(failure) => {
            eprintln!("The backend can't be opened: {failure}");
            return ExitCode::FAILURE;
        }
    };
    let tests = trials::all().into_iter().map(|trial| {
        let left_out = bench.as_ref().is_some_and(|bench| !(trial.applies)(&bench.capability));
        let (runtime, bench) = (Arc::clone(&runtime), bench.clone());
        libtest_mimic::Trial::test(trial.name, move || {
            let Some(bench) = bench else { return Ok(()) };
            match runtime.block_on(trial.outcome(&bench)) {
                Outcome::Failed(text) => Err(text.into()),
                Outcome::Passed | Outcome::LeftOut => Ok(()),
            }
        })
        .with_ignored_flag(left_out)
    });
    let conclusion = libtest_mimic::run(&arguments, tests.collect());
    if let Ok(runtime) = Arc::try_unwrap(runtime) {
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    conclusion.exit_code()
}
