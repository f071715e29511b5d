//! Jobs through the whole house: how each end is told, and what survives a fault.

use std::collections::HashSet;

use brizo_tests::consumer::{Consumer, raw};
use brizo_tests::deploy::Result;
use brizo_tests::world::World;
use futures::future::join_all;
use libtest_mimic::Trial;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("jobs::an_exit_code_is_told_and_partial_outputs_are_there", exit_code),
        trial("jobs::each_way_to_fail_has_its_own_reason", reasons),
        trial("jobs::twenty_clients_with_one_key_make_one_job", one_key),
        trial("jobs::a_key_outlives_changed_settings", key_and_settings),
        trial("jobs::a_job_outlives_its_gateway", kill_gateway),
        trial("jobs::a_gigabyte_is_downloaded_in_constant_memory", gigabyte),
        trial("jobs::stop_keeps_what_was_written", stop),
    ]
}

/// A shell script as an algorithm.
fn shell(agreement: &str, code: &str) -> Value {
    raw(agreement, "sh", "sh $ALGO", code)
}

fn reason(job: &Value) -> &str {
    job["reason"]["type"].as_str().unwrap_or("none")
}

async fn exit_code() -> Result<()> {
    let world = World::new("").await?;
    let (consumer, agreement) = (&world.consumer, world.agreement().await?);
    let code = "echo out; echo err >&2; mkdir $OUTPUTS/a; cat $INPUTS/*/0 > $OUTPUTS/a/partial.csv; exit 3";
    let id = consumer.start(&shell(&agreement, code)).await;
    let job = consumer.end(&id).await;
    assert_eq!((job["phase"].as_str(), reason(&job)), (Some("failed"), "exit_code"), "{job:#}");
    assert_eq!(job["reason"]["exit_code"], 3);
    assert_eq!(consumer.log(&id, "stdout").await, "out\n");
    assert_eq!(consumer.log(&id, "stderr").await, "err\n");
    assert_eq!(consumer.output(&id, "a/partial.csv").await, brizo_tests::world::DATA.as_bytes());
    let text = job.to_string();
    assert!(!text.contains("table.csv"), "where the data lies is nobody's business: {text}");
    Ok(())
}

async fn reasons() -> Result<()> {
    let world = World::new("").await?;
    let (consumer, agreement) = (&world.consumer, world.agreement().await?);
    let cases = [
        ("kill -9 $$", json!({}), "signal"),
        ("sleep 600", json!({ "wall_time_s": 1 }), "wall_time"),
        (
            "head -c 268435456 /dev/zero | tail -c 268435456 | wc -c",
            json!({ "memory_bytes": 67_108_864 }),
            "out_of_memory",
        ),
        ("head -c 67108864 /dev/zero > $OUTPUTS/big; sleep 5", json!({ "disk_bytes": 16_777_216 }), "disk"),
    ];
    for (code, limits, wanted) in cases {
        let mut body = shell(&agreement, &format!("echo partial > $OUTPUTS/early; {code}"));
        body["limits"] = limits;
        let id = consumer.start(&body).await;
        let job = consumer.end(&id).await;
        assert_eq!((job["phase"].as_str(), reason(&job)), (Some("failed"), wanted), "{code}: {job:#}");
        let (_, outputs) = Consumer::send(consumer.request(Method::GET, &format!("/api/v1/jobs/{id}/outputs"))).await;
        let early = outputs["items"].as_array().is_some_and(|items| items.iter().any(|item| item["path"] == "early"));
        if wanted == "disk" {
            // What it wrote beyond its limit takes the place of what comes after it.
            assert_eq!(outputs["items"][0]["path"], "big", "{outputs:#}");
            continue;
        }
        assert!(early, "{code}: {outputs:#} {job:#}");
        assert_eq!(consumer.output(&id, "early").await, b"partial\n", "{code}");
        if wanted == "signal" {
            assert_eq!(job["reason"]["signal"], 9);
        }
    }
    Ok(())
}

async fn one_key() -> Result<()> {
    let world = World::new("").await?;
    let agreement = world.agreement().await?;
    let body = shell(&agreement, "echo once");
    let posts = (0..20).map(|_| world.consumer.post(&body, Some("one-key")));
    let answers = join_all(posts).await;
    let ids: HashSet<&str> = answers.iter().filter_map(|(_, job)| job["id"].as_str()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|(status, _)| matches!(*status, StatusCode::OK | StatusCode::CREATED)), "{answers:?}");
    let id = ids.into_iter().next().unwrap_or_default().to_owned();
    world.consumer.end(&id).await;
    assert_eq!(world.consumer.log(&id, "stdout").await, "once\n");
    let (_, list) = Consumer::send(world.consumer.request(Method::GET, "/api/v1/jobs")).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

