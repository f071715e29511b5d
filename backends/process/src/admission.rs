//! What may be submitted: judged before anything is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brizo_backend::{Error, ErrorKind, JobSpec, Owner, Result, Source};
use nix::sys::statvfs::statvfs;

use crate::backend::Inner;
use crate::config::NetworkConfig;
use crate::error::blocking;
use crate::runtime::Runtime;

/// The sums of what is kept may be so old. Whoever drives sums more often.
const KEPT_AGE: Duration = Duration::from_mins(2);

/// What is kept of each owner, as it was summed last.
pub(crate) type Kept = (Instant, Arc<HashMap<String, u64>>);

impl Inner {
    /// Refuses what this backend can't do or may not run.
    pub(crate) fn check_ability(&self, spec: &JobSpec, operation: &'static str) -> Result<Runtime> {
        let unsupported =
            |pointer: &str, message: &str| Err(Error::new(ErrorKind::Unsupported, operation, message).pointer(pointer));
        if let Err(line) = &self.probe {
            return Err(crate::probe::refused(operation, line));
        }
        let runtime = Runtime::of(&self.config.runtimes, &spec.algorithm.image, operation)?;
        if spec.algorithm.image.checksum.is_some() {
            let message = "This provider runs runtimes of its host, which have no checksum; leave it out.";
            return unsupported("/algorithm/image/checksum", message);
        }
        if spec.limits.gpu > 0 {
            return unsupported("/limits/gpu", "This provider has no GPU for algorithms.");
        }
        if spec.network && self.config.network == NetworkConfig::None {
            let message = "This provider gives no algorithm the network.";
            return unsupported("/network", message);
        }
        let all = spec.secrets.inputs.iter().flatten().chain(&spec.secrets.algorithm);
        for input in all {
            let (Source::PublisherUrl { url } | Source::GuardedUrl { url, .. }) = &input.source else { continue };
            let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
            if !matches!(scheme.as_str(), "http" | "https") {
                let message = "This provider fetches from http and https, and reads its own files; nothing else.";
                return unsupported("/datasets", message);
            }
        }
        Ok(runtime)
    }

    /// Refuses what there is no room for.
    pub(crate) async fn check_room(&self, spec: &JobSpec, operation: &'static str) -> Result<()> {
        let quotas = &self.quotas;
        if self.journal.count_open(&spec.owner).await? >= quotas.queued_per_consumer {
            let waiting = self.count_waiting(&spec.owner).await?;
            if waiting >= quotas.queued_per_consumer {
                let message = format!("You have {waiting} jobs that wait, and no more may. Try again when one runs.");
                return Err(Error::new(ErrorKind::QuotaExceeded, operation, message));
            }
        }
        let kept = self.kept_of(spec).await?;
        if kept >= quotas.kept_per_consumer_bytes {
            let message = format!(
                "Outputs and logs of your jobs take {kept} bytes, and {} may be kept. Delete jobs that you need no more.",
                quotas.kept_per_consumer_bytes
            );
            return Err(Error::new(ErrorKind::StorageFull, operation, message));
        }
        let (state_dir, reserve) = (self.config.state_dir.clone(), quotas.disk_reserve_bytes);
        let free = blocking(operation, move || statvfs(&state_dir))
            .await?
            .map_or(u64::MAX, |stat| stat.blocks_available().saturating_mul(stat.fragment_size()));
        if free < reserve {
            let message = "The provider's disk is nearly full. Try again later, or ask the provider to make room.";
            return Err(Error::new(ErrorKind::StorageFull, operation, message).with("free", free));
        }
        Ok(())
    }

    /// The owner's jobs that nobody has taken out of the queue yet.
    async fn count_waiting(&self, owner: &Owner) -> Result<usize> {
        let mut waiting = 0;
        for facts in self.journal.open_jobs().await?.into_iter().filter(|facts| facts.submitted.owner == *owner) {
            let folder = self.folder(&facts.submitted.id);
            let taken = blocking("submit", move || folder.seen().provisioning.is_some()).await?;
            waiting += usize::from(!taken && facts.started.is_none());
        }
        Ok(waiting)
    }

    /// As it was summed last; summed now only if it never was, or nobody drives here.
    async fn kept_of(&self, spec: &JobSpec) -> Result<u64> {
        let last = self.kept.lock().ok().and_then(|kept| kept.clone());
        let kept = match last {
            Some((at, kept)) if at.elapsed() < KEPT_AGE => kept,
            _ => self.sum_kept().await?,
        };
        Ok(kept.get(&spec.owner.label()).copied().unwrap_or(0))
    }

    /// Sums what is kept of each owner.
    pub(crate) async fn sum_kept(&self) -> Result<Arc<HashMap<String, u64>>> {
        let sums = Arc::new(self.journal.kept().await?);
        if let Ok(mut kept) = self.kept.lock() {
            *kept = Some((Instant::now(), sums.clone()));
        }
        Ok(sums)
    }
}
