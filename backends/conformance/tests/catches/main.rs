//! That the suite is worth something: a small backend in memory, right by itself, passes all that it declares; and each
//! of its broken variants fails, in the trials that are meant for that fault.

mod memory;

use std::process::ExitCode;
use std::time::Duration;

use brizo_conformance::{Outcome, outcomes};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::memory::{Flaw, MemoryHarness};

/// Every flaw, and the trials that have to notice it. Others may notice it too.
const FLAWS: &[(Flaw, &[&str])] = &[
    (Flaw::ForgetsStop, &["stop_running", "stop_queued", "stop_grace"]),
    (Flaw::LosesJobsAtRestart, &["restart_loses_nothing", "submit_is_the_commit"]),
    (Flaw::RunsRetriesAgain, &["submit_is_idempotent", "runs_at_most_once"]),
    (Flaw::AnswersAnyRequest, &["submit_refuses_another_request", "submit_races_make_one_job::two_requests"]),
    (Flaw::ForgetsDebris, &["delete_removes_everything", "retention"]),
    (Flaw::LateEndRevives, &["delete_running::late_end"]),
    (Flaw::CommitsLater, &["submit_is_the_commit"]),
    (Flaw::EachGatewayRuns, &["two_gateways", "submit_races_make_one_job"]),
    (Flaw::ForgetsTombstones, &["submit_after_delete"]),
    (Flaw::WrongRange, &["outputs_ranges"]),
    (Flaw::MissesPageEdges, &["list_pages", "list_newest_first"]),
    (Flaw::LosesALogByte, &["logs_are_bytes", "logs_are_bytes::while_it_runs"]),
    (Flaw::GoesBack, &["transitions"]),
    (Flaw::IgnoresQuotas, &["queue_order", "queue_order::by_commit", "submit_checks_before_it_writes::quotas"]),
    (Flaw::TellsSources, &["inputs_that_fail", "secrets_stay_secret"]),
    (Flaw::StoresSources, &["secrets_stay_secret"]),
    (Flaw::LeavesChildren, &["everything_dies", "wall_time"]),
    (Flaw::SweepsAlways, &["sweeps_only_when_it_may"]),
    (Flaw::NeverSweeps, &["retention"]),
    (Flaw::DrivesNewer, &["newer_spec_is_shown"]),
    (Flaw::StopsWhatEnded, &["stop_after_the_end"]),
    (Flaw::StopsAtOnce, &["stop_grace"]),
    (Flaw::SignalsAreCodes, &["signal"]),
    (Flaw::CodesAreSignals, &["exit_code::that_looks_like_a_signal"]),
    (Flaw::FollowsLinks, &["outputs_skip_what_is_no_file"]),
    (Flaw::FollowNeverEnds, &["logs_follow"]),
    (Flaw::NoLimits, &["wall_time", "out_of_memory", "disk"]),
    (Flaw::NoDeadlines, &["queue_deadline"]),
    (Flaw::WatchesOnce, &["watch", "watch::delete"]),
    (Flaw::WritesInputs, &["inputs_are_staged"]),
    (Flaw::TrustsChecksums, &["inputs_that_fail", "algorithm_that_fails"]),
    (Flaw::GivesUpAtOnce, &["inputs_are_staged::by_http", "provisioning_deadline"]),
    (Flaw::IgnoresTheGuard, &["algorithm_that_fails::guarded"]),
    (Flaw::PublishesAll, &["outputs_limit"]),
    (Flaw::RunsAgainAfterFaults, &["interrupted"]),
    (Flaw::DeclaresNothing, &["capability"]),
];

/// How many suites run at once: they wait, most of the time.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let right = Trial::test("the_right_backend_passes", || {
        let unexpected: Vec<_> = suite(None).into_iter().filter(|(_, outcome)| *outcome != Outcome::Passed).collect();
        if unexpected.is_empty() { Ok(()) } else { Err(Failed::from(texts(&unexpected))) }
    });
    let wrong = FLAWS.iter().map(|(flaw, meant)| {
        Trial::test(format!("the_suite_catches::{flaw:?}"), move || {
            let outcomes = suite(Some(*flaw));
            let failed = |name: &str| outcomes.iter().any(|(n, o)| *n == name && matches!(o, Outcome::Failed(_)));
            let missed: Vec<_> = meant.iter().filter(|name| !failed(name)).collect();
            if missed.is_empty() {
                return Ok(());
            }
            let noticed: Vec<_> =
                outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Failed(_))).map(|(n, _)| n).collect();
            Err(format!("a backend with this flaw passes {missed:?}; it failed only {noticed:?}").into())
        })
    });
    let trials = [right].into_iter().chain(wrong).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the suite on a backend of its own, on a runtime of its own.
fn suite(flaw: Option<Flaw>) -> Vec<(&'static str, Outcome)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let outcomes = runtime.block_on(outcomes(MemoryHarness { flaw }));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcomes
}

fn texts(outcomes: &[(&'static str, Outcome)]) -> String {
    let text = |(name, outcome): &(&str, Outcome)| match outcome {
        Outcome::Failed(text) => format!("{name}: {text}\n"),
        Outcome::LeftOut => format!("{name}: left out, though declared\n"),
        Outcome::Passed => String::new(),
    };
    outcomes.iter().map(text).collect()
}
