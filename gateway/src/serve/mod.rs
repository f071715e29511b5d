//! `brizo serve`: the gateway as a program, put together from its configuration and run until it is told to end.

mod clock;
mod listen;
mod telemetry;
mod tidings;

pub use telemetry::init as init_log;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use brizo_backend::Backend;
use poem::Server;
use poem::listener::AcceptorExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Audit, AuditError, LinkKey, State};
use crate::assets::config::ProviderError;
use crate::assets::{SealKeyError, SealKeys};
use crate::config::{BackendType, Config};
use crate::keeper::OpenError;
use crate::service::Clerk;
use crate::types::{Address, show_address};

/// The most of a request's headers over HTTP/2: a target of 60 KiB, and room for the others.
const HEADERS: u32 = 96 * 1024;
/// How long answers that are under way may take after the gateway was told to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// A connection that says nothing for so long is closed; streams say something every 15 s.
const IDLE: Duration = Duration::from_secs(75);

/// Why a gateway does not start, in words that name the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration can't work.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
    /// The provider is not known.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The contracts' addresses.
    #[error(transparent)]
    Chain(#[from] OpenError),
    /// The seal key.
    #[error(transparent)]
    Seal(#[from] SealKeyError),
    /// The audit file.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The backend.
    #[error("the backend can't be opened: {0}")]
    Backend(#[from] brizo_backend::Error),
    /// The address.
    #[error("{key} {address} can't be listened on: {source}")]
    Listen {
        /// Of the configuration.
        key: &'static str,
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key.
    #[error("{0}")]
    Tls(String),
    /// The server ended by itself.
    #[error("the server broke off: {0}")]
    Server(std::io::Error),
}

/// A gateway that has been put together and listens.
#[derive(Debug)]
pub struct Gateway {
    /// What its handlers share.
    state: Arc<State>,
    clerk: Arc<Clerk>,
    listener: tokio::net::TcpListener,
    config: Config,
    shutdown: CancellationToken,
}

impl Gateway {
    /// Puts it together and begins to listen. The node of the chain may be down meanwhile. `shutdown` ends it.
    pub async fn open(config: Config, shutdown: CancellationToken) -> Result<Self, ServeError> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(ServeError::Faults(faults));
        }
        let provider = config.provider.address()?;
        let seal = SealKeys::load(&config.assets.seal_key_file, &config.assets.previous_seal_key_files)?;
        let clerk = Arc::new(Clerk::open(&config, provider)?);
        let audit = match &config.server.audit_file {
            Some(file) => Audit::to_file(file)?,
            None => Audit::to_log(),
        };
        let listener = listen::bind("server.listen", config.server.listen).await?;
        let backend = open_backend(&config, provider, &seal).await?;
        let state = State::new(api::Setup {
            backend,
            backend_type: backend_name(config.backend.kind).to_owned(),
            desk: Arc::clone(&clerk) as _,
            audiences: config.server.audiences(),
            provider,
            links: LinkKey::derive(&*seal.derive("output links")),
            rates: config.server.rates(),
            limits: config.limits.limits(),
            deadlines: config.limits.deadlines(),
            legacy: config.server.legacy,
            behind_proxy: config.server.behind_tls_proxy,
            audit,
            shutdown: shutdown.clone(),
        });
        Ok(Self { state, clerk, listener, config, shutdown })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves, drives the jobs and records their ends, until it is told to end. Algorithms that run then go on.
    pub async fn run(self) -> Result<(), ServeError> {
        let Self { state, clerk, listener, config, shutdown } = self;
        let address = listener.local_addr().map_err(ServeError::Server)?;
        let (may_sweep, sweeping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(drive(Arc::clone(&state.setup.backend), sweeping, shutdown.clone()));
        tasks.spawn(clock::compare(clerk, may_sweep, shutdown.clone()));
        tasks.spawn(tidings::tell(Arc::clone(&state), config.server.audit_file.clone(), shutdown.clone()));
        telemetry::serve_metrics(config.server.metrics_listen)?;
        let acceptor = listen::Acceptor::new(listener).map_err(ServeError::Server)?;
        let acceptor: Box<dyn poem::listener::DynAcceptor> = match listen::tls(&config.server)? {
            Some(tls) => Box::new(poem::listener::ToDynAcceptor(
                acceptor.rustls(futures::stream::once(futures::future::ready(tls))),
            )),
            None => Box::new(poem::listener::ToDynAcceptor(acceptor)),
        };
        tracing::info!(
            %address,
            public_url = %config.server.public_url(),
            provider = show_address(&state.setup.provider),
            "the gateway listens"
        );
        let app = api::app(&state);
        let served = Server::new_with_acceptor(acceptor)
            .idle_timeout(IDLE)
            .http2_max_header_list_size(HEADERS)
            .run_with_graceful_shutdown(app, shutdown.cancelled(), Some(FAREWELL))
            .await;
        shutdown.cancel();
        while tasks.join_next().await.is_some() {}
        served.map_err(ServeError::Server)
    }
}

/// The word of the configuration for a backend.
fn backend_name(kind: BackendType) -> &'static str {
    match kind {
        BackendType::Process => "process",
    }
}

#[cfg(feature = "process")]
async fn open_backend(
    config: &Config,
    provider: Address,
    seal: &SealKeys,
) -> Result<Arc<dyn Backend>, brizo_backend::Error> {
    use brizo_process::{Keys, ProcessBackend, Settings};
    let keys = seal.derive_all("backend journal");
    let (current, previous) = keys
        .split_first()
        .ok_or_else(|| brizo_backend::Error::new(brizo_backend::ErrorKind::Internal, "open", "there is no seal key"))?;
    let previous: Vec<[u8; 32]> = previous.iter().map(|key| **key).collect();
    let settings = Settings {
        provider: show_address(&provider),
        quotas: config.limits.quotas(),
        keep: config.results.keep.0,
        keys: Keys::new(current, &previous),
    };
    Ok(Arc::new(ProcessBackend::open(config.backend.process.clone(), settings).await?))
}

#[cfg(not(feature = "process"))]
async fn open_backend(
    _config: &Config,
    _provider: Address,
    _seal: &SealKeys,
) -> Result<Arc<dyn Backend>, brizo_backend::Error> {
    let text = "this program was built without the process backend";
    Err(brizo_backend::Error::new(brizo_backend::ErrorKind::Unsupported, "open", text))
}

/// Drives the jobs; a driver that ends by a fault is started again.
async fn drive(backend: Arc<dyn Backend>, may_sweep: watch::Receiver<bool>, shutdown: CancellationToken) {
    const PAUSE: Duration = Duration::from_secs(5);
    while !shutdown.is_cancelled() {
        if let Err(error) = backend.drive(may_sweep.clone(), shutdown.clone()).await {
            tracing::error!(?error, "the backend's driver ended, and is started again");
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let shutdown = CancellationToken::new();
    let gateway = Gateway::open(config, shutdown.clone()).await?;
    tokio::spawn(end_on_signal(shutdown));
    gateway.run().await
}

async fn end_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals can't be heard; the gateway ends only by SIGKILL");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("the gateway ends; algorithms that run go on");
    shutdown.cancel();
}
