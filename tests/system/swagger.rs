//! What Swagger UI would send, made from the document that the gateway serves, and sent by curl.

use std::collections::BTreeMap;

use brizo_tests::deploy::Result;
use brizo_tests::world::{World, said};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("swagger::the_whole_flow_by_the_pages_own_requests", flow),
        trial("swagger::the_page_needs_nothing_from_outside", offline),
    ]
}

/// An operation of the document, as the page would send it.
struct Page<'a> {
    world: &'a World,
    document: Value,
}

impl Page<'_> {
    /// Sends the operation with these parameters: path, query and header by their place in the document, which must have
    /// each of them. Answers status and body.
    async fn send(&self, operation: &str, parameters: &[(&str, &str)], body: Option<&Value>) -> Result<(u16, String)> {
        let (method, path, described) = self.find(operation)?;
        let known: BTreeMap<&str, &str> = described["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| Some((parameter["name"].as_str()?, parameter["in"].as_str()?)))
            .collect();
        let (mut path, mut query, mut headers) = (path, Vec::new(), Vec::new());
        for (name, value) in parameters {
            match known.get(name).copied() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), value),
                Some("query") => query.push(format!("{name}={value}")),
                Some("header") => headers.push(format!("{name}: {value}")),
                other => return Err(format!("{operation} documents no parameter {name} ({other:?})").into()),
            }
        }
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}", "-X", &method]);
        // The page asks for a media type of the first answer that has one; of two, the person has chosen text.
        let accept = described["responses"]
            .as_object()
            .into_iter()
            .flatten()
            .find_map(|(_, answer)| answer["content"].as_object()?.keys().next_back().cloned())
            .unwrap_or_else(|| "*/*".to_owned());
        curl.args(["-H", &format!("accept: {accept}")]);
        if described["security"].as_array().is_some_and(|security| !security.is_empty()) {
            curl.args(["-H", &format!("Authorization: Bearer {}", self.world.consumer.token())]);
        }
        for header in &headers {
            curl.args(["-H", header]);
        }
        if let Some(body) = body {
            let media = described["requestBody"]["content"].as_object().and_then(|content| content.keys().next());
            let media = media.ok_or_else(|| format!("{operation} documents no body"))?;
            curl.args(["-H", &format!("Content-Type: {media}"), "-d", &body.to_string()]);
        }
        let base = self.world.gateway.as_ref().ok_or("no gateway")?.url();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        curl.arg(format!("{base}{path}{query}"));
        let out = String::from_utf8_lossy(&said(curl).await?.stdout).into_owned();
        let (body, status) = out.rsplit_once('\n').ok_or("curl told no status")?;
        let status: u16 = status.parse()?;
        if described["responses"].get(status.to_string()).is_none() {
            return Err(format!("{operation} answered {status}, which it does not document: {body}").into());
        }
        Ok((status, body.to_owned()))
    }

    fn find(&self, operation: &str) -> Result<(String, String, Value)> {
        for (path, methods) in self.document["paths"].as_object().into_iter().flatten() {
            for (method, described) in methods.as_object().into_iter().flatten() {
                if described["operationId"] == operation {
                    return Ok((method.to_uppercase(), path.clone(), described.clone()));
                }
            }
        }
        Err(format!("the document has no operation {operation}").into())
    }
}

async fn flow() -> Result<()> {
    let world = World::new("").await?;
    let agreement = world.agreement().await?;
    let base = world.gateway.as_ref().ok_or("no gateway")?.url().to_owned();
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--fail", &format!("{base}/spec")]);
    let page = Page { document: serde_json::from_slice(&said(curl).await?.stdout)?, world: &world };

    let body = json!({
        "agreements": [agreement],
        "algorithm": {
            "type": "raw",
            "code": "import os\nprint('hello')\nopen(os.environ['OUTPUTS'] + '/a b.txt', 'w').write('x')\n",
            "container": { "image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO" },
        },
    });
    let (status, plan) = page.send("start_job", &[("dry_run", "true")], Some(&body)).await?;
    assert_eq!(status, 200, "{plan}");
    assert_eq!(serde_json::from_str::<Value>(&plan)?["dry_run"], true);
    let (status, job) = page.send("start_job", &[("Idempotency-Key", "page")], Some(&body)).await?;
    assert_eq!(status, 201, "{job}");
    let id = serde_json::from_str::<Value>(&job)?["id"].as_str().unwrap_or_default().to_owned();
    let job = world.consumer.end(&id).await;
    assert_eq!(job["phase"], "succeeded", "{job:#}");
    let id = [("id", id.as_str())];
    assert_eq!(page.send("get_job", &id, None).await?.0, 200);
    let (_, list) = page.send("list_jobs", &[("limit", "5"), ("phase", "succeeded")], None).await?;
    assert_eq!(serde_json::from_str::<Value>(&list)?["items"][0]["id"], id[0].1);
    assert_eq!(page.send("read_log", &id, None).await?, (200, "hello\n".to_owned()));
    let (status, events) = page.send("follow_job", &id, None).await?;
    assert!(status == 200 && events.contains("event: end"), "{events}");
    let (_, outputs) = page.send("list_outputs", &id, None).await?;
    let outputs: Value = serde_json::from_str(&outputs)?;
    assert_eq!(outputs["items"][0]["path"], "a b.txt");
    let one = [id[0], ("path", "a%20b.txt")];
    assert_eq!(page.send("read_output", &one, None).await?, (200, "x".to_owned()));
    let mut link = tokio::process::Command::new("curl");
    link.args(["--silent", "--fail", outputs["items"][0]["link"].as_str().unwrap_or_default()]);
    assert_eq!(said(link).await?.stdout, b"x", "the link of a listed output needs no bearer");
    assert_eq!(page.send("stop_job", &id, None).await?.0, 200);
    assert_eq!(page.send("delete_job", &id, None).await?.0, 204);
    assert_eq!(page.send("get_job", &id, None).await?.0, 404);
    for operation in ["get_backend", "live", "ready"] {
        assert_eq!(page.send(operation, &[], None).await?.0, 200, "{operation}");
    }
    let (status, document) = page.send("get_ddo", &[("did", &world.did.to_string())], None).await?;
    assert!(status == 200 && document.contains("\"compute\""), "{document}");
    let data = world.home.data();
    assert!(!document.contains(data.to_str().unwrap_or_default()), "where the data lies is nobody's business");
    Ok(())
}

async fn offline() -> Result<()> {
    let world = World::new("").await?;
    let base = world.gateway.as_ref().ok_or("no gateway")?.url().to_owned();
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--fail", "--location", &format!("{base}/api/v1/docs")]);
    let page = String::from_utf8_lossy(&said(curl).await?.stdout).into_owned();
    assert!(page.contains("swagger"), "no Swagger UI at /api/v1/docs");
    for place in page.split(['"', '\'']).filter(|text| text.starts_with("http://") || text.starts_with("https://")) {
        let loaded = ["src=", "href="].iter().any(|attribute| page.contains(&format!("{attribute}\"{place}")));
        assert!(!loaded, "the page loads {place} from outside");
    }
    Ok(())
}
