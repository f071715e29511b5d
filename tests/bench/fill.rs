//! Fills a journal with ended jobs of one owner.

use std::path::Path;
use std::sync::Arc;

use brizo_backend::facts::{Ended, Facts, Seen, Started, VoidCause};
use brizo_backend::{
    Algorithm, AlgorithmKind, Dataset, Deadlines, Image, JobId, JobSpec, Limits, LogTotals, Phase, RequestDigest,
    SPEC_VERSION, Secrets,
};
use brizo_journal::{Journal, Keys};
use brizo_tests::deploy::Result;
use jiff::{SignedDuration, Timestamp};

/// How many are written side by side.
const LANES: usize = 32;

/// Writes `count` jobs that were stopped while they were queued, a second apart, the last one just now.
pub(crate) async fn fill(state: &Path, provider: &str, seal_key: &[u8; 32], owner: &str, count: usize) -> Result<()> {
    let journal = Arc::new(Journal::local(state, provider, Keys::new(seal_key, &[]))?);
    let owner = owner.to_owned();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let (journal, owner) = (journal.clone(), owner.clone());
            tokio::spawn(async move {
                for n in (lane..count).step_by(LANES) {
                    let ago = SignedDuration::from_secs(i64::try_from(count - n)?);
                    one(&journal, &owner, Timestamp::now() - ago).await?;
                }
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
            })
        })
        .collect();
    for lane in lanes {
        lane.await??;
    }
    Ok(())
}

async fn one(journal: &Journal, owner: &str, at: Timestamp) -> Result<()> {
    let spec = spec(owner, at)?;
    journal.submit(&spec).await?;
    let started = Started::Void { at, cause: VoidCause::Stop };
    journal.start(&spec.id, &started).await?;
    let facts = Facts { submitted: spec.clone(), stop: None, started: Some(started), ended: None, deleted: None };
    let ended = Ended {
        at,
        phase: Phase::Stopped,
        reason: None,
        transitions: facts.transitions_to_end(&Seen::default(), Phase::Stopped, at),
        walls: Vec::new(),
        limits: Vec::new(),
        usage: None,
        algorithm_sha256: None,
        manifest: None,
        log: LogTotals::default(),
    };
    journal.end(&spec.id, &ended).await?;
    Ok(())
}

fn spec(owner: &str, created_at: Timestamp) -> Result<JobSpec> {
    Ok(JobSpec {
        version: SPEC_VERSION,
        id: JobId::random(),
        owner: owner.parse()?,
        request: RequestDigest(format!("1:{}", "00".repeat(32))),
        created_at,
        datasets: vec![Dataset {
            did: format!("did:op:{}", "12".repeat(32)),
            agreement: format!("0x{}", "34".repeat(32)).parse()?,
            files: 1,
        }],
        algorithm: Algorithm {
            kind: AlgorithmKind::Raw,
            did: None,
            sha256: None,
            image: Image { name: "python".to_owned(), tag: "3".to_owned(), checksum: None },
            entrypoint: "python3 $ALGO".to_owned(),
        },
        limits: Limits {
            cpu_millis: 1000,
            memory_bytes: 1 << 29,
            disk_bytes: 1 << 30,
            outputs_bytes: 1 << 30,
            wall_time_s: 3600,
            gpu: 0,
        },
        deadlines: Deadlines { queue_s: 86_400, provisioning_s: 600, publishing_s: 3600 },
        network: false,
        secrets: Secrets::default(),
    })
}
