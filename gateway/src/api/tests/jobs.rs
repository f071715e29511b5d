use brizo_backend::Reason;
use poem::http::Method;
use serde_json::json;

use super::*;
use crate::problem::Code;

#[tokio::test]
async fn a_job_is_accepted_shown_stopped_and_deleted() {
    let gateway = Gateway::new();
    let answer = gateway.send(gateway.post("/api/v1/jobs", &start_body())).await;
    assert_eq!(answer.status(), 201);
    let location = answer.header("location").to_owned();
    let job = answer.json().await;
    let id = job["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("{URL}/api/v1/jobs/{id}"));
    assert_eq!((&job["phase"], &job["kind"]), (&json!("queued"), &json!("job")));
    assert_eq!(job["owner"], crate::types::show_address(&gateway.key.address()));
    assert_eq!(job["transitions"][0]["id"], 1);
    for absent in ["reason", "ended_at", "waiting", "usage", "outputs", "log"] {
        assert!(job.get(absent).is_none(), "{absent} is absent rather than null");
    }
    let path = format!("/api/v1/jobs/{id}");
    assert_eq!(gateway.send(gateway.get(&path)).await.json().await["id"], id);

    gateway.backend.run(&id);
    let answer = gateway.send(gateway.ask(Method::POST, &format!("{path}/stop"))).await;
    assert_eq!(answer.status(), 202);
    assert!(answer.json().await["stop_requested_at"].as_str().unwrap().ends_with('Z'));
    gateway.backend.end(&id, None);
    let answer = gateway.send(gateway.ask(Method::POST, &format!("{path}/stop"))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json().await["phase"], "stopped");

    for _ in 0..2 {
        assert_eq!(gateway.send(gateway.ask(Method::DELETE, &path)).await.status(), 204);
    }
    gateway.send(gateway.get(&path)).await.problem(404, "not_found").await;
}

#[tokio::test]
async fn each_end_is_told_apart() {
    let gateway = Gateway::new();
    for (reason, kind) in [
        (Reason::exit_code(3), "exit_code"),
        (Reason::signal(9), "signal"),
        (Reason::OutOfMemory { message: "m".into() }, "out_of_memory"),
        (Reason::ImagePull { message: "m".into() }, "image_pull"),
    ] {
        let id = gateway.started().await;
        gateway.backend.run(&id);
        gateway.backend.end(&id, Some(reason));
        let job = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}"))).await.json().await;
        assert_eq!((&job["phase"], &job["reason"]["type"]), (&json!("failed"), &json!(kind)));
        if kind == "exit_code" {
            assert_eq!(job["reason"]["exit_code"], 3);
        }
    }
}

#[tokio::test]
async fn nobody_sees_stops_or_deletes_anothers_job_or_learns_that_it_exists() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    let stranger = format!("Bearer {}", bearer_of(&PrivateKeySigner::random(), "read run delete"));
    let unknown = "00000000000000000000000000000000";
    for (method, rest) in [
        (Method::GET, ""),
        (Method::POST, "/stop"),
        (Method::DELETE, ""),
        (Method::GET, "/logs"),
        (Method::GET, "/events"),
        (Method::GET, "/outputs"),
        (Method::GET, "/outputs/a"),
    ] {
        let mut answers = Vec::new();
        for id in [id.as_str(), unknown] {
            let ask =
                gateway.ask(method.clone(), &format!("/api/v1/jobs/{id}{rest}")).header("authorization", &stranger);
            let problem = gateway.send(ask).await.problem(404, "not_found").await;
            answers.push(problem["detail"].as_str().unwrap().replace(id, "ID"));
        }
        assert_eq!(answers[0], answers[1], "{method} {rest}");
    }
    assert_eq!(gateway.backend.count(), 1);
    assert_eq!(gateway.send(gateway.ask(Method::DELETE, &format!("/api/v1/jobs/{id}"))).await.status(), 204);
    let ask = gateway.ask(Method::DELETE, &format!("/api/v1/jobs/{id}")).header("authorization", &stranger);
    gateway.send(ask).await.problem(404, "not_found").await;
}

#[tokio::test]
async fn scopes_hold() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    let job = format!("/api/v1/jobs/{id}");
    for (scopes, method, path) in [
        ("run", Method::GET, job.clone()),
        ("read", Method::POST, format!("{job}/stop")),
        ("read run", Method::DELETE, job.clone()),
        ("read delete", Method::POST, "/api/v1/jobs".to_owned()),
    ] {
        let ask = gateway.ask(method, &path).json(&start_body());
        let ask = ask.header("authorization", &format!("Bearer {}", gateway.bearer(scopes)));
        gateway.send(ask).await.problem(401, "not_authorized").await;
    }
}

