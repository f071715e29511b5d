use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Agreement, ByteRange, ByteStream, Capability, Job, JobId, JobSpec, LimitFact, LogChunk, LogOptions, OutputPage,
    OutputPath, Owner, Phase, Result, WallFact,
};

/// Runs jobs, and is the only memory of them.
///
/// # Behavior
///
/// What every backend promises. Each bullet begins with its name; the conformance suite has a trial of that name.
///
/// Itself
/// - **capability**: never changes while the backend lives, and holds at least what the backend's type must have.
/// - **health**: is `Ok` when a job could run now.
///
/// Submit
/// - **submit_is_the_commit**: `submit` returns `Ok` only after the whole specification is durable; from then on any
///   gateway over the same backend brings the job to its end, also one that starts later.
/// - **submit_is_idempotent**: a second `submit` with the same id and request digest makes nothing and returns the job
///   that exists, in whatever phase it is, also after a restart.
/// - **submit_refuses_another_request**: the same id with another request digest is `KeyReused`, and changes nothing.
/// - **submit_races_make_one_job**: of many submits of one id at once, through several gateways, all that succeed
///   return the same job, and it runs once.
/// - **submit_after_delete**: the same id after `delete` is `JobDeleted` while the tombstone stands.
/// - **submit_checks_before_it_writes**: what this backend can't do (`Unsupported`), may not run (`ImageNotAllowed`),
///   or has no room for (`QuotaExceeded`, `StorageFull`) is refused before anything is written; so is what
///   [`JobSpec::check`] finds wrong. `preflight` gives the same answers, and writes nothing.
///
/// Running
/// - **runs_at_most_once**: the algorithm of a job is executed at most once, whatever is retried, restarted or raced.
/// - **success**: an algorithm that ends with 0 is Succeeded, with its outputs, their sizes and SHA-256, and its log.
/// - **inputs_are_staged**: each dataset's files are at `/data/inputs/<id without did:op:>/<n>`, read-only, byte for
///   byte; the algorithm's environment has `DIDS`, `TRANSFORMATION_DID`, `VOLUME`, `LOGS`, `INPUTS`, `OUTPUTS`.
/// - **inputs_that_fail**: an input that is missing, too large, or has another checksum is Failed(Inputs); the
///   algorithm does not run, and no message holds the input's URL or path.
/// - **algorithm_that_fails**: an algorithm whose bytes are missing, too large, or have another checksum is
///   Failed(Algorithm), and does not run.
/// - **provisioning_deadline**: a store that does not answer is tried again, and fails the job only when its
///   provisioning deadline is over: Failed(ProvisioningDeadline); its algorithm never runs.
/// - **exit_code**: another exit code is Failed(ExitCode) with that code, outputs and log published; also one that looks
///   like a signal's, such as 137.
/// - **signal**: an algorithm that a signal ends is Failed(Signal) with its number, whichever signal.
/// - **wall_time**: one that runs longer than its wall time is ended, with all that it started, and Failed(WallTime);
///   what it wrote is published.
/// - **out_of_memory**: one that takes more memory than its limit is Failed(OutOfMemory).
/// - **disk**: one that writes more than its disk limit is Failed(Disk).
/// - **outputs_limit**: one that leaves more outputs than its limit is Failed(Publish); those that fit, in the order of
///   their paths, are published.
/// - **everything_dies**: when the algorithm ends, nothing that it started goes on running.
/// - **transitions**: phases are entered in order, at times that never go back; ids are the phases' numbers, and the
///   last transition is the job's phase. `get`, `list` and `watch` show the same.
/// - **walls_are_stated**: a job that ran states each wall that stood and how each limit was enforced; the walls that
///   [`Capability`] declares stand.
/// - **queue_order**: no more than `jobs` run at once, and no more than `jobs_per_consumer` of one owner; the others
///   wait in the order of their commit, and one owner's queue does not hold up another's.
/// - **queue_deadline**: a job that waits longer than its queue deadline is Failed(QueueDeadline), and never runs.
///
/// Stop
/// - **stop_running**: `stop` sets `stop_requested_at` and ends the algorithm; the job is Stopped when nothing of it
///   runs any more, with what it wrote until then published and readable.
/// - **stop_queued**: a job that has not started is Stopped, and its algorithm never runs.
/// - **stop_is_idempotent**: a second `stop` keeps the first one's time.
/// - **stop_after_the_end**: stopping a job that has ended changes nothing; its own end stays.
/// - **stop_grace**: (if declared) the algorithm gets SIGTERM, and some time before SIGKILL.
///
/// Delete
/// - **delete_removes_everything**: after `delete` of a job that has ended, `get` is `NotFound`, `list` does not show
///   it, and neither outputs, log, inputs nor debris of it remain; only a tombstone may.
/// - **delete_running**: `delete` works in every phase; the algorithm is ended, and no end that comes later brings the
///   job back.
/// - **delete_is_idempotent**: deleting an unknown or deleted job is `Ok`.
///
/// Reading
/// - **get_sees_own_writes**: a gateway sees its own submit, stop and delete at once, another's within a second.
/// - **get_unknown**: an unknown id is `NotFound` in `get`, `stop`, `logs`, `outputs` and `read_output`; `watch` yields
///   that error and ends.
/// - **list_newest_first**: `list` is in the order of commit, newest first, and each filter (owner, agreement, phases,
///   time) leaves out exactly what it should.
/// - **list_pages**: pages hold at most `limit`, never a job twice nor none of those that stand still, while others are
///   submitted; the last one has no cursor, a garbled cursor is `InvalidCursor`.
/// - **logs_are_bytes**: a log is byte for byte what was written, any bytes, stdout and stderr apart; it can be read
///   while the algorithm runs and after the end; `offset` resumes without loss or repetition.
/// - **logs_follow**: (if declared) a followed log yields each piece within a second of its writing, and ends when the
///   job has ended.
/// - **logs_before_the_start**: the log of a job that has not started is empty; followed, it waits for it.
/// - **outputs_are_listed**: nested files and empty files are listed with size and SHA-256, sorted by path, in pages;
///   a folder without files is not.
/// - **outputs_skip_what_is_no_file**: links, hard links, devices, FIFOs and sockets are listed as skipped with the
///   reason, fail nothing, and nothing outside of the outputs is ever read through them.
/// - **outputs_ranges**: `read_output` with a range yields exactly it; one that can't be satisfied is `Range`.
/// - **outputs_before_the_end**: a job without published outputs has an empty list.
/// - **watch**: yields the job as it is, then each change at least once per transition, and ends after the end (or
///   with `NotFound` after delete).
///
/// Faults
/// - **restart_loses_nothing**: gateways that are dropped in any phase and started again bring every job to its end;
///   one that had ended is still there, whole.
/// - **two_gateways**: two gateways over one backend run each job once, and agree on its facts.
/// - **interrupted**: a fault of the host that destroys a running algorithm is Failed(Interrupted); the algorithm does not
///   run again, and what is still there of its log and outputs can be read.
/// - **newer_spec_is_shown**: a job of a newer specification version is listed and shown, and neither driven, failed
///   nor swept.
/// - **secrets_stay_secret**: no fact, list, error or file that the algorithm can read holds an input's URL.
/// - **sweeps_only_when_it_may**: while `may_sweep` is false nothing is swept; retention and debris wait.
/// - **retention**: a job that ended longer ago than `keep` is removed, as by `delete`.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// What this backend can do. Constant while it lives.
    fn capability(&self) -> Capability;

    /// Whether it could run a job now; the error says in one line what is missing.
    async fn health(&self) -> Result<()>;

    /// What would become of `spec`: the image's digest, the walls that will stand, the limits. Writes nothing.
    async fn preflight(&self, spec: &JobSpec) -> Result<Plan>;

    /// Commits the job.
    async fn submit(&self, spec: &JobSpec) -> Result<Job>;

    /// The job as it is.
    async fn get(&self, id: &JobId) -> Result<Job>;

    /// Whose tombstone stands under this id, so that its owner's repeated delete can be told from a stranger's.
    async fn tombstone(&self, id: &JobId) -> Result<Option<Owner>>;

    /// A page of jobs, newest first.
    async fn list(&self, filter: &JobFilter, page: &Page) -> Result<JobPage>;

    /// Asks for the end of the job; returns it as it is then.
    async fn stop(&self, id: &JobId) -> Result<Job>;

    /// Removes the job, whatever its phase.
    async fn delete(&self, id: &JobId) -> Result<()>;

    /// Its log, never held in memory.
    async fn logs(&self, id: &JobId, options: &LogOptions) -> Result<BoxStream<'static, Result<LogChunk>>>;

    /// A page of what it published.
    async fn outputs(&self, id: &JobId, page: &Page) -> Result<OutputPage>;

    /// One published file, streamed.
    async fn read_output(&self, id: &JobId, path: &OutputPath, range: Option<ByteRange>) -> Result<ByteStream>;

    /// The job now, and after each change.
    fn watch(&self, id: &JobId) -> BoxStream<'static, Result<Job>>;

    /// Drives the jobs: queue, next steps, deadlines, retention, debris. Run by `serve`, by any number of gateways at
    /// once. Returns when `shutdown` is cancelled; steps that run then go on. Sweeps nothing while `may_sweep` is false.
    async fn drive(&self, may_sweep: watch::Receiver<bool>, shutdown: CancellationToken) -> Result<()>;
}