async fn key_and_settings() -> Result<()> {
    let mut world = World::new("").await?;
    let agreement = world.agreement().await?;
    let body = shell(&agreement, "true");
    let (status, first) = world.consumer.post(&body, Some("k")).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    world.gateway = None;
    let file = world.home.path().join("brizo.toml");
    let text = std::fs::read_to_string(&file)?.replace("[limits]\n", "[limits]\ncpu = 0.5\n");
    std::fs::write(&file, text)?;
    world.gateway = Some(world.home.serve()?);
    let (status, again) = world.consumer.post(&body, Some("k")).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]), "{again}");
    let mut other = body.clone();
    other["algorithm"]["code"] = json!("false");
    let (status, problem) = world.consumer.post(&other, Some("k")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("key_reused")));
    // The same members in another order are the same request.
    let text = format!("{{ \"algorithm\": {}, \"agreements\": {} }}", body["algorithm"], body["agreements"]);
    let request = world.consumer.request(Method::POST, "/api/v1/jobs");
    let request = request.header("idempotency-key", "k").header("content-type", "application/json").body(text);
    let (status, again) = Consumer::send(request).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]), "{again}");
    let id = first["id"].as_str().unwrap_or_default();
    world.consumer.end(id).await;
    let delete = || Consumer::send(world.consumer.request(Method::DELETE, &format!("/api/v1/jobs/{id}")));
    assert_eq!(delete().await.0, StatusCode::NO_CONTENT);
    assert_eq!(delete().await.0, StatusCode::NO_CONTENT, "a delete may be said again");
    let (status, problem) = world.consumer.post(&body, Some("k")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("job_deleted")));
    Ok(())
}

async fn kill_gateway() -> Result<()> {
    let mut world = World::new("").await?;
    let agreement = world.agreement().await?;
    let code = "echo begun; while [ ! -e $OUTPUTS/../outputs/never ] && [ $(date +%s) -lt END ]; do sleep 0.1; done; \
                echo done; echo kept > $OUTPUTS/kept"
        .replace("END", &(jiff::Timestamp::now().as_second() + 6).to_string());
    let id = world.consumer.start(&shell(&agreement, &code)).await;
    let queued = world.consumer.start(&shell(&agreement, "echo next")).await;
    world.consumer.wait(&id, "running", |job| job["phase"] == "running").await;
    if let Some(gateway) = world.gateway.take() {
        gateway.kill()?;
    }
    let another = world.home.serve_another()?;
    let consumer = Consumer::new(&world.buyer, world.chain.chain().id().await?, another.url());
    let job = consumer.end(&id).await;
    assert_eq!(job["phase"], "succeeded", "{job:#}");
    assert_eq!(consumer.log(&id, "stdout").await, "begun\ndone\n");
    assert_eq!(consumer.output(&id, "kept").await, b"kept\n");
    assert_eq!(consumer.end(&queued).await["phase"], "succeeded");
    Ok(())
}

async fn gigabyte() -> Result<()> {
    const GIB: u64 = 1 << 30;
    let world = World::new("[limits]\ndisk = \"3GiB\"\noutputs = \"2GiB\"\n").await?;
    let agreement = world.agreement().await?;
    let id = world.consumer.start(&shell(&agreement, "head -c 1073741824 /dev/zero > $OUTPUTS/big")).await;
    let job = world.consumer.end(&id).await;
    assert_eq!(job["phase"], "succeeded", "{job:#}");
    let gateway = world.gateway.as_ref().ok_or("the gateway is gone")?;
    let before = gateway.resident()?;
    let mut highest = before;
    let path = format!("/api/v1/jobs/{id}/outputs/big");
    let mut response = world.consumer.request(Method::GET, &path).send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    let (mut read, mut pieces) = (0_u64, 0_u64);
    while let Some(bytes) = response.chunk().await? {
        read += bytes.len() as u64;
        pieces += 1;
        if pieces % 1000 == 0 {
            highest = highest.max(gateway.resident()?);
        }
    }
    assert_eq!(read, GIB);
    let grown = highest.max(gateway.resident()?) - before;
    assert!(grown < 20 * 1_000_000, "the gateway grew by {grown} bytes");
    let range = world.consumer.request(Method::GET, &path).header("range", "bytes=1073741820-").send().await?;
    assert_eq!((range.status(), range.bytes().await?.len()), (StatusCode::PARTIAL_CONTENT, 4));
    let head = world.consumer.request(Method::HEAD, &path).send().await?;
    assert_eq!(head.headers()["content-length"], "1073741824");
    Ok(())
}

async fn stop() -> Result<()> {
    let world = World::new("").await?;
    let agreement = world.agreement().await?;
    let id = world.consumer.start(&shell(&agreement, "echo early > $OUTPUTS/early; sleep 600")).await;
    world.consumer.wait(&id, "running", |job| job["phase"] == "running").await;
    let path = format!("/api/v1/jobs/{id}/stop");
    let (status, _) = Consumer::send(world.consumer.request(Method::POST, &path)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let job = world.consumer.end(&id).await;
    assert_eq!(job["phase"], "stopped", "{job:#}");
    assert_eq!(Consumer::send(world.consumer.request(Method::POST, &path)).await.0, StatusCode::OK);
    Ok(())
}