#[tokio::test]
async fn a_retry_with_its_key_is_the_same_job_and_does_not_ask_the_chain() {
    let gateway = Gateway::new();
    let post = |body: &Value| gateway.post("/api/v1/jobs", body).header("idempotency-key", "k-1");
    let first = gateway.send(post(&start_body())).await;
    assert_eq!(first.status(), 201);
    let id = first.json().await["id"].clone();
    gateway.desk.refuse_with(Some((Code::NotAuthorized, "the agreement has expired meanwhile")));
    let again = gateway.send(post(&start_body())).await;
    assert_eq!(again.status(), 200);
    assert_eq!(again.json().await["id"], id);
    assert_eq!(gateway.desk.asked(), 1);

    let mut other = start_body();
    other["algorithm"]["code"] = json!("print(2)");
    gateway.send(post(&other)).await.problem(422, "key_reused").await;
    let path = format!("/api/v1/jobs/{}", id.as_str().unwrap());
    assert_eq!(gateway.send(gateway.ask(Method::DELETE, &path)).await.status(), 204);
    gateway.send(post(&start_body())).await.problem(409, "job_deleted").await;

    gateway.desk.refuse_with(None);
    let elses = post(&start_body())
        .header("authorization", &format!("Bearer {}", bearer_of(&PrivateKeySigner::random(), "run")));
    assert_eq!(gateway.send(elses).await.status(), 201, "another consumer's key is another key");
}

#[tokio::test]
async fn keys_that_are_none_are_refused_rather_than_ignored() {
    let gateway = Gateway::new();
    for bad in ["", "a b", "ü", &"k".repeat(256)] {
        let ask = gateway.post("/api/v1/jobs", &start_body()).header("idempotency-key", bad);
        let problem = gateway.send(ask).await.problem(400, "invalid_request").await;
        assert_eq!(problem["errors"][0]["pointer"], "Idempotency-Key", "{bad:?}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[tokio::test]
async fn a_dry_run_goes_the_whole_way_and_makes_nothing() {
    let gateway = Gateway::new();
    let answer = gateway.send(gateway.post("/api/v1/jobs?dry_run=true", &start_body())).await;
    assert_eq!(answer.status(), 200);
    let plan = answer.json().await;
    assert_eq!((&plan["kind"], &plan["dry_run"]), (&json!("plan"), &json!(true)));
    assert_eq!(plan["image_digest"], "sha256:00");
    assert_eq!((gateway.backend.count(), gateway.desk.asked()), (0, 1));
    gateway.desk.refuse_with(Some((Code::EscrowUnreleased, "The escrow is not released yet.")));
    let answer = gateway.send(gateway.post("/api/v1/jobs?dry_run=true", &start_body())).await;
    answer.problem(409, "escrow_unreleased").await;
}

#[tokio::test]
async fn lists_are_ones_own_filtered_and_paged() {
    let gateway = Gateway::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(gateway.started().await);
    }
    gateway.backend.run(&ids[0]);
    let stranger = PrivateKeySigner::random();
    let ask = gateway
        .post("/api/v1/jobs", &start_body())
        .header("authorization", &format!("Bearer {}", bearer_of(&stranger, "run")));
    assert_eq!(gateway.send(ask).await.status(), 201);

    let mut seen = Vec::new();
    let mut path = "/api/v1/jobs?limit=2".to_owned();
    loop {
        let page = gateway.send(gateway.get(&path)).await.json().await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("next") else { break };
        path = format!("/api/v1/jobs?limit=2&cursor={}", next.as_str().unwrap());
    }
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);

    let count = async |query: String| {
        let answer = gateway.send(gateway.get(&format!("/api/v1/jobs?{query}"))).await;
        assert_eq!(answer.status(), 200, "{query}");
        answer.json().await["items"].as_array().unwrap().len()
    };
    assert_eq!(count("phase=running".into()).await, 1);
    assert_eq!(count("phase=running&phase=queued".into()).await, 5);
    assert_eq!(count(format!("agreement=0x{}", "AB".repeat(32))).await, 5);
    assert_eq!(count(format!("agreement={}", "00".repeat(32))).await, 0);
    assert_eq!(count("created_after=2020-01-01T00:00:00Z".into()).await, 5);
    assert_eq!(count("created_after=2999-01-01T00:00:00%2B02:00".into()).await, 0);
}
