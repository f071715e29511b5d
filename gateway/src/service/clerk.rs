use std::sync::Arc;

use async_trait::async_trait;
use brizo_backend::{Deadlines, JobId, JobSpec, Limits, RequestDigest, SPEC_VERSION};
use bytes::Bytes;
use futures::future::{join_all, try_join};
use tokio::sync::OnceCell;

use super::{AlgorithmForm, AskedLimits, Desk, KeeperView, StartRequest, refusal};
use crate::assets::{self, AlgorithmRequest, Assets, Bought, ContainerRequest};
use crate::chain::{Chain, ChainError};
use crate::config::Config;
use crate::keeper::{Authorized, Keeper, KeeperConfig, OpenError};
use crate::problem::{Code, Problem};
use crate::types::{Address, AgreementId, Did, show_address};

/// The desk of a gateway: its keeper and its assets.
///
/// Both are bound to the chain's id. A gateway starts while its node is down: they are made when the node first answers.
#[derive(Debug)]
pub struct Clerk {
    chain: Arc<Chain>,
    view: KeeperView,
    recipe: Option<Recipe>,
    parts: OnceCell<Parts>,
    limits: Limits,
    deadlines: Deadlines,
}

/// What keeper and assets are made of.
#[derive(Debug, Clone)]
struct Recipe {
    keeper: KeeperConfig,
    assets: assets::Setup,
}

#[derive(Debug)]
struct Parts {
    assets: Arc<Assets>,
    keeper: Arc<Keeper>,
}

impl Clerk {
    /// From the configuration; asks nobody yet.
    pub fn open(config: &Config, provider: Address) -> Result<Self, OpenError> {
        let recipe = Recipe {
            keeper: config.keeper.clone(),
            assets: assets::Setup {
                assets: config.assets.clone(),
                metadata: config.metadata.clone(),
                guard: config.guard.clone(),
                provider,
                endpoints: config.server.names(),
                chain_id: 0,
            },
        };
        let chain = Arc::new(config.keeper.open()?);
        Ok(Self {
            view: KeeperView::of(&config.keeper, &chain),
            chain,
            recipe: Some(recipe),
            parts: OnceCell::new(),
            limits: config.limits.limits(),
            deadlines: config.limits.deadlines(),
        })
    }

    /// Over a keeper and assets that there are already.
    pub fn over(keeper: Arc<Keeper>, assets: Arc<Assets>, limits: Limits, deadlines: Deadlines) -> Self {
        Self {
            view: KeeperView::of(keeper.config(), keeper.chain()),
            chain: Arc::clone(keeper.chain()),
            recipe: None,
            parts: OnceCell::new_with(Some(Parts { assets, keeper })),
            limits,
            deadlines,
        }
    }

    async fn parts(&self) -> Result<&Parts, Problem> {
        self.parts.get_or_try_init(|| self.make()).await
    }

    async fn make(&self) -> Result<Parts, Problem> {
        let recipe = self.recipe.clone().ok_or_else(|| Problem::internal("a desk without a recipe"))?;
        let chain_id = self.chain.id().await.map_err(unreachable)?;
        let setup = assets::Setup { chain_id, ..recipe.assets };
        let provider = setup.provider;
        let assets = Arc::new(Assets::open(setup).map_err(Problem::internal)?);
        let keeper = Keeper::new(Arc::clone(&self.chain), recipe.keeper, provider, Arc::clone(&assets) as _);
        Ok(Parts { assets, keeper: Arc::new(keeper) })
    }

    /// The keeper, once the node has answered.
    pub async fn keeper(&self) -> Result<&Arc<Keeper>, Problem> {
        Ok(&self.parts().await?.keeper)
    }

