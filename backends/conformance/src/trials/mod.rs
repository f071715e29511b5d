//! The trials, and the table of them.

mod endings;
mod faults;
mod fetch;
mod itself;
mod list;
mod logs;
mod outputs;
mod queue;
mod read;
mod remove;
mod running;
mod secrets;
mod staging;
mod stop;
mod submit;
mod sweep;

use brizo_backend::Capability;

use crate::run::Trial;

fn always(_: &Capability) -> bool {
    true
}

macro_rules! table {
    ($($name:literal $(if $applies:expr)? => $module:ident::$run:ident, $loss:literal;)*) => {
        /// Every trial, in the order of the bullets.
        pub(crate) fn all() -> Vec<Trial> {
            vec![$(Trial {
                name: $name,
                loss: $loss,
                applies: table!(@applies $($applies)?),
                run: |bench| Box::pin($module::$run(bench)),
            }),*]
        }
    };
    (@applies) => { always };
    (@applies $applies:expr) => { $applies };
}

table! {
    "capability" => itself::capability,
        "a backend that declares too little skips the trials that it must pass, and jobs are refused that should run.";
    "health" => itself::health,
        "load balancers take a gateway out of service although it works.";

    "submit_is_the_commit" => submit::is_the_commit,
        "a job that was answered with 201 is lost when the gateway dies the moment after.";
    "submit_is_idempotent" => submit::is_idempotent,
        "a client that repeats a request because the answer was lost pays for, or gets, a second job.";
    "submit_is_idempotent::when_full" => submit::is_idempotent_when_full,
        "a client that repeats a request is told that there is no room for the job that it already has.";
    "submit_refuses_another_request" => submit::refuses_another_request,
        "a client gets the results of another algorithm than the one that it sent.";
    "submit_races_make_one_job" => submit::races_make_one_job,
        "twenty retries at once make several jobs, or answer with different ones.";
    "submit_races_make_one_job::two_requests" => submit::races_of_two_requests,
        "of two different requests under one key both think that theirs is the job that runs.";
    "submit_after_delete" => submit::after_delete,
        "a late retry brings back a job whose owner deleted it.";
    "submit_checks_before_it_writes" => submit::checks_before_it_writes,
        "what can't run is accepted and fails later, or leaves debris behind.";
    "submit_checks_before_it_writes::quotas" => submit::checks_quotas,
        "one consumer fills the provider's queue or disk.";

    "runs_at_most_once" => running::at_most_once,
        "an algorithm runs twice over the data: its outputs mix, and it costs twice.";
    "success" => running::success,
        "the results of a job that went well are not all there, or not what was written.";
    "inputs_are_staged" => staging::inputs_are_staged,
        "published algorithms don't find the data where the contract says, or can change it.";
    "inputs_are_staged::by_http" if |capability| capability.inputs.http => fetch::inputs_by_http,
        "data on a web server can't be sold, or a hiccup of that server fails jobs.";
    "inputs_that_fail" => staging::inputs_that_fail,
        "an algorithm computes over missing or altered data, or its consumer learns where the data lies.";
    "inputs_that_fail::by_http" if |capability| capability.inputs.http => fetch::inputs_that_fail_by_http,
        "a file that is gone fails without a reason, or a body without end fills the disk.";
    "algorithm_that_fails" => staging::algorithm_that_fails,
        "another algorithm than the pinned one runs over the data.";
    "algorithm_that_fails::guarded" if |capability| capability.inputs.http => fetch::guarded_algorithm,
        "a consumer's URL reads from the provider's own network.";
    "exit_code" => endings::exit_code,
        "a consumer can't tell why the algorithm failed, or loses what it wrote until then.";
    "exit_code::that_looks_like_a_signal" => endings::exit_code_that_looks_like_a_signal,
        "a program that returns 137 is reported as killed, and its author looks for a memory problem.";
    "signal" => endings::signal,
        "a crash is reported as an ordinary exit.";
    "wall_time" => endings::wall_time,
        "an endless algorithm occupies the provider's machine for ever, or its partial results are lost.";
    "out_of_memory" => endings::out_of_memory,
        "one algorithm takes the memory of the provider's machine, or its author never learns why it ended.";
    "disk" => endings::disk,
        "one algorithm fills the provider's disk with one file.";
    "disk::by_many_files" => endings::disk_by_many_files,
        "one algorithm fills the provider's disk with many files.";
    "everything_dies" => endings::everything_dies,
        "processes stay on the provider's machine, with the data, after the job was reported as ended.";
    "transitions" => running::transitions,
        "a client that follows the events sees a job go backwards, or misses where it is.";
    "walls_are_stated" => running::walls_are_stated,
        "a publisher can't tell what stood between the algorithm and the outside.";
    "queue_order" => queue::order,
        "one consumer's jobs hold up everybody's, or more run at once than the machine can bear.";
    "queue_order::by_commit" => queue::by_commit,
        "jobs are overtaken by later ones, and may starve.";
    "queue_deadline" => queue::deadline,
        "a job waits for ever and nobody is told.";
    "provisioning_deadline" if |capability| capability.inputs.http => fetch::deadline,
        "a store that is down fails jobs at once, or holds them for ever.";
    "outputs_limit" => outputs::limit,
        "outputs without bound fill the store, or are cut without a word.";

    "stop_running" => stop::running,
        "a job that was stopped goes on, or what it wrote until then is lost.";
    "stop_queued" => stop::queued,
        "a job that was stopped while it waited runs all the same.";
    "stop_is_idempotent" => stop::is_idempotent,
        "a repeated stop changes what the first one recorded.";
    "stop_after_the_end" => stop::after_the_end,
        "a job that succeeded turns into a stopped one.";
    "stop_grace" if |capability| capability.stop_grace => stop::grace,
        "an algorithm can't save its state when it is stopped.";
    "stop_grace::for_the_deaf" if |capability| capability.stop_grace => stop::grace_for_the_deaf,
        "an algorithm that ignores SIGTERM can't be stopped.";

    "delete_removes_everything" => remove::everything,
        "outputs, logs or data of a deleted job stay on the provider's disk.";
    "delete_running" => remove::running,
        "a deleted job goes on over the data, or comes back.";
    "delete_running::late_end" => remove::late_end,
        "the end of a deleted job brings it back into the lists, with its outputs.";
    "delete_running::queued" => remove::queued,
        "a job that was deleted while it waited runs all the same.";
    "delete_is_idempotent" => remove::is_idempotent,
        "a repeated delete fails although the job is gone.";

    "get_sees_own_writes" => read::sees_own_writes,
        "a client that starts a job gets 404 for it.";
    "get_unknown" => read::unknown,
        "a mistyped id is answered with an empty result in place of 404.";
    "list_newest_first" => list::newest_first,
        "a consumer sees the jobs of another, or not all of its own.";
    "list_pages" => list::pages,
        "jobs are missing at the edges of pages, or show twice.";
    "logs_are_bytes" => logs::are_bytes,
        "a log that is no text is cut or altered.";
    "logs_are_bytes::while_it_runs" => logs::while_it_runs,
        "nothing of a log can be read before the end, or resuming loses or repeats bytes.";
    "logs_follow" if |capability| capability.logs_follow => logs::follow,
        "a followed log lags, or never ends.";
    "logs_before_the_start" => logs::before_the_start,
        "whoever asks early for a log gets an error, or waits in vain.";
    "outputs_are_listed" => outputs::are_listed,
        "nested or empty results are not found.";
    "outputs_skip_what_is_no_file" => outputs::skip_what_is_no_file,
        "a link leads the publisher's own files out, or one odd entry loses all results.";
    "outputs_ranges" => outputs::ranges,
        "an interrupted download resumes with the wrong bytes.";
    "outputs_before_the_end" => outputs::before_the_end,
        "half-written results are taken for results.";
    "watch" => read::watch,
        "a client that waits for the end waits for ever.";
    "watch::delete" => read::watch_delete,
        "a client that waits for a job that is deleted waits for ever.";

    "restart_loses_nothing" => faults::restart,
        "a restart of the gateway loses jobs that were accepted, or results that were there.";
    "restart_loses_nothing::in_order" => faults::restart_in_order,
        "an orderly upgrade of the gateway ends jobs that run.";
    "two_gateways" => faults::two_gateways,
        "with two gateways a job runs twice, or looks different depending on whom one asks.";
    "interrupted" => faults::interrupted,
        "a job whose machine failed is waited for for ever, or runs a second time.";
    "newer_spec_is_shown" => faults::newer_spec,
        "during an upgrade the old gateway fails, or runs wrongly, the jobs of the new one.";
    "secrets_stay_secret" => secrets::stay_secret,
        "a consumer learns where the publisher's data lies, and fetches it without paying.";
    "sweeps_only_when_it_may" => sweep::only_when_it_may,
        "a gateway whose clock is wrong deletes results that should be kept.";
    "retention" => sweep::retention,
        "results stay for ever and fill the disk, or go while they should be kept.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The text of the trait, of which the bullets are read as they stand.
    const CONTRACT: &str = include_str!("../../../core/src/backend.rs");

    #[test]
    fn every_bullet_has_a_trial_and_every_trial_a_bullet() {
        let bullet =
            |line: &'static str| line.trim_start().strip_prefix("/// - **")?.split_once("**").map(|(name, _)| name);
        let bullets: Vec<_> = CONTRACT.lines().filter_map(bullet).collect();
        assert!(bullets.len() > 40, "the contract's bullets are not found in backend.rs");
        let trials: Vec<_> = super::all().iter().map(|trial| trial.name).collect();
        let names: BTreeSet<_> = trials.iter().filter_map(|name| name.split("::").next()).collect();
        let promised: BTreeSet<_> = bullets.iter().copied().collect();
        let untried: Vec<_> = promised.difference(&names).collect();
        let unpromised: Vec<_> = names.difference(&promised).collect();
        assert!(untried.is_empty(), "bullets of Backend without a trial: {untried:?}");
        assert!(unpromised.is_empty(), "trials without a bullet in Backend: {unpromised:?}");
        assert_eq!(promised.len(), bullets.len(), "a bullet's name stands twice");
        let unique: BTreeSet<_> = trials.iter().collect();
        assert_eq!(unique.len(), trials.len(), "a trial's name stands twice");
    }
}
