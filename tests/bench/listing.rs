//! A page of 100 jobs of an owner with 10,000, against one of an owner with 100; and how fast such a gateway starts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brizo::assets::SealKeys;
use brizo::types::{Address, show_address};
use brizo_tests::chain::{Chain, development_key};
use brizo_tests::consumer::Consumer;
use brizo_tests::deploy::Result;
use brizo_tests::gateway::{Gateway, Home, OnChain};

use crate::fill::fill;
use crate::load::{load, request};
use crate::submit::{address, alternate};
use crate::table::{Limit, Row, number};

const FEW: usize = 100;
const MANY: usize = 10_000;
const STRETCH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// How many starts are timed; the middle one counts.
const STARTS: usize = 5;

pub(crate) async fn rows() -> Result<Vec<Row>> {
    let chain = Chain::start().await?;
    let buyer = chain.account().await?;
    let few = home(&chain, &buyer.address(), FEW).await?;
    let many = home(&chain, &buyer.address(), MANY).await?;
    let (_, ready_empty) = starts(&home(&chain, &buyer.address(), 0).await?)?;
    let (few_gateway, _) = starts(&few)?;
    let (many_gateway, ready_many) = starts(&many)?;

    let chain_id = chain.chain().id().await?;
    let page = |gateway: &Gateway| {
        let consumer = Consumer::new(&buyer, chain_id, gateway.url());
        let bearer = format!("Bearer {}", consumer.token());
        request("GET", "/api/v1/jobs?limit=100", &[("authorization", &bearer)], "")
    };
    let pages =
        [(address(few_gateway.url())?, page(&few_gateway)), (address(many_gateway.url())?, page(&many_gateway))];
    let pair = alternate(ROUNDS, async |floor| {
        let (address, request) = pages[usize::from(!floor)].clone();
        load(address, 1, STRETCH, 200, Arc::new(move |_| request.clone())).await
    })
    .await?;
    let [floor, ours] = [&pair.floor, &pair.ours].map(|load| load.quantile(0.5).as_secs_f64() * 1e3);
    let ready = |what, ready: Duration, most| Row {
        what,
        measured: format!("{} ms", number(ready.as_secs_f64() * 1e3)),
        floor: String::new(),
        figure: ready.as_secs_f64() * 1e3,
        unit: "ms",
        limit: Limit::AtMost(most),
    };
    Ok(vec![
        Row {
            what: "a page of 100 of one owner's 10,000 jobs; floor: of his 100",
            measured: format!("p50 {} ms", number(ours)),
            floor: format!("p50 {} ms", number(floor)),
            figure: ours / floor,
            unit: "times the floor",
            limit: Limit::AtMost(1.5),
        },
        ready("start to ready", ready_empty, 200.0),
        ready("start to ready with 10,000 jobs", ready_many, 300.0),
    ])
}

/// A gateway's folder with so many ended jobs of one owner.
async fn home(chain: &Chain, owner: &Address, jobs: usize) -> Result<Home> {
    let on_chain = OnChain { rpc_url: chain.url().to_string(), artifacts: chain.artifacts().to_owned() };
    let provider = development_key(1);
    let home = Home::new(&on_chain, &provider, "[server]\nrate_per_address = 0\nrate_per_consumer = 0\n")?;
    let seal = SealKeys::load(&home.path().join("seal.key"), &[])?.derive("backend journal");
    fill(&home.path().join("state"), &show_address(&provider.address()), &seal, &show_address(owner), jobs).await?;
    Ok(home)
}

/// Starts it a few times; the last one goes on running.
fn starts(home: &Home) -> Result<(Gateway, Duration)> {
    let mut times = Vec::new();
    loop {
        let begin = Instant::now();
        let gateway = home.serve()?;
        times.push(begin.elapsed());
        if times.len() == STARTS {
            times.sort_unstable();
            return Ok((gateway, times[STARTS / 2]));
        }
        gateway.kill()?;
    }
}