    /// The assets, once the node has answered.
    pub async fn assets(&self) -> Result<&Arc<Assets>, Problem> {
        Ok(&self.parts().await?.assets)
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

fn unreachable(error: ChainError) -> Problem {
    if !error.is_retryable() {
        return Problem::internal(error);
    }
    Problem::new(Code::Unavailable, "The chain can't be read right now. Try again.")
        .retry_after(error.retry_after())
        .because(error)
}

#[async_trait]
impl Desk for Clerk {
    async fn chain_id(&self) -> Result<u64, Problem> {
        match self.chain.known_id() {
            Some(id) => Ok(id),
            None => self.chain.id().await.map_err(unreachable),
        }
    }

    fn keeper_view(&self) -> KeeperView {
        self.view.clone()
    }

    async fn ready(&self) -> Result<(), Problem> {
        let parts = self.parts().await?;
        let (health, store) = futures::join!(parts.keeper.health(), parts.assets.probe());
        let health = health.map_err(unreachable)?;
        if !health.compute_approved {
            return Err(Problem::new(
                Code::Unavailable,
                "The chain's contracts do not approve the compute template: no agreement can be made.",
            ));
        }
        store.map_err(|error| Problem::new(Code::Unavailable, "The metadata store does not answer.").because(error))
    }

    async fn prepare(
        &self,
        consumer: Address,
        request: StartRequest,
        id: JobId,
        digest: RequestDigest,
    ) -> Result<JobSpec, Problem> {
        let StartRequest { agreements, algorithm, limits } = request;
        let limits = within(limits, self.limits)?;
        let Parts { assets, keeper } = self.parts().await?;
        let (authorized, algorithm) =
            try_join(authorize(keeper, consumer, &agreements), owned(keeper, algorithm)).await?;
        let bought: Vec<_> = authorized
            .iter()
            .map(|purchase| Bought { did: purchase.did, agreement: purchase.agreement, owner: purchase.did_owner })
            .collect();
        let resolved = assets.resolve(&bought, &algorithm).await?;
        if let Some(did) = resolved.needs_permission {
            permitted(keeper, consumer, &did).await?;
        }
        Ok(JobSpec {
            version: SPEC_VERSION,
            id,
            owner: show_address(&consumer).parse().map_err(Problem::internal)?,
            request: digest,
            created_at: brizo_backend::now(),
            datasets: resolved.datasets,
            algorithm: resolved.algorithm,
            limits,
            deadlines: self.deadlines,
            network: resolved.network,
            secrets: resolved.secrets,
        })
    }

    async fn document(&self, did: &Did) -> Result<Option<Bytes>, Problem> {
        match self.assets().await?.document(did).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(problem) if problem.code() == Code::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

/// All agreements at once; the first of the request that is refused decides.
async fn authorize(keeper: &Keeper, consumer: Address, agreements: &[AgreementId]) -> Result<Vec<Authorized>, Problem> {
    let asked = join_all(agreements.iter().map(|agreement| keeper.authorize(*agreement, consumer))).await;
    asked
        .into_iter()
        .enumerate()
        .map(|(n, answer)| answer.map_err(|refused| refusal::of(&refused, &format!("/agreements/{n}"))))
        .collect()
}

/// The algorithm, with its owner on chain where it is a published one.
async fn owned(keeper: &Keeper, form: AlgorithmForm) -> Result<AlgorithmRequest, Problem> {
    let container = |container: super::Container| ContainerRequest {
        image: container.image,
        tag: container.tag,
        checksum: container.checksum,
        entrypoint: container.entrypoint,
    };
    Ok(match form {
        AlgorithmForm::Raw { code, container: inside } => AlgorithmRequest::Raw { code, container: container(inside) },
        AlgorithmForm::Url { url, checksum, container: inside } => {
            AlgorithmRequest::Url { url, checksum, container: container(inside) }
        }
        AlgorithmForm::Did(did) => {
            let owner = keeper.owner_of(&did).await.map_err(refusal::trouble)?;
            AlgorithmRequest::Did { did, owner }
        }
    })
}

async fn permitted(keeper: &Keeper, consumer: Address, did: &Did) -> Result<(), Problem> {
    if keeper.has_access(consumer, did).await.map_err(refusal::trouble)? {
        return Ok(());
    }
    let text = format!("The algorithm {did} is sold, and {} has not bought access to it.", show_address(&consumer));
    Err(Problem::new(Code::AlgorithmNotAllowed, text).at("/algorithm/did", "buy it, or take another algorithm"))
}

/// What was asked for, within the gateway's own limits; what was not asked for is those.
fn within(asked: AskedLimits, most: Limits) -> Result<Limits, Problem> {
    let too_much = |name: &str, most: String| {
        Problem::invalid_at(format!("/limits/{name}"), format!("This gateway gives at most {most} of {name} to a job."))
    };
    let at_most = |name: &str, asked: Option<u64>, most: u64| match asked {
        Some(asked) if asked > most => Err(too_much(name, most.to_string())),
        asked => Ok(asked.unwrap_or(most)),
    };
    let cpu_millis = match asked.cpu {
        Some(cpu) if cpu * 1_000.0 > most.cpu_millis as f64 + 0.5 => {
            return Err(too_much("cpu", (most.cpu_millis as f64 / 1_000.0).to_string()));
        }
        Some(cpu) => ((cpu * 1_000.0).round() as u64).max(1),
        None => most.cpu_millis,
    };
    let gpu = asked.gpu.unwrap_or(0);
    if gpu > most.gpu {
        let code = if most.gpu == 0 { Code::NotSupported } else { Code::InvalidRequest };
        let text = format!("This gateway gives at most {} GPUs to a job.", most.gpu);
        return Err(Problem::new(code, text.clone()).at("/limits/gpu", text));
    }
    let disk_bytes = at_most("disk_bytes", asked.disk_bytes, most.disk_bytes)?;
    Ok(Limits {
        cpu_millis,
        memory_bytes: at_most("memory_bytes", asked.memory_bytes, most.memory_bytes)?,
        disk_bytes,
        outputs_bytes: most.outputs_bytes.min(disk_bytes),
        wall_time_s: at_most("wall_time_s", asked.wall_time_s, most.wall_time_s)?,
        gpu,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Limits =
        Limits { cpu_millis: 1_500, memory_bytes: 100, disk_bytes: 200, outputs_bytes: 150, wall_time_s: 60, gpu: 0 };

    #[test]
    fn nobody_gets_more_than_the_gateway_gives_and_what_is_left_out_is_that() {
        assert_eq!(within(AskedLimits::default(), MOST).unwrap(), MOST);
        let asked =
            AskedLimits { cpu: Some(0.25), memory_bytes: Some(100), disk_bytes: Some(50), ..Default::default() };
        let got = within(asked, MOST).unwrap();
        assert_eq!((got.cpu_millis, got.memory_bytes, got.disk_bytes, got.outputs_bytes), (250, 100, 50, 50));
        for (asked, pointer) in [
            (AskedLimits { cpu: Some(1.6), ..Default::default() }, "/limits/cpu"),
            (AskedLimits { memory_bytes: Some(101), ..Default::default() }, "/limits/memory_bytes"),
            (AskedLimits { wall_time_s: Some(u64::MAX), ..Default::default() }, "/limits/wall_time_s"),
        ] {
            let problem = within(asked, MOST).unwrap_err();
            assert_eq!((problem.status(), problem.parts()[0].pointer.as_str()), (400, pointer));
        }
        let gpu = within(AskedLimits { gpu: Some(1), ..Default::default() }, MOST).unwrap_err();
        assert_eq!(gpu.status(), 501);
    }
}
