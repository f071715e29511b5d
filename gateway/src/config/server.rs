use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;
use url::{Host, Url};

use crate::api::{Rate, Rates};
use crate::identity::Audiences;

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where the API listens. Beyond loopback it needs TLS, or a proxy in front that ends it.
    pub listen: SocketAddr,
    /// How clients reach this gateway; in links, documents and bearers. Absent: what `listen` says, on loopback.
    pub public_url: Option<Url>,
    /// Other names of it. Absent: `localhost`, where the public URL is 127.0.0.1.
    pub aliases: Option<Vec<Url>>,
    /// The certificate and its chain, in PEM.
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's key, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// A proxy in front ends TLS, and names the client in `X-Forwarded-For`.
    pub behind_tls_proxy: bool,
    /// The API of squid-py and squid-js.
    pub legacy: bool,
    /// Where Prometheus finds the metrics. Absent: 127.0.0.1:8031, if it is free.
    pub metrics_listen: Option<SocketAddr>,
    /// Where audit records go. Absent: to the log.
    pub audit_file: Option<PathBuf>,
    /// Requests a second of one address; 0: any number.
    pub rate_per_address: u32,
    /// Requests a second of one consumer; 0: any number.
    pub rate_per_consumer: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8030),
            public_url: None,
            aliases: None,
            tls_cert_file: None,
            tls_key_file: None,
            behind_tls_proxy: false,
            legacy: false,
            metrics_listen: None,
            audit_file: None,
            rate_per_address: 100,
            rate_per_consumer: 50,
        }
    }
}

impl ServerConfig {
    /// How clients reach this gateway.
    pub fn public_url(&self) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let scheme = if self.has_tls() { "https" } else { "http" };
        let listen = self.listen;
        #[expect(clippy::expect_used, reason = "an address and a port always make a URL")]
        Url::parse(&format!("{scheme}://{listen}/")).expect("a URL")
    }

    /// The public URL, then the aliases.
    pub fn names(&self) -> Vec<Url> {
        let public = self.public_url();
        let mut names = vec![public.clone()];
        match &self.aliases {
            Some(aliases) => names.extend(aliases.iter().cloned()),
            None if public.host() == Some(Host::Ipv4(Ipv4Addr::LOCALHOST)) => {
                let mut local = public;
                if local.set_host(Some("localhost")).is_ok() {
                    names.push(local);
                }
            }
            None => {}
        }
        names
    }

    /// What a bearer's audience may be.
    pub fn audiences(&self) -> Audiences {
        Audiences::new(self.names().into_iter().map(String::from))
    }

    /// How often somebody may ask.
    pub fn rates(&self) -> Rates {
        let rate = |requests| NonZeroU32::new(requests).map(Rate);
        Rates::new(rate(self.rate_per_address), rate(self.rate_per_consumer))
    }

    /// Whether it ends TLS itself.
    pub fn has_tls(&self) -> bool {
        self.tls_cert_file.is_some() && self.tls_key_file.is_some()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |text: String| faults.push(text);
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            fault("server.tls_cert_file and server.tls_key_file go together; one is missing.".to_owned());
        }
        let beyond = !self.listen.ip().is_loopback();
        if beyond && !self.has_tls() && !self.behind_tls_proxy {
            fault(format!(
                "server.listen {} is beyond loopback, where bearers would travel in clear: set server.tls_cert_file and \
                 server.tls_key_file, or server.behind_tls_proxy = true if a proxy in front ends TLS.",
                self.listen
            ));
        }
        if self.public_url.is_none() && self.listen.ip().is_unspecified() {
            fault(format!(
                "server.public_url is not set, and links can't name {}: set it to the URL by which clients reach this \
                 gateway.",
                self.listen.ip()
            ));
        }
        for (name, url) in self
            .public_url
            .iter()
            .map(|url| ("server.public_url", url))
            .chain(self.aliases.iter().flatten().map(|url| ("server.aliases", url)))
        {
            if let Some(text) = unreachable_name(url) {
                fault(format!("{name} is {url}, {text}"));
            }
        }
        faults
    }
}

/// Why clients can't use this as a gateway's URL.
fn unreachable_name(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Some("which is not an http:// or https:// URL.");
    }
    let unspecified = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_unspecified(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_unspecified(),
        _ => false,
    };
    if unspecified {
        return Some("which names no machine: set it to the URL by which clients reach this gateway.");
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (!bare).then_some("which has more than scheme, host and port; the API's paths come after them.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(listen: &str, public_url: Option<&str>) -> ServerConfig {
        ServerConfig {
            listen: listen.parse().unwrap(),
            public_url: public_url.map(|url| url.parse().unwrap()),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn no_link_ever_names_a_machine_that_nobody_can_reach() {
        let faults = ServerConfig { behind_tls_proxy: true, ..server("0.0.0.0:8030", None) }.faults();
        assert!(faults.len() == 1 && faults[0].contains("server.public_url"), "{faults:?}");
        for bad in ["http://0.0.0.0:8030", "http://[::]:8030", "ftp://gw", "https://gw/path"] {
            let faults = server("127.0.0.1:8030", Some(bad)).faults();
            assert!(faults.len() == 1 && faults[0].contains("server.public_url"), "{bad}: {faults:?}");
        }
        assert!(server("127.0.0.1:8030", Some("https://gw.example")).faults().is_empty());
    }

    #[test]
    fn bearers_travel_in_clear_on_loopback_alone() {
        let open = server("192.0.2.1:8030", Some("https://gw.example"));
        assert!(open.faults()[0].contains("behind_tls_proxy"));
        assert!(ServerConfig { behind_tls_proxy: true, ..open.clone() }.faults().is_empty());
        let half = ServerConfig { tls_cert_file: Some("c.pem".into()), ..open.clone() };
        assert_eq!(half.faults().len(), 2);
        let tls = ServerConfig { tls_key_file: Some("k.pem".into()), ..half };
        assert!(tls.faults().is_empty() && server("[::1]:1", None).faults().is_empty());
    }

    #[test]
    fn a_gateway_of_another_port_does_not_answer_to_this_ones_name() {
        let names = server("127.0.0.1:18030", None).names();
        assert_eq!(
            names.iter().map(Url::as_str).collect::<Vec<_>>(),
            ["http://127.0.0.1:18030/", "http://localhost:18030/"]
        );
        assert!(server("127.0.0.1:1", None).audiences().has("http://localhost:1"));
        let own = ServerConfig { aliases: Some(vec![]), ..server("127.0.0.1:1", None) };
        assert_eq!(own.names().len(), 1);
    }
}
