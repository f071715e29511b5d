//! `brizo serve` and `brizo check` as an operator meets them: wrong settings, a node that is down, an end by SIGTERM, and
//! what is told besides the API.

use std::time::{Duration, Instant};

use brizo_tests::chain::development_key;
use brizo_tests::consumer::{Consumer, raw};
use brizo_tests::deploy::Result;
use brizo_tests::gateway::{Home, OnChain};
use brizo_tests::world::World;
use libtest_mimic::Trial;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("serve::wrong_settings_are_told_in_one_line", wrong_settings),
        trial("serve::a_gateway_starts_while_its_node_is_down", node_down),
        trial("serve::sigterm_ends_the_gateway_and_not_its_jobs", sigterm),
        trial("serve::a_job_leaves_a_record_that_outlives_it", records),
    ]
}

const SOON: Duration = Duration::from_secs(30);

/// Waits until `met` gives something.
async fn until<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> Result<T> {
    let limit = Instant::now() + SOON;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while Instant::now() < limit {
        look.tick().await;
        if let Some(found) = met() {
            return Ok(found);
        }
    }
    Err(format!("not in time: {what}").into())
}

/// A home whose node is not there. Its artifacts have addresses of nothing.
fn home_without_a_node(folder: &std::path::Path) -> Result<Home> {
    for contract in [
        "AccessSecretStoreCondition",
        "AgreementStoreManager",
        "ComputeExecutionCondition",
        "ConditionStoreManager",
        "DIDRegistry",
        "Dispenser",
        "EscrowReward",
        "LockRewardCondition",
        "OceanToken",
        "TemplateStoreManager",
    ] {
        let text = format!("{{\"name\":\"{contract}\",\"address\":\"0x{}\"}}", "01".repeat(20));
        std::fs::write(folder.join(format!("{contract}.development.json")), text)?;
    }
    let nowhere = OnChain { rpc_url: "http://127.0.0.1:9".to_owned(), artifacts: folder.to_owned() };
    Ok(Home::new(&nowhere, &development_key(1), "")?)
}

/// What a clear misconfiguration costs: a start that looks fine and links that nobody can open.
async fn wrong_settings() -> Result<()> {
    let artifacts = tempfile::tempdir()?;
    let home = home_without_a_node(artifacts.path())?;
    for (name, value, words) in [
        ("BRIZO_SERVER__LISTEN", "0.0.0.0:0", "behind_tls_proxy"),
        ("BRIZO_SERVER__PUBLIC_URL", "http://0.0.0.0:8030", "names no machine"),
        ("BRIZO_LIMITS__MEMROY", "1GiB", "did you mean memory"),
        ("BRIZO_LIMITS__JOBS", "0", "limits.jobs"),
        ("BRIZO_ASSETS__SEAL_KEY_FILE", "/nowhere", "/nowhere"),
    ] {
        for command in ["serve", "check"] {
            let mut brizo = tokio::process::Command::from(home.brizo());
            brizo.arg(command).env(name, value).kill_on_drop(true);
            let out = tokio::time::timeout(SOON, brizo.output()).await??;
            let said = [out.stdout, out.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let line = said.lines().find(|line| line.contains(words));
            assert!(!out.status.success() && line.is_some(), "{name}={value}: {said}");
        }
    }
    Ok(())
}

/// An operator restarts both machines; the gateway must not need the node to be first.
async fn node_down() -> Result<()> {
    let artifacts = tempfile::tempdir()?;
    let home = home_without_a_node(artifacts.path())?;
    let mut serve = tokio::process::Command::from(home.brizo());
    let mut serve = serve.arg("serve").kill_on_drop(true).spawn()?;
    let consumer = Consumer::new(&development_key(2), 31_337, &home.url);
    let http = reqwest::Client::builder().build()?;
    let address = home.url.trim_start_matches("http://");
    until("listening", || std::net::TcpStream::connect(address).ok()).await?;
    let live = http.get(format!("{}/health/live", home.url)).send().await?;
    assert_eq!(live.status(), StatusCode::OK);
    let (status, problem) = Consumer::send(http.get(format!("{}/health/ready", home.url))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::from("unavailable")));
    let body = raw(&format!("0x{}", "ab".repeat(32)), "sh", "sh $ALGO", "echo");
    let answer = consumer.request(Method::POST, "/api/v1/jobs").json(&body).send().await?;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "never 401: the consumer did nothing wrong");
    assert!(answer.headers().contains_key("retry-after"));
    assert!(serve.try_wait()?.is_none());
    Ok(())
}

