//! Authorize and submit, on a backend that does nothing, against a bare handler that makes the same round trip.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brizo_tests::consumer::Consumer;
use brizo_tests::deploy::Result;
use brizo_tests::proxy::{Proxy, Tamper};
use brizo_tests::world::World;
use poem::http::StatusCode;
use poem::web::Data;
use poem::{Body, EndpointExt, Response, Route, handler, post};
use serde_json::{Value, json};

use crate::load::{Load, load, request};
use crate::server::{ANYWHERE, Bare};
use crate::start::raw;
use crate::table::{Limit, Row, number};

const CONNECTIONS: u64 = 32;
const STRETCH: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;

/// A floor and what is held against it.
pub(crate) struct Pair {
    pub(crate) floor: Load,
    pub(crate) ours: Load,
}

impl Pair {
    /// The row that compares their rates.
    pub(crate) fn rates(&self, what: &'static str, limit: Limit) -> Row {
        let told = |load: &Load| {
            format!("{}/s, p99 {} ms", number(load.rate.round()), number(load.quantile(0.99).as_secs_f64() * 1e3))
        };
        Row {
            what,
            measured: told(&self.ours),
            floor: told(&self.floor),
            figure: self.ours.rate / self.floor.rate,
            unit: "of the floor's rate",
            limit,
        }
    }
}

/// Measures floor and ours in turns, and takes the middle round of each.
pub(crate) async fn alternate(rounds: usize, run: impl AsyncFn(bool) -> std::io::Result<Load>) -> Result<Pair> {
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        floors.push(run(true).await?);
        ours.push(run(false).await?);
    }
    let middle = |mut loads: Vec<Load>| {
        loads.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        loads.swap_remove(rounds / 2)
    };
    Ok(Pair { floor: middle(floors), ours: middle(ours) })
}

/// Where a URL's server listens.
pub(crate) fn address(url: &str) -> Result<SocketAddr> {
    Ok(url.trim_start_matches("http://").trim_end_matches('/').parse()?)
}

/// Keeps the calls of the last batch.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Value>>>);

impl Recorder {
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tamper for Recorder {
    fn request(&self, method: &str, params: &mut Value) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = calls.len();
        calls.push(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }
}

/// What the bare handler needs.
#[derive(Debug, Clone)]
struct Floor {
    http: reqwest::Client,
    node: url::Url,
    batch: String,
    answer: String,
}

#[handler]
async fn round_trip(Data(floor): Data<&Floor>, body: Body) -> poem::Result<Response> {
    let failed = |error: &dyn std::fmt::Display| poem::Error::from_string(error.to_string(), StatusCode::BAD_GATEWAY);
    let asked: Value = serde_json::from_slice(&body.into_vec().await?).map_err(|error| failed(&error))?;
    let request = floor.http.post(floor.node.clone()).header("content-type", "application/json");
    let answer = request.body(floor.batch.clone()).send().await.map_err(|error| failed(&error))?;
    let answer = answer.bytes().await.map_err(|error| failed(&error))?;
    let states: Vec<Value> = serde_json::from_slice(&answer).map_err(|error| failed(&error))?;
    if states.is_empty() || asked.is_null() {
        return Err(failed(&"nothing was answered"));
    }
    Ok(Response::builder()
        .status(StatusCode::CREATED)
        .content_type("application/json; charset=utf-8")
        .body(floor.answer.clone()))
}

pub(crate) async fn rows() -> Result<Vec<Row>> {
    let mut world = World::new("[server]\nrate_per_address = 0\nrate_per_consumer = 0\n").await?;
    let agreements = [world.agreement().await?, world.agreement().await?];
    drop(world.gateway.take());
    let chain_id = world.chain.chain().id().await?;

    // Counted: each round trip of a gateway that has never seen the agreement, and of one that has.
    let recorder = Recorder::default();
    let proxy = Proxy::start(world.chain.url(), recorder.clone()).await?;
    let counted = crate::gateway::noop(&world, Some(proxy.url())).await?;
    let consumer = Consumer::new(&world.buyer, chain_id, &world.home.url);
    // The chain's id and the first agreement's reads are behind it.
    consumer.start(&raw(&agreements[0], "python", "python3 $ALGO", "1")).await;
    let before = proxy.round_trips();
    consumer.start(&raw(&agreements[1], "python", "python3 $ALGO", "1")).await;
    let cold = proxy.round_trips() - before;
    let before = proxy.round_trips();
    recorder.take();
    let (status, job) = consumer.post(&raw(&agreements[1], "python", "python3 $ALGO", "1"), None).await;
    if status != reqwest::StatusCode::CREATED {
        return Err(format!("status {status}: {job}").into());
    }
    let warm = proxy.round_trips() - before;
    let batch = serde_json::to_string(&recorder.take())?;
    drop(counted);

    let gateway = crate::gateway::noop(&world, None).await?;
    let consumer = Consumer::new(&world.buyer, chain_id, &world.home.url);
    let body = raw(&agreements[1], "python", "python3 $ALGO", "print(1)").to_string();
    let bearer = format!("Bearer {}", consumer.token());
    let submit = request("POST", "/api/v1/jobs", &[("authorization", &bearer)], &body);
    let floor = Floor {
        http: reqwest::Client::builder().no_proxy().build()?,
        node: world.chain.url().clone(),
        batch,
        answer: job.to_string(),
    };
    let bare = Bare::start(ANYWHERE, move || Route::new().at("/api/v1/jobs", post(round_trip)).data(floor)).await?;
    let pair = alternate(ROUNDS, async |floor| {
        let address = if floor { bare.address } else { gateway.address };
        let submit = submit.clone();
        load(address, CONNECTIONS, STRETCH, 201, Arc::new(move |_| submit.clone())).await
    })
    .await?;
    let count = |what, trips: usize, most| Row {
        what,
        measured: trips.to_string(),
        floor: String::new(),
        figure: trips as f64,
        unit: "",
        limit: Limit::AtMost(most),
    };
    Ok(vec![
        pair.rates(
            "authorize and submit, no-op backend; floor: a bare handler with the same round trip",
            Limit::AtLeast(0.5),
        ),
        count("JSON-RPC round trips of an authorization, cold", cold, 2.0),
        count("JSON-RPC round trips of an authorization, warm", warm, 1.0),
    ])
}
