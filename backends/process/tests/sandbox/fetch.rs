//! Inputs and algorithms that come from URLs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brizo_backend::{Backend as _, ErrorKind, Input, JobSpec, Phase, Source, WaitingFor, WallState};
use brizo_process::{NetworkConfig, ProcessConfig};
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Gateway, Site, python, sh, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_input_from_a_url_that_fails_twice_arrives", retried),
        trial("an_input_that_is_missing_fails_and_is_not_named", missing),
        trial("a_store_that_stays_away_fails_at_the_deadline", unreachable),
        trial("a_stop_ends_the_waiting_for_a_store", stopped),
        trial("a_consumers_url_does_not_reach_inside", guarded),
        trial("the_network_is_had_only_where_it_is_configured", network),
        trial("what_can_not_be_done_here_is_refused", refused),
    ]
}

/// A server that gives each request the next of its answers, the last one for ever; and how often it was asked.
async fn server(answers: &[&'static str]) -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(0));
    let (count, mut answers) = (asked.clone(), VecDeque::from(answers.to_vec()));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            *count.lock().unwrap() += 1;
            let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0] };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nremote";
const TORN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 60\r\nconnection: close\r\n\r\nremo";
const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn from(url: String) -> JobSpec {
    let mut spec = sh("cat /data/inputs/abc/0");
    spec.secrets.inputs[0][0] = Input { source: Source::PublisherUrl { url }, sha256: None, max_bytes: Some(100) };
    spec
}

async fn retried() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let (address, asked) = server(&[BUSY, TORN, OK]).await;
    let spec = from(format!("http://{address}/secret-path?signature=secret"));
    assert_eq!(gateway.printed(&spec).await, "remote");
    assert_eq!(*asked.lock().unwrap(), 3);
}

async fn missing() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let (address, asked) = server(&[MISSING]).await;
    let job = gateway.run(&from(format!("http://{address}/secret-path"))).await;
    let reason = job.reason.unwrap();
    assert_eq!(reason.kind(), "inputs");
    assert_eq!(reason.message(), "File 0 of dataset did:op:abc can't be fetched: its store answered 404.");
    assert_eq!(*asked.lock().unwrap(), 1, "it is final");
    assert_eq!(job.started_at, None);
}

async fn unreachable() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let (address, _) = server(&[BUSY]).await;
    let mut spec = from(format!("http://{address}/secret-path"));
    spec.deadlines.provisioning_s = 2;
    gateway.backend.submit(&spec).await.unwrap();
    let waits =
        gateway.until(&spec.id, "waiting", |job| job.waiting.as_ref().is_some_and(|w| w.what == WaitingFor::Store));
    assert!(waits.await.waiting.unwrap().message.contains("503"));
    let job = gateway.until(&spec.id, "end", |job| job.phase.is_end()).await;
    let reason = job.reason.unwrap();
    assert_eq!(reason.kind(), "provisioning_deadline");
    assert!(reason.message().contains("503") && !reason.message().contains("secret"), "{reason:?}");
}

async fn stopped() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let (address, _) = server(&[BUSY]).await;
    let spec = from(format!("http://{address}/"));
    gateway.backend.submit(&spec).await.unwrap();
    gateway.until(&spec.id, "configuring", |job| job.phase == Phase::Configuring).await;
    let began = Instant::now();
    gateway.backend.stop(&spec.id).await.unwrap();
    let job = gateway.until(&spec.id, "end", |job| job.phase.is_end()).await;
    assert_eq!(job.phase, Phase::Stopped);
    assert!(began.elapsed() < Duration::from_secs(5));
}

async fn guarded() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let (address, asked) = server(&[OK]).await;
    let mut spec = sh("");
    let guarded = |allow| Source::GuardedUrl { url: format!("http://localhost:{}/x", address.port()), allow };
    spec.secrets.algorithm = Some(Input { source: guarded(vec![]), sha256: None, max_bytes: Some(100) });
    let job = gateway.run(&spec).await;
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("algorithm"));
    assert_eq!(*asked.lock().unwrap(), 0, "nothing was sent");
    let mut spec = sh("");
    "cat $ALGO".clone_into(&mut spec.algorithm.entrypoint);
    spec.secrets.algorithm = Some(Input { source: guarded(vec![address]), sha256: None, max_bytes: Some(100) });
    assert_eq!(gateway.printed(&spec).await, "remote");
}

async fn network() {
    let site = Site::new();
    let (address, _) = server(&[OK]).await;
    let code = format!(
        "import socket\ns = socket.create_connection(('127.0.0.1', {}), 5); s.send(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
         print(s.makefile().read()[-6:])",
        address.port()
    );
    let mut spec = python(&code);
    spec.network = true;
    let refusal = site.gateway().await.backend.submit(&spec).await.unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::Unsupported);
    let config =
        ProcessConfig { state_dir: site.state_dir(), network: NetworkConfig::Host, ..ProcessConfig::default() };
    let gateway = Gateway::with(config).await;
    assert_eq!(gateway.printed(&spec).await, "remote\n");
    let job = gateway.backend.get(&spec.id).await.unwrap();
    let state = job.walls.iter().find(|wall| wall.name == "network_namespace").map(|wall| wall.state);
    assert_eq!(state, Some(WallState::Absent), "and the job says so");
    let mut without = python(&code);
    without.network = false;
    assert_eq!(gateway.run(&without).await.reason.map(|reason| reason.kind()), Some("exit_code"));
}

async fn refused() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let refused = async |change: fn(&mut JobSpec)| {
        let mut spec = sh("");
        change(&mut spec);
        let error = gateway.backend.submit(&spec).await.unwrap_err();
        assert!(gateway.backend.get(&spec.id).await.is_err());
        (error.kind(), error.message().to_owned())
    };
    let (kind, words) = refused(|spec| "rust".clone_into(&mut spec.algorithm.image.name)).await;
    assert_eq!(kind, ErrorKind::ImageNotAllowed);
    assert!(words.contains("python, sh"), "{words}");
    let checksum = |spec: &mut JobSpec| spec.algorithm.image.checksum = Some(format!("sha256:{}", "0".repeat(64)));
    assert_eq!(refused(checksum).await.0, ErrorKind::Unsupported);
    assert_eq!(refused(|spec| spec.limits.gpu = 1).await.0, ErrorKind::Unsupported);
    let bucket = |spec: &mut JobSpec| {
        spec.secrets.inputs[0][0].source = Source::PublisherUrl { url: "s3://bucket/key".to_owned() };
    };
    assert_eq!(refused(bucket).await.0, ErrorKind::Unsupported);
}
