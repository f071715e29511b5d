use std::sync::Arc;
use std::time::Duration;

use brizo_backend::{
    Agreement, Algorithm, AlgorithmKind, Capability, Dataset, Deadlines, Input, JobId, JobSpec, Limits, Owner,
    RequestDigest, SPEC_VERSION, Secrets, Source,
};
use sha2::{Digest, Sha256};

use crate::gateway::Gateway;
use crate::{Failure, Harness, Program, Settings, Site, Step};

/// What a trial works at.
pub(crate) struct Bench {
    pub(crate) harness: Arc<dyn Harness>,
    /// What the backend declares.
    pub(crate) capability: Capability,
}

impl Bench {
    /// With what the harness's backend declares.
    pub(crate) async fn new(harness: Arc<dyn Harness>) -> Result<Self, Failure> {
        let capability = harness.site(&Settings::default()).await?.open().await?.capability();
        Ok(Self { harness, capability })
    }

    /// A new state, with the settings as shipped.
    pub(crate) async fn place(&self) -> Result<Place, Failure> {
        self.place_with(Settings::default()).await
    }

    /// A new state.
    pub(crate) async fn place_with(&self, settings: Settings) -> Result<Place, Failure> {
        let site = self.harness.site(&settings).await?;
        let input = site.publish("table.csv", b"a,b\n1,2\n").await?;
        Ok(Place { site, input, patience: self.harness.patience() })
    }

    /// A new state that runs at most so many jobs at once, `of_owner` of them one owner's.
    pub(crate) async fn narrow(&self, jobs: usize, of_owner: usize) -> Result<Place, Failure> {
        let mut settings = Settings::default();
        settings.quotas.jobs = jobs;
        settings.quotas.jobs_per_consumer = of_owner;
        self.place_with(settings).await
    }
}

/// One provider's state, and the gateways over it.
pub(crate) struct Place {
    pub(crate) site: Arc<dyn Site>,
    input: Source,
    pub(crate) patience: Duration,
}

impl Place {
    /// A gateway that drives.
    pub(crate) async fn gateway(&self) -> Result<Gateway, Failure> {
        Ok(Gateway::new(self.site.open().await?, self.patience, false, true))
    }

    /// A gateway that drives, but may not sweep yet.
    pub(crate) async fn careful_gateway(&self) -> Result<Gateway, Failure> {
        Ok(Gateway::new(self.site.open().await?, self.patience, false, false))
    }

    /// A gateway that does not drive.
    pub(crate) async fn idle_gateway(&self) -> Result<Gateway, Failure> {
        Ok(Gateway::new(self.site.open().await?, self.patience, true, true))
    }

    /// A job of one dataset with one file, of the owner `ada`.
    pub(crate) fn spec(&self, steps: Vec<Step>) -> JobSpec {
        let id = JobId::random();
        let code = Program(steps).to_sh();
        JobSpec {
            version: SPEC_VERSION,
            id,
            owner: owner("ada"),
            request: RequestDigest(format!("1:{}", sha256(code.as_bytes()))),
            created_at: brizo_backend::now(),
            datasets: vec![Dataset { did: did("data"), agreement: agreement(&id.to_string()), files: 1 }],
            algorithm: Algorithm {
                kind: AlgorithmKind::Raw,
                did: None,
                sha256: Some(sha256(code.as_bytes())),
                image: self.site.image(),
                entrypoint: "exec sh $ALGO".to_owned(),
            },
            limits: Limits {
                cpu_millis: 1000,
                memory_bytes: 128 << 20,
                disk_bytes: 32 << 20,
                outputs_bytes: 32 << 20,
                wall_time_s: 60,
                gpu: 0,
            },
            deadlines: Deadlines { queue_s: 600, provisioning_s: 120, publishing_s: 120 },
            network: false,
            secrets: Secrets {
                inputs: vec![vec![Input { source: self.input.clone(), sha256: None, max_bytes: None }]],
                algorithm: Some(Input { source: Source::Inline { code }, sha256: None, max_bytes: None }),
            },
        }
    }

    /// The same, of another owner.
    pub(crate) fn spec_of(&self, whose: &str, steps: Vec<Step>) -> JobSpec {
        JobSpec { owner: owner(whose), ..self.spec(steps) }
    }

    /// Waits until so many processes of a tag run.
    pub(crate) async fn until_running(&self, tag: &str, count: usize) -> Result<(), Failure> {
        let what = format!("no {count} processes of {tag} run after {:?}", self.patience);
        crate::gateway::eventually(self.patience, &what, async || Ok(self.site.running(tag) == count)).await
    }

    /// Waits until nothing of a tag runs.
    pub(crate) async fn until_still(&self, tag: &str) -> Result<(), Failure> {
        let what = format!("processes of {tag} still run after {:?}", self.patience);
        crate::gateway::eventually(self.patience, &what, async || Ok(self.site.running(tag) == 0)).await
    }

    /// Waits until nothing remains of a job but its tombstone.
    pub(crate) async fn until_clean(&self, id: &JobId) -> Result<(), Failure> {
        let mut last = Vec::new();
        let clean = async || {
            last = self.site.remains(id).await?;
            Ok(last.is_empty())
        };
        let result = crate::gateway::eventually(self.patience, "", clean).await;
        result.map_err(|_| {
            Failure::new(format!("of the deleted job {id} there remain after {:?}: {last:?}", self.patience))
        })
    }
}

/// A tag that no other process has.
pub(crate) fn tag() -> String {
    format!("brizo-trial-{}", JobId::random())
}

/// An owner of this name.
pub(crate) fn owner(name: &str) -> Owner {
    format!("owner-{name}").parse().unwrap_or_else(|error| panic!("{error}"))
}

/// An agreement of this name.
pub(crate) fn agreement(name: &str) -> Agreement {
    format!("agreement-{name}").parse().unwrap_or_else(|error| panic!("{error}"))
}

/// A DID made of a name.
pub(crate) fn did(name: &str) -> String {
    format!("did:op:{}", sha256(name.as_bytes()))
}

/// A SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Waits until the clock's milliseconds have moved on, so that the next commit has another time.
pub(crate) async fn tick() {
    let now = brizo_backend::now();
    while brizo_backend::now().as_millisecond() < now.as_millisecond() + 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
