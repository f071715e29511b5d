use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server on loopback that gives every request the same bytes; how often it was connected to is counted.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: String, endless: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                    while endless && socket.write_all(&[b'x'; 8192]).await.is_ok() {}
                });
            }
        });
        Self { address, connections }
    }

    async fn hello() -> Self {
        Self::start("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello".into(), false).await
    }

    async fn redirect(to: &str) -> Self {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        Self::start(head, false).await
    }

    fn url(&self) -> String {
        format!("http://{}/a.py", self.address)
    }

    fn guard(&self) -> Guard {
        Guard { allow: vec![self.address] }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[test]
fn no_address_inside_counts_as_public() {
    let inside = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:0a00:0001::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ];
    for address in inside {
        assert!(!is_public(address.parse().unwrap()), "{address} would be reached");
    }
    let outside = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
    ];
    for address in outside {
        assert!(is_public(address.parse().unwrap()), "{address} would be refused");
    }
}

#[test]
fn every_spelling_of_an_inner_address_is_refused_before_anything_is_sent() {
    let spellings = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.1:8080/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fd00:ec2::254]/",
        "http://user@127.0.0.1/",
        "http://example.org@127.0.0.1/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "https://10.0.0.1/",
    ];
    for url in spellings {
        assert!(
            matches!(Guard::default().check_literal(url), Err(FetchError::Private { .. })),
            "{url} was not refused"
        );
    }
    for url in ["file:///etc/passwd", "ftp://example.org/", "gopher://127.0.0.1/", "", "a.py", "http://"] {
        assert!(matches!(Guard::default().check_literal(url), Err(FetchError::Url)), "{url} was not refused");
    }
    assert!(Guard::default().check_literal("https://example.org/a.py").is_ok());
}

#[tokio::test]
async fn loopback_is_reached_only_as_the_allowed_pair() {
    let server = Server::hello().await;
    assert!(matches!(get(Some(&Guard::default()), &server.url()).await, Err(FetchError::Private { .. })));
    let other = Guard { allow: vec![SocketAddr::new(server.address.ip(), server.address.port() ^ 1)] };
    assert!(matches!(get(Some(&other), &server.url()).await, Err(FetchError::Private { .. })));
    assert_eq!(server.connections(), 0, "a refused address was connected to");
    let body = get(Some(&server.guard()), &server.url()).await.unwrap().bytes().await.unwrap();
    assert_eq!(body, "hello");
    assert!(get(None, &server.url()).await.is_ok(), "a publisher's own URL is not guarded");
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let server = Server::hello().await;
    let url = format!("http://localhost:{}/a.py", server.address.port());
    let refused = get(Some(&Guard::default()), &url).await.unwrap_err();
    assert!(matches!(refused, FetchError::Private { .. }), "{refused}");
    assert!(refused.to_string().contains("localhost"), "{refused}");
    assert_eq!(server.connections(), 0);
    let port = server.address.port();
    let guard = Guard { allow: vec![server.address, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)] };
    assert!(get(Some(&guard), &url).await.is_ok());
}

#[tokio::test]
async fn each_redirect_is_checked_anew() {
    let inner = Server::hello().await;
    let metadata = "http://169.254.169.254/latest/meta-data/".to_owned();
    for target in [inner.url(), format!("http://localhost:{}/", inner.address.port()), metadata] {
        let outer = Server::redirect(&target).await;
        let refused = get(Some(&outer.guard()), &outer.url()).await.unwrap_err();
        assert!(matches!(refused, FetchError::Private { .. }), "{target}: {refused}");
        assert_eq!(outer.connections(), 1);
    }
    assert_eq!(inner.connections(), 0, "a redirect led inside");
    let file = Server::redirect("file:///etc/passwd").await;
    assert!(matches!(get(Some(&file.guard()), &file.url()).await, Err(FetchError::Redirect { .. })));
    let outer = Server::redirect(&inner.url()).await;
    let both = Guard { allow: vec![outer.address, inner.address] };
    assert!(get(Some(&both), &outer.url()).await.is_ok(), "an honest redirect is followed");
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends() {
    let server = Server::redirect("/again").await;
    assert!(matches!(get(Some(&server.guard()), &server.url()).await, Err(FetchError::Redirect { .. })));
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let server = Server::start("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".into(), true).await;
    let response = get(Some(&server.guard()), &server.url()).await.unwrap();
    let mut body = Box::pin(limited(response, 100_000));
    let mut read = 0;
    let end = loop {
        match body.next().await {
            Some(Ok(chunk)) => read += chunk.len(),
            Some(Err(error)) => break error,
            None => panic!("the body ended"),
        }
    };
    assert!(matches!(end, FetchError::TooLarge { limit: 100_000 }), "{end}");
    assert!(read <= 100_000);
    let stated = Server::hello().await;
    let response = get(Some(&stated.guard()), &stated.url()).await.unwrap();
    let first = Box::pin(limited(response, 4)).next().await;
    assert!(matches!(first, Some(Err(FetchError::TooLarge { limit: 4 }))));
}

#[tokio::test]
async fn an_error_names_no_secret_of_the_url() {
    let server = Server::start("HTTP/1.1 403 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(), false).await;
    let url = format!("http://user:hunter2@{}/a?token=hunter2", server.address);
    let error = get(Some(&server.guard()), &url).await.unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 403, .. }));
    let gone = "http://user:hunter2@127.0.0.1:1/a?token=hunter2";
    let refused = get(None, gone).await.unwrap_err();
    for text in [error.to_string(), format!("{error:?}"), refused.to_string(), format!("{refused:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
