use crate::bench::Bench;
use crate::failure::{Verdict, ensure};
use crate::gateway::eventually;
use crate::required;

pub(super) async fn capability(bench: &Bench) -> Verdict {
    let backend_type = bench.harness.backend_type();
    let missing = required::missing(backend_type, &bench.capability);
    let Some(missing) = missing else {
        return Err(crate::Failure::new(format!("the suite's table has no backend of type {backend_type}; add it")));
    };
    ensure!(missing.is_empty(), "a {backend_type} backend must declare {missing:?}");
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    gateway.run(&place.spec(vec![]), brizo_backend::Phase::Succeeded).await?;
    ensure!(gateway.capability() == bench.capability, "the capability is not what it was before a job ran");
    Ok(())
}

pub(super) async fn health(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let mut last = String::new();
    let healthy = async || {
        let health = gateway.health().await;
        last = health.as_ref().map_or_else(|error| format!("{error:?}"), |()| String::new());
        Ok(health.is_ok())
    };
    let healthy = eventually(place.patience, "", healthy).await;
    ensure!(healthy.is_ok(), "a backend whose trials run says that it is not healthy: {last}");
    Ok(())
}
