use alloy_signer::SignerSync;
use brizo_backend::{LogStream, Reason};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use poem::http::Method;

use super::*;
use crate::problem::Code;
use crate::service::AlgorithmForm;

const COMPUTE: &str = "/api/v1/brizo/services/compute";

fn signed(key: &PrivateKeySigner, message: &str) -> String {
    format!("0x{}", hex::encode(key.sign_message_sync(message.as_bytes()).unwrap().as_bytes()))
}

/// An authentication token, which squid-py sends for every compute call.
fn token(key: &PrivateKeySigner) -> String {
    let now = brizo_backend::now().as_second();
    format!("{}-{now}", signed(key, &format!("Ocean Protocol Authentication\n{now}")))
}

fn agreement() -> String {
    "ab".repeat(32)
}

fn meta() -> Value {
    json!({"url": "", "rawcode": "console.log('a + b')", "language": "js", "format": "docker-image", "version": "0.1",
        "container": {"entrypoint": "node $ALGO", "image": "node", "tag": "10"}})
}

/// A call as squid-js makes it: all in the query, no 0x, the braces of `output` as they are, an empty JSON body.
fn by_squid_js(key: &PrivateKeySigner, method: Method, job: Option<&str>, start: bool) -> Ask {
    let (consumer, agreement) = (key.address().to_string(), agreement());
    let signature = signed(key, &format!("{consumer}{}{agreement}", job.unwrap_or_default()));
    let mut path = format!("{COMPUTE}?signature={signature}&consumerAddress={consumer}&serviceAgreementId={agreement}");
    if let Some(job) = job {
        path.extend(["&jobId=", job]);
    }
    if start {
        let meta = utf8_percent_encode(&meta().to_string(), NON_ALPHANUMERIC).to_string();
        path.extend(["&algorithmMeta=", &meta, "&output={%22publishOutput%22:false}"]);
    }
    Ask::new(method, &path).body("application/json", "")
}

/// A start as squid-py makes it: a JSON body, 0x, a token.
fn by_squid_py(key: &PrivateKeySigner) -> Value {
    json!({"signature": token(key), "serviceAgreementId": format!("0x{}", agreement()), "jobId": null,
        "consumerAddress": key.address().to_string(), "algorithmMeta": meta(), "algorithmDID": null,
        "output": {"publishOutput": 0, "publishAlgorithmLog": 0, "metadata": {}, "whitelist": []}})
}

fn post(body: &Value) -> Ask {
    Ask::new(Method::POST, COMPUTE).json(body)
}

