use std::collections::HashMap;
use std::sync::Mutex;

use alloy_signer_local::PrivateKeySigner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::assets::document::DraftKind;
use crate::assets::document::tests::{draft, raw_allowed};
use crate::assets::seal::tests::keys;

/// An Aquarius that answers with what it is given; anybody can write there.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<HashMap<String, String>>>);

impl Server {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let documents = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let documents = Arc::clone(&documents);
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let read = socket.read(&mut request).await.unwrap_or(0);
                    let line = String::from_utf8_lossy(&request[..read]).into_owned();
                    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    let body = documents.lock().unwrap().get(&path).cloned();
                    let answer = match body.as_deref() {
                        Some("endless") => {
                            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
                            while socket.write_all(&[b' '; 8192]).await.is_ok() {}
                            return;
                        }
                        Some("broken") => "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
                        Some(body) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
                        None => "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno".to_owned(),
                    };
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        format!("http://{address}")
    }

    fn put(&self, did: &Did, document: impl Into<String>) {
        self.0.lock().unwrap().insert(format!("/api/v1/aquarius/assets/ddo/{did}"), document.into());
    }
}

fn catalogue(url: &str, trusted: bool, publisher: &PrivateKeySigner) -> Catalogue {
    let config = MetadataConfig { url: url.parse().unwrap(), trusted };
    Catalogue::open(&config, HashSet::from([publisher.address()]), 31337).unwrap()
}

#[tokio::test]
async fn a_document_of_an_aquarius_counts_only_with_a_publishers_signature() {
    let server = Server::default();
    let url = server.start().await;
    let (publisher, stranger) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let made = |key: &PrivateKeySigner, url: &str| {
        draft(DraftKind::Dataset(raw_allowed()), &[url]).finish(&keys(1, &[]), key, 31337).unwrap()
    };
    let catalogue = catalogue(&url, false, &publisher);
    let discounted = async |did: &Did| {
        catalogue.forget(did).await;
        catalogue.find(did).await.unwrap().unwrap().current().discounted.clone()
    };
    let (did, document) = made(&publisher, "https://example.org/a");
    server.put(&did, document.pretty());
    assert_eq!(discounted(&did).await, None);

    // Whoever can write there lowers the price, or takes the signature away.
    server.put(&did, document.pretty().replace("\"10\"", "\"1\""));
    assert!(discounted(&did).await.unwrap().contains("the document was changed"));
    let mut unsigned = document.clone();
    unsigned.get_mut("proof").unwrap().remove("brizo");
    server.put(&did, unsigned.pretty());
    assert!(discounted(&did).await.unwrap().contains("no proof.brizo"));

    let (theirs, document) = made(&stranger, "https://example.org/b");
    server.put(&theirs, document.pretty());
    assert!(discounted(&theirs).await.unwrap().contains("none of this gateway's publishers"));
    // Another asset's document under this name.
    server.put(&did, document.pretty());
    catalogue.forget(&did).await;
    assert_eq!(catalogue.find(&did).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_aquarius_of_the_publishers_own_may_be_trusted() {
    let server = Server::default();
    let url = server.start().await;
    let key = PrivateKeySigner::random();
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/brizo/ddo_with_compute_service.json"
    ));
    let text = text.unwrap();
    let did: Did = "did:op:8d1b4d73e7af4634958f071ab8dfe7ab0df14019755e444090fd392c8ec9c3f4".parse().unwrap();
    server.put(&did, text.clone());
    for (trusted, counts) in [(true, true), (false, false)] {
        let asset = catalogue(&url, trusted, &key).find(&did).await.unwrap().unwrap();
        assert_eq!(asset.current().discounted.is_none(), counts);
        assert_eq!(asset.current().bytes, text, "byte for byte");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_no_missing_document() {
    let server = Server::default();
    let url = server.start().await;
    let catalogue = catalogue(&url, false, &PrivateKeySigner::random());
    let did = |byte: u8| Did([byte; 32].into());
    assert!(catalogue.find(&did(1)).await.unwrap().is_none());
    for (byte, document) in [(2, "broken"), (3, "endless")] {
        server.put(&did(byte), document);
        let problem = catalogue.find(&did(byte)).await.unwrap_err();
        assert_eq!(problem.code(), Code::Unavailable, "{document}");
        assert!(!problem.detail().contains("127.0.0.1"), "the store's place is for the log: {problem}");
    }
    server.put(&did(4), "{no json");
    assert_eq!(catalogue.find(&did(4)).await.unwrap_err().code(), Code::NotFound);
    let gone = super::tests::catalogue("http://127.0.0.1:1", false, &PrivateKeySigner::random());
    assert_eq!(gone.find(&did(1)).await.unwrap_err().code(), Code::Unavailable);
}
