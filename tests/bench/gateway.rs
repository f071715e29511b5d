//! The gateway in this process, before a backend that does nothing.

use std::sync::Arc;

use brizo::api::{self, Audit, LinkKey, Setup, State};
use brizo::config::Config;
use brizo::service::Clerk;
use brizo_tests::deploy::Result;
use brizo_tests::world::World;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::noop::Noop;
use crate::server::Bare;

/// Takes the place of the world's own gateway, at its address; reads the chain through `node`, if that is given.
pub(crate) async fn noop(world: &World, node: Option<&Url>) -> Result<Bare> {
    let mut config = Config::load(Some(&world.home.path().join("brizo.toml")))?;
    if let Some(node) = node {
        config.keeper.rpc_url = node.as_str().parse()?;
    }
    let provider = config.provider.address()?;
    let state = State::new(Setup {
        backend: Arc::new(Noop),
        backend_type: "noop".to_owned(),
        desk: Arc::new(Clerk::open(&config, provider)?),
        audiences: config.server.audiences(),
        provider,
        links: LinkKey::derive(&[1; 32]),
        rates: config.server.rates(),
        limits: config.limits.limits(),
        deadlines: config.limits.deadlines(),
        legacy: false,
        behind_proxy: false,
        audit: Audit::to_log(),
        shutdown: CancellationToken::new(),
    });
    Bare::start(crate::submit::address(&world.home.url)?, move || api::app(&state)).await
}