async fn refused(answer: Answer, status: u16) -> String {
    assert_eq!((answer.status(), answer.header("content-type")), (status, "application/json"));
    assert!(!answer.header("x-request-id").is_empty());
    let body = answer.json().await;
    body["error"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

async fn jobs(gateway: &Gateway, ask: Ask) -> Vec<Value> {
    let answer = gateway.send(ask).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.as_array().unwrap().clone()
}

#[tokio::test]
async fn switched_off_it_says_why_before_anything_else() {
    let gateway = Gateway::new();
    for method in [Method::POST, Method::GET, Method::PUT, Method::DELETE] {
        let ask = by_squid_js(&gateway.key, method, None, true);
        let problem = gateway.send(ask).await.problem(404, "not_found").await;
        assert!(problem["detail"].as_str().unwrap().contains("server.legacy"));
    }
    gateway.send(Ask::new(Method::POST, COMPUTE).json(&json!([]))).await.problem(404, "not_found").await;
    gateway.send(Ask::new(Method::GET, "/")).await.problem(404, "not_found").await;
    assert_eq!(gateway.backend.count(), 0);
}

#[tokio::test]
async fn squid_js_starts_looks_stops_and_deletes() {
    let gateway = Gateway::old();
    let started = jobs(&gateway, by_squid_js(&gateway.key, Method::POST, None, true)).await;
    assert_eq!(started.len(), 1);
    assert_eq!(started[0]["status"], 10);
    assert_eq!(started[0]["agreementId"], format!("0x{}", agreement()));
    let asked = gateway.desk.last();
    assert!(
        matches!(asked.algorithm, AlgorithmForm::Raw { ref code, ref container }
            if code == "console.log('a + b')" && container.tag == "10"),
        "{asked:?}"
    );
    let id = started[0]["jobId"].as_str().unwrap().to_owned();
    gateway.backend.run(&id);
    let look = || by_squid_js(&gateway.key, Method::GET, Some(&id), false);
    let running = jobs(&gateway, look()).await;
    assert_eq!((&running[0]["status"], &running[0]["resultsUrl"]), (&json!(40), &json!("")));

    let stopped = jobs(&gateway, by_squid_js(&gateway.key, Method::PUT, Some(&id), false)).await;
    assert_eq!(stopped[0]["stopreq"], 1);
    gateway.backend.say(&id, LogStream::Stdout, b"said\n");
    gateway.backend.publish(&id, "a b/c.txt", b"nested");
    gateway.backend.end(&id, None);
    let ended = jobs(&gateway, look()).await;
    assert_eq!((&ended[0]["status"], &ended[0]["phase"]), (&json!(70), &json!("stopped")));
    assert_eq!(ended[0]["resultsUrl"], ended[0]["resultsUrls"]);
    for (link, text) in [(&ended[0]["resultsUrls"][0], "nested"), (&ended[0]["algorithmLogUrl"], "said\n")] {
        let path = link.as_str().unwrap().strip_prefix(URL).unwrap();
        let answer = gateway.send(Ask::new(Method::GET, path)).await;
        assert_eq!(answer.status(), 200, "a link needs nothing else");
        assert_eq!(answer.text().await, text);
    }
    assert_eq!(jobs(&gateway, by_squid_js(&gateway.key, Method::PUT, Some(&id), false)).await.len(), 1);

    for _ in 0..2 {
        let gone = jobs(&gateway, by_squid_js(&gateway.key, Method::DELETE, Some(&id), false)).await;
        assert_eq!((&gone[0]["jobId"], &gone[0]["removed"]), (&json!(id), &json!(1)));
    }
    assert_eq!(gateway.backend.count(), 0);
    refused(gateway.send(look()).await, 404).await;
}

#[tokio::test]
async fn squid_py_starts_by_token_and_the_new_family_sees_the_job() {
    let gateway = Gateway::old();
    let mut body = by_squid_py(&gateway.key);
    let id = jobs(&gateway, post(&body)).await[0]["jobId"].as_str().unwrap().to_owned();
    let job = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}"))).await.json().await;
    assert_eq!(job["phase"], "queued");
    let did = format!("did:op:{}", "cd".repeat(32));
    body["algorithmDID"] = json!(did);
    let again = jobs(&gateway, post(&body)).await[0]["jobId"].as_str().unwrap().to_owned();
    assert_ne!(again, id, "each start is a job");
    assert!(matches!(gateway.desk.last().algorithm, AlgorithmForm::Did(asked) if asked.to_string() == did));
    body["algorithmMeta"] = json!("");
    body["consumerAddress"] = json!(gateway.key.address().to_string().to_lowercase());
    body["output"] = json!("{}");
    assert_eq!(jobs(&gateway, post(&body)).await.len(), 1);

    let path = |rest: &str| {
        format!("{COMPUTE}?signature={}&consumerAddress={}{rest}", token(&gateway.key), gateway.key.address())
    };
    let all = jobs(&gateway, Ask::new(Method::GET, &path("&jobId=&serviceAgreementId="))).await;
    assert_eq!(all.len(), 3, "a call that names nothing is about all");
    let both = jobs(&gateway, Ask::new(Method::GET, &path(&format!("&jobId={id}")))).await;
    assert_eq!(both.len(), 1);
    let other = format!("&jobId={id}&serviceAgreementId=0x{}", "00".repeat(32));
    refused(gateway.send(Ask::new(Method::GET, &path(&other))).await, 404).await;
    let none = jobs(&gateway, Ask::new(Method::GET, &path(&format!("&serviceAgreementId={}", "00".repeat(32))))).await;
    assert!(none.is_empty());
    for method in [Method::PUT, Method::DELETE] {
        let text = refused(gateway.send(Ask::new(method, &path(""))).await, 400).await;
        assert!(text.contains("jobId or serviceAgreementId"), "{text}");
    }
    let gone = jobs(&gateway, Ask::new(Method::DELETE, &path(&format!("&serviceAgreementId={}", agreement())))).await;
    assert_eq!((gone.len(), gateway.backend.count()), (3, 0), "an agreement means all of its jobs");
}

/// Signatures that were made by the clients' own libraries, with the public development key 2.
#[tokio::test]
async fn signatures_made_by_others_open_what_they_are_for_and_nothing_else() {
    let document: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/signature-vectors.json")).unwrap();
    let (consumer, job) = (document["consumer"].as_str().unwrap(), document["jobId"].as_str().unwrap());
    let vector = |name: &str| {
        let found = document["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap();
        found["signature"].as_str().unwrap().to_owned()
    };
    let with_0x = document["agreementId"].as_str().unwrap();
    let without = &with_0x[2..];
    let gateway = Gateway::old();
    for (name, agreement, other) in [
        ("compute start, 0x agreementId", with_0x, without),
        ("compute start, squid-js no-0x agreementId", without, with_0x),
    ] {
        let mut body = json!({"signature": vector(name), "consumerAddress": consumer, "serviceAgreementId": agreement,
            "output": {}, "algorithmMeta": meta()});
        assert_eq!(jobs(&gateway, post(&body)).await.len(), 1, "{name}");
        body["serviceAgreementId"] = json!(other);
        refused(gateway.send(post(&body)).await, 401).await;
    }
    for (name, agreement) in
        [("compute get/put/delete with jobId, 0x", with_0x), ("compute get with jobId, squid-js no-0x", without)]
    {
        let path = |job: &str| {
            format!(
                "{COMPUTE}?signature={}&consumerAddress={consumer}&jobId={job}&serviceAgreementId={agreement}",
                vector(name)
            )
        };
        refused(gateway.send(Ask::new(Method::GET, &path(job))).await, 404).await;
        refused(gateway.send(Ask::new(Method::GET, &path(""))).await, 401).await;
    }
    let path = format!("{COMPUTE}?signature={}&consumerAddress={consumer}", vector("compute get, owner only"));
    assert_eq!(jobs(&gateway, Ask::new(Method::GET, &path)).await.len(), 2);
}

#[tokio::test]
async fn strangers_see_stop_and_delete_nothing() {
    let gateway = Gateway::old();
    let id = jobs(&gateway, post(&by_squid_py(&gateway.key))).await[0]["jobId"].as_str().unwrap().to_owned();
    let stranger = PrivateKeySigner::random();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let text = refused(gateway.send(by_squid_js(&stranger, method.clone(), Some(&id), false)).await, 404).await;
        assert!(text.contains(&id), "{text}");
        assert!(jobs(&gateway, by_squid_js(&stranger, method, None, false)).await.is_empty());
    }
    let mut body = by_squid_py(&gateway.key);
    body["signature"] = json!(token(&stranger));
    assert!(refused(gateway.send(post(&body)).await, 401).await.contains("not"));
    let job = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}"))).await.json().await;
    assert!(job.get("stop_requested_at").is_none());
    assert_eq!(gateway.backend.count(), 1);
}

