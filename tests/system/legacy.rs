//! The old clients' API on real parts: what squid-js and squid-py send, over a socket, to a gateway that authorizes on the
//! real contracts and runs the algorithm.

use std::time::{Duration, Instant};

use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use brizo_tests::chain::Purchase;
use brizo_tests::chain::development_key;
use brizo_tests::deploy::Result;
use brizo_tests::world::{DATA, PRICE, World};
use libtest_mimic::Trial;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::support::trial;

const COMPUTE: &str = "/api/v1/brizo/services/compute";
const ON: &str = "[server]\nlegacy = true\n";
/// How long a job may take on a busy machine.
const JOB: Duration = Duration::from_secs(90);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("legacy::squid_js_runs_a_job_in_query_strings", squid_js),
        trial("legacy::squid_py_runs_a_job_by_token", squid_py),
        trial("legacy::what_is_not_paid_is_401", unpaid),
    ]
}

fn signed(key: &PrivateKeySigner, message: &str) -> Result<String> {
    Ok(format!("0x{}", hex::encode(key.sign_message_sync(message.as_bytes())?.as_bytes())))
}

fn meta(code: &str) -> Value {
    json!({"rawcode": code, "language": "sh", "format": "docker-image", "version": "0.1",
        "container": {"entrypoint": "sh $ALGO", "image": "sh", "tag": "latest"}})
}

/// The first object of an answer's array.
async fn first(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let (status, text) = (response.status(), response.text().await?);
    assert_eq!(status, StatusCode::OK, "{text}");
    Ok(serde_json::from_str::<Vec<Value>>(&text)?.remove(0))
}

/// Asks until the job has ended, and returns it.
async fn ended(ask: impl Fn() -> Result<reqwest::RequestBuilder>) -> Result<Value> {
    let until = Instant::now() + JOB;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        look.tick().await;
        let job = first(ask()?).await?;
        if job["status"] == 70 {
            return Ok(job);
        }
        assert!(Instant::now() < until, "not done in time: {job:#}");
    }
}

/// All parameters in the query, the agreement's id without 0x, in what is signed too.
fn by_squid_js(
    world: &World,
    method: Method,
    agreement: &str,
    job: &str,
    more: &[(&str, &str)],
) -> Result<reqwest::RequestBuilder> {
    let (consumer, agreement) = (world.buyer.address().to_string(), agreement.trim_start_matches("0x"));
    let signature = signed(&world.buyer, &format!("{consumer}{job}{agreement}"))?;
    let mut query =
        vec![("signature", signature.as_str()), ("consumerAddress", &consumer), ("serviceAgreementId", agreement)];
    if !job.is_empty() {
        query.push(("jobId", job));
    }
    query.extend(more);
    let url = url::Url::parse_with_params(&format!("{}{COMPUTE}", url(world)), query)?;
    Ok(Client::builder().build()?.request(method, url).header("content-type", "application/json"))
}

fn url(world: &World) -> &str {
    world.gateway.as_ref().map(brizo_tests::gateway::Gateway::url).unwrap_or_default()
}

