use std::time::Duration;

use brizo_backend::{Job, Phase};

use crate::bench::{Bench, Place, tag};
use crate::failure::{Verdict, ensure};
use crate::gateway::Gateway;
use crate::{Failure, Settings, Step};

/// How long these trials keep jobs.
const KEEP: Duration = Duration::from_secs(1);

async fn short_lived(bench: &Bench) -> Result<Place, Failure> {
    bench.place_with(Settings { keep: KEEP, ..Settings::default() }).await
}

/// Lets a job's retention pass, and whatever a gateway does about it: other jobs run meanwhile.
async fn outlive(place: &Place, gateway: &Gateway, job: &Job) -> Verdict {
    let over = job.ended_at.unwrap_or(job.created_at).as_millisecond() + 2500;
    while brizo_backend::now().as_millisecond() < over {
        gateway.submit(&place.spec(vec![Step::Token])).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

pub(super) async fn only_when_it_may(bench: &Bench) -> Verdict {
    let place = short_lived(bench).await?;
    let gateway = place.careful_gateway().await?;
    let spec = place.spec(vec![Step::Write("result".to_owned(), b"42".to_vec())]);
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    outlive(&place, &gateway, &job).await?;
    let kept = gateway.get(&spec.id).await;
    ensure!(kept.is_ok_and(|kept| kept == job), "an ended job was swept although nothing may be");
    let (_, bytes) = gateway.read(&spec.id, "result", None).await?;
    ensure!(bytes == b"42", "its result was swept although nothing may be");
    gateway.may_sweep(true);
    gateway.until_gone(&spec.id, place.patience).await
}

pub(super) async fn retention(bench: &Bench) -> Verdict {
    let place = short_lived(bench).await?;
    let gateway = place.gateway().await?;
    let running = place.spec(vec![Step::Token, Step::Hold(tag())]);
    gateway.submit(&running).await?;
    gateway.until_printed(&running.id, "token").await?;
    let spec = place.spec(vec![Step::Write("result".to_owned(), b"42".to_vec())]);
    gateway.submit(&spec).await?;
    gateway.until_gone(&spec.id, place.patience).await?;
    place.until_clean(&spec.id).await?;
    let still = gateway.get(&running.id).await;
    ensure!(still.is_ok_and(|job| job.phase == Phase::Running), "a job that runs was swept like one that has ended");
    gateway.stop(&running.id).await?;
    gateway.until_gone(&running.id, place.patience).await?;

    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![]);
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    outlive(&place, &gateway, &job).await?;
    ensure!(gateway.get(&spec.id).await.is_ok(), "a job is gone that is to be kept for 30 days");
    Ok(())
}
