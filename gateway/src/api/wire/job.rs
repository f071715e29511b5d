use brizo_backend::{
    AlgorithmKind, AlgorithmView as CoreAlgorithm, Capability, Job, LimitFact, Phase, Plan, Reason, Transition,
    WaitingFor, WallFact, WallState,
};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON};
use poem_openapi::{Enum, Object};
use serde_json::Value;

use super::Time;
use super::tagged::{Member, plain, register, union_type};

/// Where a job is on its way; succeeded, failed and stopped are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "Phase", rename_all = "snake_case")]
pub(crate) enum PhaseView {
    Queued,
    Provisioning,
    Configuring,
    Running,
    Publishing,
    Succeeded,
    Failed,
    Stopped,
}

impl From<PhaseView> for Phase {
    fn from(phase: PhaseView) -> Self {
        match phase {
            PhaseView::Queued => Self::Queued,
            PhaseView::Provisioning => Self::Provisioning,
            PhaseView::Configuring => Self::Configuring,
            PhaseView::Running => Self::Running,
            PhaseView::Publishing => Self::Publishing,
            PhaseView::Succeeded => Self::Succeeded,
            PhaseView::Failed => Self::Failed,
            PhaseView::Stopped => Self::Stopped,
        }
    }
}

impl From<Phase> for PhaseView {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Queued => Self::Queued,
            Phase::Provisioning => Self::Provisioning,
            Phase::Configuring => Self::Configuring,
            Phase::Running => Self::Running,
            Phase::Publishing => Self::Publishing,
            Phase::Succeeded => Self::Succeeded,
            Phase::Failed => Self::Failed,
            Phase::Stopped => Self::Stopped,
        }
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReasonView(pub(crate) Reason);

impl ReasonView {
    fn register_union(registry: &mut Registry) {
        const WORDS: [(&str, &str, &str); 14] = [
            ("exit_code", "ReasonExitCode", "The algorithm ended with an exit code other than 0."),
            ("signal", "ReasonSignal", "The algorithm was ended by a signal that nobody here sent."),
            ("out_of_memory", "ReasonOutOfMemory", "It asked for more memory than it may have."),
            ("wall_time", "ReasonWallTime", "It ran longer than it may."),
            ("disk", "ReasonDisk", "It wrote more than it may, in bytes or in files."),
            ("inputs", "ReasonInputs", "An input could not be staged."),
            ("algorithm", "ReasonAlgorithm", "The algorithm could not be fetched."),
            ("image_pull", "ReasonImagePull", "The image could not be had."),
            ("queue_deadline", "ReasonQueueDeadline", "It waited in the queue longer than it may."),
            ("provisioning_deadline", "ReasonProvisioningDeadline", "It was not ready to run in time."),
            ("sandbox", "ReasonSandbox", "The demanded walls could not be built, so it was not run."),
            ("publish", "ReasonPublish", "Its outputs could not be published."),
            ("interrupted", "ReasonInterrupted", "A fault of the host destroyed its running step."),
            ("unknown", "ReasonUnknown", "None of the others; the message says what is known."),
        ];
        let members = WORDS.map(|(tag, name, description)| {
            let mut properties = Vec::new();
            match tag {
                "exit_code" => properties.push(("exit_code", plain("integer", Some("int32"), "1 to 255."), true)),
                "signal" => properties.push(("signal", plain("integer", Some("int32"), "Its number."), true)),
                _ => {}
            }
            properties.push(("message", plain("string", None, "In words."), true));
            Member { tag, name, description, properties }
        });
        register::<Self>(registry, "Reason", "type", "Why a job failed.", members.into());
    }
}

union_type!(ReasonView, "Reason", ReasonView::register_union);

impl ToJSON for ReasonView {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(&self.0).ok()
    }
}

impl ParseFromJSON for ReasonView {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default())
            .map(Self)
            .map_err(|error| ParseError::custom(error.to_string()))
    }
}

/// What a job waits for.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Waiting")]
pub(crate) struct WaitingView {
    #[oai(rename = "for")]
    what: WaitingForView,
    /// The backend's own words.
    message: String,
    /// When the job fails if it still waits.
    deadline: Time,
}

/// Kinds of things that jobs wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "WaitingFor", rename_all = "snake_case")]
pub(crate) enum WaitingForView {
    Slot,
    Quota,
    Scheduling,
    Image,
    Store,
}

/// A dataset of a job.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Dataset")]
pub(crate) struct DatasetView {
    /// did:op: and 64 hex digits.
    did: String,
    /// The agreement that it was bought by: 0x and 64 hex digits.
    agreement: String,
}

/// The form in which an algorithm came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "AlgorithmKind", rename_all = "snake_case")]
pub(crate) enum AlgorithmKindView {
    Raw,
    Url,
    Did,
}