/// What would become of a specification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// `sha256:<64 hex>`, where it is known.
    pub image_digest: Option<String>,
    /// Each limit, and how it will be enforced.
    pub limits: Vec<LimitFact>,
    /// Each wall, and whether it will stand.
    pub walls: Vec<WallFact>,
}

/// Which jobs to list. An absent part selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this owner.
    pub owner: Option<Owner>,
    /// That have this agreement among theirs.
    pub agreement: Option<Agreement>,
    /// In one of these phases; empty selects all.
    pub phases: Vec<Phase>,
    /// Committed at this time or later.
    pub created_after: Option<Timestamp>,
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most so many items; at least 1.
    pub limit: u32,
    /// `next` of the page before; opaque.
    pub cursor: Option<String>,
}

/// A page of jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<Job>,
    /// The next page's cursor; `None` on the last one.
    pub next: Option<String>,
}

/// How many jobs, and how much of them, a provider takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// That run at once.
    pub jobs: usize,
    /// That run at once, of one owner.
    pub jobs_per_consumer: usize,
    /// That wait, of one owner; one more is `QuotaExceeded`.
    pub queued_per_consumer: usize,
    /// Bytes of outputs and logs that are kept of one owner; over it is `StorageFull`.
    pub kept_per_consumer_bytes: u64,
    /// Bytes that stay free on the disk; below it is `StorageFull`.
    pub disk_reserve_bytes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            jobs: 8,
            jobs_per_consumer: 4,
            queued_per_consumer: 100,
            kept_per_consumer_bytes: 10 * GIB,
            disk_reserve_bytes: GIB,
        }
    }
}