#[tokio::test]
async fn refusals_have_the_old_words_and_the_statuses_that_were_meant() {
    let gateway = Gateway::old();
    for name in ["signature", "serviceAgreementId", "consumerAddress", "output"] {
        let mut body = by_squid_py(&gateway.key);
        body.as_object_mut().unwrap().remove(name);
        let text = refused(gateway.send(post(&body)).await, 400).await;
        assert_eq!(text, format!("\"{name}\" is required in the call to compute"));
    }
    for (name, value, status, words) in [
        ("algorithmMeta", json!({}), 400, "otherwise don't bother"),
        ("signature", json!("0x12"), 401, "65 bytes"),
        ("consumerAddress", json!("me"), 400, "40 hex"),
        ("output", json!({"publishOutput": true}), 501, "publishOutput"),
        ("serviceAgreementId", json!("0x12"), 400, "64 hex"),
        ("algorithmDid", json!("did:op:1"), 400, "64 hex"),
    ] {
        let mut body = by_squid_py(&gateway.key);
        body[name] = value;
        let text = refused(gateway.send(post(&body)).await, status).await;
        assert!(text.contains(words), "{name}: {text}");
    }
    assert_eq!(refused(gateway.send(post(&json!({}))).await, 400).await, "payload seems empty.");
    assert_eq!(gateway.desk.asked(), 0, "none of these troubles the chain");
    for (code, status, words) in [
        (Code::NotAuthorized, 401, "w"),
        (Code::LockUnpaid, 401, "w"),
        (Code::NotGranted, 401, "w"),
        (Code::EscrowUnreleased, 401, "w"),
        (Code::AlgorithmNotAllowed, 400, "cannot run raw algorithm on this did"),
        (Code::Unavailable, 503, "w"),
    ] {
        gateway.desk.refuse_with(Some((code, "w")));
        let text = refused(gateway.send(post(&by_squid_py(&gateway.key))).await, status).await;
        assert!(text.starts_with(words), "{text}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[tokio::test]
async fn the_frame_speaks_their_language_too() {
    let gateway = Gateway::old();
    let huge = json!({"signature": "x".repeat(4 << 20)});
    refused(gateway.send(post(&huge)).await, 413).await;
    let mut ask = by_squid_js(&gateway.key, Method::GET, None, false);
    let fits = format!("{COMPUTE}?x={}", "y".repeat(59 * 1024));
    refused(gateway.send(Ask::new(Method::GET, &fits)).await, 400).await;
    *ask.0.as_mut().unwrap().uri_mut() = format!("{COMPUTE}?x={}", "y".repeat(60 * 1024)).parse().unwrap();
    refused(gateway.send(ask).await, 414).await;
    refused(gateway.send(Ask::new(Method::PATCH, COMPUTE)).await, 405).await;
    for gone in ["consume", "publish", "exec"] {
        let text = refused(gateway.send(Ask::new(Method::GET, &format!("{COMPUTE}/../{gone}"))).await, 404).await;
        assert!(text.contains("services/compute"), "{text}");
    }
    gateway.send(gateway.get("/nowhere")).await.problem(404, "not_found").await;
}

#[tokio::test]
async fn a_failed_job_is_told_in_numbers_and_in_words() {
    let gateway = Gateway::old();
    let id = jobs(&gateway, post(&by_squid_py(&gateway.key))).await[0]["jobId"].as_str().unwrap().to_owned();
    gateway.backend.run(&id);
    gateway.backend.end(&id, Some(Reason::exit_code(3)));
    let failed = jobs(&gateway, by_squid_js(&gateway.key, Method::GET, None, false)).await.remove(0);
    assert_eq!(
        (&failed["status"], &failed["phase"], &failed["reason"]["exit_code"]),
        (&json!(70), &json!("failed"), &json!(3))
    );
}

#[tokio::test]
async fn an_answer_holds_at_most_a_thousand_links_whatever_was_written() {
    let gateway = Gateway::old();
    for _ in 0..2 {
        let id = jobs(&gateway, post(&by_squid_py(&gateway.key))).await[0]["jobId"].as_str().unwrap().to_owned();
        for n in 0..700 {
            gateway.backend.publish(&id, &format!("{n}"), b"");
        }
        gateway.backend.run(&id);
        gateway.backend.end(&id, None);
    }
    let shown = jobs(&gateway, by_squid_js(&gateway.key, Method::GET, None, false)).await;
    let links: Vec<_> = shown.iter().map(|job| job["resultsUrls"].as_array().unwrap().len()).collect();
    assert_eq!(links, [700, 300]);
}

#[tokio::test]
async fn squid_reads_which_contracts_the_gateway_uses() {
    let gateway = Gateway::old();
    let body = gateway.send(Ask::new(Method::GET, "/")).await.json().await;
    assert_eq!(body["software"], "Brizo");
    assert_eq!(body["keeper-url"], "http://node:8545");
    assert_eq!(body["network"], "development");
    assert_eq!(body["keeper-version"], "v0.13.2");
    let address = crate::types::Address::repeat_byte(0xab).to_string();
    assert_eq!(body["contracts"], json!({ "OceanToken": address }));
    assert_eq!(body["provider-address"], crate::types::Address::repeat_byte(7).to_string());
}