/// The algorithm of a job.
#[derive(Debug, Clone, Object)]
#[oai(rename = "JobAlgorithm", skip_serializing_if_is_none)]
pub(crate) struct AlgorithmView {
    #[oai(rename = "type")]
    kind: AlgorithmKindView,
    /// Its asset, where it is a published one.
    did: Option<String>,
    /// SHA-256 of its bytes in hex, once it is known.
    sha256: Option<String>,
    /// name:tag.
    image: String,
    /// sha256: and 64 hex digits, once it is known, where there is one.
    image_digest: Option<String>,
}

/// A limit, and how it is enforced.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Limit")]
pub(crate) struct LimitView {
    /// cpu (thousandths of a core), memory, disk, outputs (bytes), wall_time (seconds), gpu, processes.
    name: String,
    /// In the unit of its name.
    value: u64,
    /// Such as cgroup, watchdog, rlimit, runner.
    enforced_by: String,
    /// Whether it may be passed for a moment before it is noticed.
    soft: bool,
}

impl From<&LimitFact> for LimitView {
    fn from(limit: &LimitFact) -> Self {
        Self { name: limit.name.clone(), value: limit.value, enforced_by: limit.enforced_by.clone(), soft: limit.soft }
    }
}

/// A wall of the sandbox.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Wall")]
pub(crate) struct WallView {
    /// Such as network_namespace, seccomp, landlock_files.
    name: String,
    state: WallStateView,
}

/// standing: built, and seen to stand. requested: asked for; whether it is enforced can't be seen from here. absent: this
/// host has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "WallState", rename_all = "snake_case")]
pub(crate) enum WallStateView {
    Standing,
    Requested,
    Absent,
}

impl WallView {
    /// Those that a backend promises.
    pub(crate) fn of(capability: Capability) -> Vec<Self> {
        let promised = [
            ("network_namespace", capability.network_namespace, WallStateView::Standing),
            ("network_policy", capability.network_policy, WallStateView::Requested),
            ("seccomp", capability.seccomp, WallStateView::Standing),
            ("landlock", capability.landlock, WallStateView::Standing),
        ];
        promised
            .into_iter()
            .filter(|(_, stands, _)| *stands)
            .map(|(name, _, state)| Self { name: name.to_owned(), state })
            .collect()
    }
}

impl From<&WallFact> for WallView {
    fn from(wall: &WallFact) -> Self {
        let state = match wall.state {
            WallState::Standing => WallStateView::Standing,
            WallState::Requested => WallStateView::Requested,
            WallState::Absent => WallStateView::Absent,
        };
        Self { name: wall.name.clone(), state }
    }
}

/// What a job used, as far as it is known.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Usage", skip_serializing_if_is_none)]
pub(crate) struct UsageView {
    /// The highest memory that was seen.
    peak_memory_bytes: Option<u64>,
    /// User and system time of all its processes.
    cpu_seconds: Option<f64>,
}

/// Totals of what was published.
#[derive(Debug, Clone, Object)]
#[oai(rename = "OutputTotals")]
pub(crate) struct OutputTotalsView {
    /// Files.
    count: u64,
    /// Their bytes.
    bytes: u64,
    /// Entries that can't be published: links, devices and their kind.
    skipped: u64,
}

/// Totals of the log.
#[derive(Debug, Clone, Object)]
#[oai(rename = "LogTotals")]
pub(crate) struct LogTotalsView {
    /// Of stdout.
    stdout_bytes: u64,
    /// Of stderr.
    stderr_bytes: u64,
}

/// A phase that was entered.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Transition")]
pub(crate) struct TransitionView {
    /// The phase's own number: queued 1, provisioning 2, configuring 3, running 4, publishing 5, every end 6.
    pub(crate) id: u32,
    phase: PhaseView,
    /// When it was entered.
    at: Time,
}

impl From<&Transition> for TransitionView {
    fn from(transition: &Transition) -> Self {
        Self { id: transition.id, phase: transition.phase.into(), at: Time(transition.at) }
    }
}

/// What the answer to a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "JobKind", rename_all = "snake_case")]
pub(crate) enum JobKind {
    Job,
}

/// What the answer to a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "PlanKind", rename_all = "snake_case")]
pub(crate) enum PlanKind {
    Plan,
}

