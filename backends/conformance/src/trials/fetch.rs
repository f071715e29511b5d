//! Inputs and algorithms that come by http.

use brizo_backend::{AlgorithmKind, Input, JobSpec, Phase, Reason, Source};

use super::staging::never_ran;
use crate::bench::{Bench, Place, did, tag};
use crate::failure::{Verdict, ensure};
use crate::gateway::sketch;
use crate::server::{Answer, Server};
use crate::{Failure, Program, Step};

/// A part of every path, which nothing may show.
const SECRET: &str = "secret-b1e55ed";

async fn server(place: &Place) -> Result<Server, Failure> {
    let table = b"a,b\n1,2\n".to_vec();
    let program = Program(vec![Step::Token]).to_sh().into_bytes();
    let answers = vec![
        ("table-secret-b1e55ed", Answer::Bytes(table.clone())),
        ("late-secret-b1e55ed", Answer::Later(2, table)),
        ("gone-secret-b1e55ed", Answer::Status(404)),
        ("down-secret-b1e55ed", Answer::Status(503)),
        ("endless-secret-b1e55ed", Answer::Endless),
        ("program", Answer::Bytes(program)),
    ];
    Ok(Server::start(place.site.host(), answers).await?)
}

fn spec(place: &Place, server: &Server, name: &str) -> JobSpec {
    let mut spec = place.spec(vec![Step::Token, Step::Inputs]);
    let url = server.url(&format!("{name}-{SECRET}"));
    let input = Input { source: Source::PublisherUrl { url }, sha256: None, max_bytes: Some(1 << 20) };
    spec.secrets.inputs = vec![vec![input]];
    spec
}

pub(super) async fn inputs_by_http(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let server = server(&place).await?;
    let path = format!("inputs/{}/0", did("data").trim_start_matches("did:op:"));
    for name in ["table", "late"] {
        let spec = spec(&place, &server, name);
        gateway.run(&spec, Phase::Succeeded).await?;
        let (_, bytes) = gateway.read(&spec.id, &path, None).await?;
        ensure!(bytes == b"a,b\n1,2\n", "what was fetched is not what the publisher's server has");
    }
    Ok(())
}

pub(super) async fn inputs_that_fail_by_http(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let server = server(&place).await?;
    for name in ["gone", "endless"] {
        let spec = spec(&place, &server, name);
        let job = gateway.run(&spec, Phase::Failed).await?;
        let inputs = matches!(job.reason, Some(Reason::Inputs { .. }));
        ensure!(inputs, "an input whose URL is {name} should be Failed(Inputs): {:?}", job.reason);
        let shown = format!("{job:?}");
        ensure!(!shown.contains(SECRET), "the job shows its input's URL: {shown}");
        never_ran(&gateway, &spec).await?;
    }
    Ok(())
}

pub(super) async fn guarded_algorithm(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let server = server(&place).await?;
    let named = |allow| {
        let mut spec = place.spec(vec![]);
        spec.algorithm.kind = AlgorithmKind::Url;
        spec.algorithm.sha256 = None;
        let source = Source::GuardedUrl { url: server.url("program"), allow };
        spec.secrets.algorithm = Some(Input { source, sha256: None, max_bytes: Some(1 << 20) });
        spec
    };
    let refused = named(vec![]);
    let job = gateway.run(&refused, Phase::Failed).await?;
    let algorithm = matches!(job.reason, Some(Reason::Algorithm { .. }));
    ensure!(algorithm, "a URL of a consumer's that leads inside should be Failed(Algorithm): {:?}", job.reason);
    let asked = server.requests("program");
    ensure!(asked == 0, "a consumer's URL reached an address inside, {asked} times");
    never_ran(&gateway, &refused).await?;
    if let Some(address) = server.address() {
        let allowed = named(vec![address]);
        gateway.run(&allowed, Phase::Succeeded).await?;
        let executions = gateway.executions(&allowed.id).await?;
        ensure!(executions.len() == 1, "an algorithm that was fetched ran {} times", executions.len());
    }
    Ok(())
}

pub(super) async fn deadline(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let server = server(&place).await?;
    let mut spec = spec(&place, &server, "down");
    spec.deadlines.provisioning_s = 2;
    gateway.submit(&spec).await?;
    let beside = place.spec(vec![Step::Sleep(tag(), 10)]);
    gateway.run(&beside, Phase::Succeeded).await?;
    let job = gateway.end(&spec.id, Phase::Failed).await?;
    let late = matches!(job.reason, Some(Reason::ProvisioningDeadline { .. }));
    ensure!(late, "a store that is down past the deadline should be Failed(ProvisioningDeadline): {:?}", job.reason);
    let tried = server.requests(&format!("down-{SECRET}"));
    ensure!(tried > 1, "a store that is down was tried {tried} times: {}", sketch(&job));
    let shown = format!("{job:?}");
    ensure!(!shown.contains(SECRET), "the job shows its input's URL: {shown}");
    never_ran(&gateway, &spec).await
}
