//! A job's status, against a bare handler that answers the same bytes.

use std::sync::Arc;
use std::time::Duration;

use brizo_tests::deploy::Result;
use brizo_tests::world::World;
use poem::web::Data;
use poem::{EndpointExt, Route, get, handler};

use crate::load::{Connection, load, request};
use crate::server::{ANYWHERE, Bare};
use crate::table::{Limit, Row};

const CONNECTIONS: u64 = 16;
const STRETCH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

#[handler]
fn same(Data(body): Data<&Arc<String>>) -> poem::Response {
    poem::Response::builder().content_type("application/json; charset=utf-8").body(body.as_str().to_owned())
}

pub(crate) async fn rows() -> Result<Vec<Row>> {
    let world = World::new("[server]\nrate_per_address = 0\nrate_per_consumer = 0\n").await?;
    let agreement = world.agreement().await?;
    let job = world.consumer.start(&crate::start::raw(&agreement, "sh", "sh $ALGO", "echo")).await;
    world.consumer.wait(&job, "its end", |job| job["ended_at"].is_string()).await;

    let bearer = format!("Bearer {}", world.consumer.token());
    let get_job = request("GET", &format!("/api/v1/jobs/{job}"), &[("authorization", &bearer)], "");
    let gateway = crate::submit::address(world.gateway.as_ref().ok_or("no gateway")?.url())?;
    let (status, body) = Connection::open(gateway).await?.exchange(&get_job).await.map(|(s, b)| (s, b.to_vec()))?;
    if status != 200 {
        return Err(format!("status {status}").into());
    }
    let body = Arc::new(String::from_utf8(body)?);
    let bare = Bare::start(ANYWHERE, move || Route::new().at("/api/v1/jobs/:id", get(same)).data(body)).await?;
    let pair = crate::submit::alternate(ROUNDS, async |floor| {
        let address = if floor { bare.address } else { gateway };
        let get_job = get_job.clone();
        load(address, CONNECTIONS, STRETCH, 200, Arc::new(move |_| get_job.clone())).await
    })
    .await?;
    Ok(vec![pair.rates("status of a job, requests a second", Limit::Open)])
}