/// A job.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Job", skip_serializing_if_is_none)]
pub(crate) struct JobView {
    kind: JobKind,
    /// 32 hex digits.
    id: String,
    /// The consumer's address: 0x and 40 hex digits.
    owner: String,
    /// The version of its specification.
    spec_version: u32,
    phase: PhaseView,
    reason: Option<ReasonView>,
    /// When it was accepted.
    created_at: Time,
    /// When the algorithm was started.
    started_at: Option<Time>,
    /// When its end was asked for.
    stop_requested_at: Option<Time>,
    /// When its end was seen.
    ended_at: Option<Time>,
    waiting: Option<WaitingView>,
    /// What it reads.
    datasets: Vec<DatasetView>,
    algorithm: AlgorithmView,
    /// Each limit, and how it is enforced.
    limits: Vec<LimitView>,
    /// The walls around the algorithm.
    walls: Vec<WallView>,
    usage: Option<UsageView>,
    outputs: Option<OutputTotalsView>,
    log: Option<LogTotalsView>,
    /// The phases that it went through, in order.
    transitions: Vec<TransitionView>,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            kind: JobKind::Job,
            id: job.id.to_string(),
            owner: job.owner.to_string(),
            spec_version: job.spec_version,
            phase: job.phase.into(),
            reason: job.reason.clone().map(ReasonView),
            created_at: Time(job.created_at),
            started_at: job.started_at.map(Time),
            stop_requested_at: job.stop_requested_at.map(Time),
            ended_at: job.ended_at.map(Time),
            waiting: job.waiting.as_ref().map(|waiting| WaitingView {
                what: match waiting.what {
                    WaitingFor::Slot => WaitingForView::Slot,
                    WaitingFor::Quota => WaitingForView::Quota,
                    WaitingFor::Scheduling => WaitingForView::Scheduling,
                    WaitingFor::Image => WaitingForView::Image,
                    WaitingFor::Store => WaitingForView::Store,
                },
                message: waiting.message.clone(),
                deadline: Time(waiting.deadline),
            }),
            datasets: job
                .datasets
                .iter()
                .map(|dataset| DatasetView { did: dataset.did.clone(), agreement: dataset.agreement.to_string() })
                .collect(),
            algorithm: (&job.algorithm).into(),
            limits: job.limits.iter().map(LimitView::from).collect(),
            walls: job.walls.iter().map(WallView::from).collect(),
            usage: job
                .usage
                .map(|usage| UsageView { peak_memory_bytes: usage.peak_memory_bytes, cpu_seconds: usage.cpu_seconds }),
            outputs: job.outputs.map(|totals| OutputTotalsView {
                count: totals.count,
                bytes: totals.bytes,
                skipped: totals.skipped,
            }),
            log: job.log.map(|log| LogTotalsView { stdout_bytes: log.stdout_bytes, stderr_bytes: log.stderr_bytes }),
            transitions: job.transitions.iter().map(TransitionView::from).collect(),
        }
    }
}

impl From<&CoreAlgorithm> for AlgorithmView {
    fn from(algorithm: &CoreAlgorithm) -> Self {
        Self {
            kind: match algorithm.kind {
                AlgorithmKind::Raw => AlgorithmKindView::Raw,
                AlgorithmKind::Url => AlgorithmKindView::Url,
                AlgorithmKind::Did => AlgorithmKindView::Did,
            },
            did: algorithm.did.clone(),
            sha256: algorithm.sha256.clone(),
            image: algorithm.image.clone(),
            image_digest: algorithm.image_digest.clone(),
        }
    }
}

/// What would become of a request: the answer of a dry run.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Plan", skip_serializing_if_is_none)]
pub(crate) struct PlanView {
    kind: PlanKind,
    /// Always true.
    dry_run: bool,
    /// sha256: and 64 hex digits, where it is known.
    image_digest: Option<String>,
    /// Each limit, and how it will be enforced.
    limits: Vec<LimitView>,
    /// Each wall, and whether it will stand.
    walls: Vec<WallView>,
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        Self {
            kind: PlanKind::Plan,
            dry_run: true,
            image_digest: plan.image_digest.clone(),
            limits: plan.limits.iter().map(LimitView::from).collect(),
            walls: plan.walls.iter().map(WallView::from).collect(),
        }
    }
}

/// A job that exists, or a plan.
#[derive(Debug, Clone)]
pub(crate) enum JobOrPlan {
    /// A replay's answer.
    Job(Box<JobView>),
    /// A dry run's answer.
    Plan(PlanView),
}

impl JobOrPlan {
    fn register_union(registry: &mut Registry) {
        use poem_openapi::registry::MetaDiscriminatorObject;
        use poem_openapi::types::Type;
        JobView::register(registry);
        PlanView::register(registry);
        registry.create_schema::<Self, _>("JobOrPlan".to_owned(), |_| MetaSchema {
            description: Some("A job that exists already, or what would become of one."),
            one_of: ["Job", "Plan"].map(|name| MetaSchemaRef::Reference(name.to_owned())).into(),
            discriminator: Some(MetaDiscriminatorObject {
                property_name: "kind",
                mapping: [("job", "Job"), ("plan", "Plan")]
                    .map(|(tag, name)| (tag.to_owned(), format!("#/components/schemas/{name}")))
                    .into(),
            }),
            ..MetaSchema::ANY
        });
    }
}

union_type!(JobOrPlan, "JobOrPlan", JobOrPlan::register_union);

impl ToJSON for JobOrPlan {
    fn to_json(&self) -> Option<Value> {
        match self {
            Self::Job(job) => job.to_json(),
            Self::Plan(plan) => plan.to_json(),
        }
    }
}
