use poem::http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;

const PAGE: &[u8] = b"<script>alert(1)</script>";

async fn with_outputs() -> (Gateway, String) {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    gateway.backend.run(&id);
    gateway.backend.publish(&id, "plots/r oc.svg", b"0123456789");
    gateway.backend.publish(&id, "page.html", PAGE);
    gateway.backend.publish(&id, "done", b"");
    gateway.backend.end(&id, None);
    (gateway, id)
}

fn rest_of(link: &str) -> String {
    link.strip_prefix(URL).unwrap().to_owned()
}

#[tokio::test]
async fn outputs_are_listed_with_links_that_need_no_bearer() {
    let (gateway, id) = with_outputs().await;
    let page = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}/outputs?limit=2"))).await.json().await;
    assert_eq!(page["items"][0]["path"], "done");
    assert_eq!(page["items"][1]["content_type"], "text/html");
    assert_eq!(page["skipped"], json!([{"path": "x", "why": "symbolic_link"}]));
    let next = page["next"].as_str().unwrap();
    let page = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}/outputs?cursor={next}"))).await.json().await;
    assert!(page.get("next").is_none());
    let item = &page["items"][0];
    assert_eq!(item["sha256"], hex::encode(Sha256::digest(b"0123456789")));
    let link = rest_of(item["link"].as_str().unwrap());
    let answer = gateway.send(Ask::new(Method::GET, &link)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await, "0123456789");

    let changed = link.replace("mac=", "mac=00");
    gateway.send(Ask::new(Method::GET, &changed)).await.problem(401, "unauthenticated").await;
    let (path, query) = link.split_once('?').unwrap();
    let elsewhere = format!("{}?{query}", path.replace("plots/r%20oc.svg", "done"));
    gateway.send(Ask::new(Method::GET, &elsewhere)).await.problem(401, "unauthenticated").await;
    let (_, mac) = query.split_once("&mac=").unwrap();
    gateway
        .send(Ask::new(Method::GET, &format!("{path}?expires=1&mac={mac}")))
        .await
        .problem(401, "unauthenticated")
        .await;
    gateway.send(Ask::new(Method::GET, &format!("{path}?mac={mac}"))).await.problem(400, "invalid_request").await;
    gateway.send(Ask::new(Method::GET, path)).await.problem(401, "unauthenticated").await;
    assert_eq!(gateway.send(gateway.ask(Method::DELETE, &format!("/api/v1/jobs/{id}"))).await.status(), 204);
    gateway.send(Ask::new(Method::GET, &link)).await.problem(404, "not_found").await;
}

#[tokio::test]
async fn a_path_may_have_its_slashes_encoded_and_never_leaves_the_outputs() {
    let (gateway, id) = with_outputs().await;
    let base = format!("/api/v1/jobs/{id}/outputs");
    for path in ["plots/r%20oc.svg", "plots%2Fr%20oc.svg"] {
        assert_eq!(gateway.send(gateway.get(&format!("{base}/{path}"))).await.status(), 200, "{path}");
    }
    for path in ["nothing", "plots", "../../x", "%2e%2e/x", "plots//r%20oc.svg", "a%00b", "%ff"] {
        gateway.send(gateway.get(&format!("{base}/{path}"))).await.problem(404, "not_found").await;
    }
}

#[tokio::test]
async fn an_output_can_not_act_as_a_page_of_this_origin() {
    let (gateway, id) = with_outputs().await;
    let answer = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}/outputs/page.html"))).await;
    assert_eq!(answer.header("content-disposition"), "attachment;filename=page.html");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").starts_with("sandbox"));
    assert_eq!(answer.bytes().await, PAGE);
}

#[tokio::test]
async fn ranges_conditions_and_heads() {
    let (gateway, id) = with_outputs().await;
    let path = format!("/api/v1/jobs/{id}/outputs/plots/r%20oc.svg");
    let etag = format!("\"{}\"", hex::encode(Sha256::digest(b"0123456789")));
    let get = |range: &str| gateway.get(&path).header("range", range);
    for (range, status, body, told) in [
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-2", 206, "89", "bytes 8-9/10"),
        ("bytes=0-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=0-1,3-4", 200, "0123456789", ""),
        ("lines=1-2", 200, "0123456789", ""),
    ] {
        let answer = gateway.send(get(range)).await;
        assert_eq!((answer.status(), answer.header("content-range")), (status, told), "{range}");
        assert_eq!(answer.header("content-length"), body.len().to_string());
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.text().await, body, "{range}");
    }
    for garbage in ["bytes=10-", "bytes=-0", "bytes=x-y", "bytes=", "garbage"] {
        let answer = gateway.send(get(garbage)).await;
        assert_eq!(answer.header("content-range"), "bytes */10", "{garbage}");
        answer.problem(416, "range").await;
    }
    let empty = gateway.get(&format!("/api/v1/jobs/{id}/outputs/done")).header("range", "bytes=0-");
    gateway.send(empty).await.problem(416, "range").await;

    let answer = gateway.send(gateway.get(&path).header("if-none-match", &etag)).await;
    assert_eq!((answer.status(), answer.header("etag")), (304, etag.as_str()));
    let answer = gateway.send(get("bytes=0-0").header("if-range", &etag)).await;
    assert_eq!((answer.status(), answer.text().await.as_str()), (206, "0"));
    let answer = gateway.send(get("bytes=0-0").header("if-range", "\"another\"")).await;
    assert_eq!((answer.status(), answer.text().await.as_str()), (200, "0123456789"));

    let answer = gateway.send(gateway.ask(Method::HEAD, &path)).await;
    assert_eq!((answer.status(), answer.header("content-length")), (200, "10"));
    assert_eq!(answer.header("etag"), etag);
    assert_eq!(answer.text().await, "");
}