/// An upgrade must cost nobody his job, and nobody must take a log that it cut for a whole one.
async fn sigterm() -> Result<()> {
    let mut world = World::new("").await?;
    let agreement = world.agreement().await?;
    let end = jiff::Timestamp::now().as_second() + 8;
    let code = format!("echo begun; while [ $(date +%s) -lt {end} ]; do sleep 0.1; done; echo done");
    let id = world.consumer.start(&raw(&agreement, "sh", "sh $ALGO", &code)).await;
    world.consumer.wait(&id, "running", |job| job["phase"] == "running").await;
    let path = format!("/api/v1/jobs/{id}/logs?follow=true");
    let mut log = world.consumer.request(Method::GET, &path).send().await?;
    let events = format!("/api/v1/jobs/{id}/events");
    let mut events = world.consumer.request(Method::GET, &events).send().await?;
    assert_eq!(log.chunk().await?.as_deref(), Some(b"begun\n".as_slice()));
    assert!(events.chunk().await?.is_some(), "the first event comes at once");

    let gateway = world.gateway.take().ok_or("the gateway is gone")?;
    let sent = tokio::process::Command::new("kill").args(["-TERM", &gateway.pid().to_string()]).status().await?;
    assert!(sent.success());
    until("the gateway's end", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).ok()?;
        status.contains("State:\tZ").then_some(())
    })
    .await?;
    let cut = loop {
        match log.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut, "a log that was cut looks whole");
    drop(gateway);

    let another = world.home.serve_another()?;
    let consumer = Consumer::new(&world.buyer, world.chain.chain().id().await?, another.url());
    assert_eq!(consumer.end(&id).await["phase"], "succeeded");
    assert_eq!(consumer.log(&id, "stdout").await, "begun\ndone\n");
    Ok(())
}

/// Who asks years later what ran on his data finds it, although the consumer deleted the job at once.
async fn records() -> Result<()> {
    let world = World::new("").await?;
    let agreement = world.agreement().await?;
    let id = world.consumer.start(&raw(&agreement, "sh", "sh $ALGO", "echo hi > $OUTPUTS/hi; exit 4")).await;
    world.consumer.end(&id).await;
    assert_eq!(world.consumer.output(&id, "hi").await, b"hi\n");
    let file = world.home.path().join("audit.jsonl");
    let record = |kind: &str| {
        let text = std::fs::read_to_string(&file).ok()?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|record| record["record"] == kind && record["job"] == id.as_str())
    };
    let ended = until("the job's record", || record("job")).await?;
    assert_eq!((&ended["end"], &ended["reason"]["exit_code"]), (&Value::from("failed"), &Value::from(4)), "{ended}");
    assert_eq!((&ended["agreements"][0], &ended["output_bytes"]), (&Value::from(agreement), &Value::from(3)));
    let downloaded = until("the download's record", || record("download")).await?;
    assert_eq!((&downloaded["path"], &downloaded["bytes"]), (&Value::from("hi"), &Value::from(3)));

    let path = format!("/api/v1/jobs/{id}");
    let (status, _) = Consumer::send(world.consumer.request(Method::DELETE, &path)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(record("job").is_some());
    let metrics = reqwest::Client::builder().build()?.get(format!("{}/metrics", world.home.metrics)).send().await?;
    let metrics = metrics.text().await?;
    assert!(metrics.contains("brizo_requests_total{operation=\"start_job\",status=\"201\"}"), "{metrics}");
    assert!(!metrics.contains(&id), "no label by URL");
    Ok(())
}