async fn squid_js() -> Result<()> {
    let world = World::new(ON).await?;
    let versions: Value =
        serde_json::from_str(&Client::builder().build()?.get(url(&world)).send().await?.text().await?)?;
    assert_eq!(versions["software"], "Brizo");
    let token = world.chain.contracts().token.to_string();
    assert_eq!(versions["contracts"]["OceanToken"], token);

    let agreement = world.agreement().await?;
    // Raw code stands in the query, and fills nearly all of what a request line may hold.
    let code = format!("cp $INPUTS/*/0 $OUTPUTS/copy.csv; echo done\n#{}", "x".repeat(50 * 1024));
    let meta = meta(&code).to_string();
    let start = by_squid_js(&world, Method::POST, &agreement, "", &[("algorithmMeta", &meta), ("output", "{}")])?;
    let started = first(start).await?;
    assert_eq!(started["agreementId"], agreement.as_str());
    let id = started["jobId"].as_str().unwrap_or_default().to_owned();
    let job = ended(|| by_squid_js(&world, Method::GET, &agreement, &id, &[])).await?;
    assert_eq!(job["phase"], "succeeded", "{job:#}");
    assert_eq!(job["resultsUrls"].as_array().map(Vec::len), Some(1), "{job:#}");
    assert_eq!(job["resultsUrl"], job["resultsUrls"]);
    let read = async |link: &Value| -> Result<String> {
        let response = Client::builder().build()?.get(link.as_str().unwrap_or_default()).send().await?;
        assert_eq!(response.status(), StatusCode::OK);
        Ok(response.text().await?)
    };
    assert_eq!(read(&job["resultsUrls"][0]).await?, DATA);
    assert_eq!(read(&job["algorithmLogUrl"]).await?, "done\n");

    let gone = first(by_squid_js(&world, Method::DELETE, &agreement, &id, &[])?).await?;
    assert_eq!(gone["removed"], 1);
    let response = by_squid_js(&world, Method::GET, &agreement, &id, &[])?.send().await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let log = std::fs::read_to_string(world.home.path().join("serve.log"))?;
    assert!(!log.contains("signature="), "query strings are nobody's to read");
    Ok(())
}

async fn squid_py() -> Result<()> {
    let world = World::new(ON).await?;
    let agreement = world.agreement().await?;
    let consumer = world.buyer.address().to_string();
    let now = jiff::Timestamp::now().as_second();
    let token = format!("{}-{now}", signed(&world.buyer, &format!("Ocean Protocol Authentication\n{now}"))?);
    let endpoint = format!("{}{COMPUTE}", url(&world));
    let http = Client::builder().build()?;
    let body = json!({"signature": token, "consumerAddress": consumer, "serviceAgreementId": agreement,
        "algorithmDID": null, "algorithmMeta": meta("echo out; sleep 600"),
        "output": {"publishOutput": 0, "publishAlgorithmLog": 0, "whitelist": []}});
    let started = first(http.post(&endpoint).json(&body)).await?;
    let id = started["jobId"].as_str().unwrap_or_default().to_owned();
    let url = url::Url::parse_with_params(
        &endpoint,
        [("signature", &token), ("consumerAddress", &consumer), ("serviceAgreementId", &agreement), ("jobId", &id)],
    )?;
    let stopped = first(http.put(url.clone())).await?;
    assert_eq!(stopped["stopreq"], 1, "{stopped:#}");
    let job = ended(|| Ok(http.get(url.clone()))).await?;
    assert_eq!(job["phase"], "stopped", "{job:#}");
    let (_, same) = world.consumer.job(&id).await;
    assert_eq!(same["phase"], "stopped", "the new API sees the same job");
    Ok(())
}

async fn unpaid() -> Result<()> {
    let world = World::new(ON).await?;
    let owner = development_key(1).address();
    let purchase = Purchase::honest(world.chain.contracts(), world.did, PRICE, owner, world.buyer.address());
    world.chain.agree(&world.buyer, &purchase).await?;
    let meta = meta("echo never").to_string();
    let more = [("algorithmMeta", meta.as_str()), ("output", "{}")];
    let (made, unknown) = (purchase.id.to_string(), "ab".repeat(32));
    for agreement in [&made, &unknown] {
        let response = by_squid_js(&world, Method::POST, agreement, "", &more)?.send().await?;
        let status = response.status();
        let body: Value = serde_json::from_str(&response.text().await?)?;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        assert!(body["error"].as_str().is_some_and(|text| text.contains(agreement.trim_start_matches("0x"))), "{body}");
    }
    let response = by_squid_js(&world, Method::GET, &made, "", &[])?.send().await?;
    assert_eq!(response.text().await?, "[]");
    Ok(())
}
