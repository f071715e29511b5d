//! The log, and the metrics' own listener.

use std::net::{Ipv4Addr, SocketAddr};

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

use super::ServeError;

/// Where metrics are if the configuration says nothing.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8031);

/// Writes the log to standard error: a sentence and key-value pairs a line. `BRIZO_LOG` selects (such as `debug`, or
/// `brizo=debug,info`), `BRIZO_LOG_FORMAT=json` writes JSON.
pub fn init() {
    let filter = EnvFilter::try_from_env("BRIZO_LOG").unwrap_or_else(|_| EnvFilter::new("info,poem=warn,hyper=warn"));
    let json = std::env::var("BRIZO_LOG_FORMAT").is_ok_and(|format| format == "json");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, in tests, keeps the first one's log.
    let _ = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
}

/// Serves `/metrics` on a listener of its own. An address that the configuration names must be free; the default one is
/// left out if it is not, so that a second gateway on one machine starts.
pub(super) fn serve_metrics(address: Option<SocketAddr>) -> Result<(), ServeError> {
    let wanted = address.unwrap_or(DEFAULT);
    let failed = |source: std::io::Error| ServeError::Listen { key: "server.metrics_listen", address: wanted, source };
    // The exporter binds when it is built, and reports only that it could not; asked here, the cause is known.
    let free = std::net::TcpListener::bind(wanted).map(drop);
    match (free, address) {
        (Err(source), Some(_)) => return Err(failed(source)),
        (Err(error), None) => {
            tracing::warn!(address = %wanted, %error, "there are no metrics: set server.metrics_listen to a free address");
            return Ok(());
        }
        (Ok(()), _) => {}
    }
    let built = PrometheusBuilder::new()
        .with_http_listener(wanted)
        .set_buckets(&[0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0])
        .and_then(PrometheusBuilder::build);
    match built {
        Ok((recorder, exporter)) => {
            if metrics::set_global_recorder(recorder).is_ok() {
                tokio::spawn(exporter);
            }
            Ok(())
        }
        Err(error) => Err(failed(std::io::Error::other(error))),
    }
}
