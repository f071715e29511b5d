//! `brizo check`: what is wrong with a configuration and with what it names, in one line each.

use std::fmt;

use crate::api::Audit;
use crate::assets::config::ProviderError;
use crate::assets::{Assets, SealKeys};
use crate::config::Config;
use crate::problem::Problem;
use crate::service::Clerk;
use crate::types::show_address;

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, such as `chain`.
    pub what: &'static str,
    /// In a line: how it is, or what is wrong and its remedy.
    pub line: String,
    /// Whether it is as it should be.
    pub good: bool,
}

impl Finding {
    fn good(what: &'static str, line: impl Into<String>) -> Self {
        Self { what, line: line.into(), good: true }
    }

    fn bad(what: &'static str, line: impl fmt::Display) -> Self {
        let line = line.to_string();
        Self { what, line: line.split_whitespace().collect::<Vec<_>>().join(" "), good: false }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.good { "ok" } else { "WRONG" };
        write!(f, "{mark:<6} {:<14} {}", self.what, self.line)
    }
}

/// Looks at everything: configuration, provider, seal key, chain, metadata store, backend, sandbox.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<_> = config.faults().into_iter().map(|fault| Finding::bad("configuration", fault)).collect();
    if findings.is_empty() {
        findings.push(Finding::good("configuration", format!("clients reach {}", config.server.public_url())));
    }
    findings.push(provider(config));
    findings.push(match SealKeys::load(&config.assets.seal_key_file, &config.assets.previous_seal_key_files) {
        Ok(_) => Finding::good("seal key", config.assets.seal_key_file.display().to_string()),
        Err(error) => Finding::bad("seal key", error),
    });
    for root in &config.assets.roots {
        if !root.is_dir() {
            findings.push(Finding::bad("assets", format!("assets.roots names {}, which is no folder", root.display())));
        }
    }
    if let Some(file) = &config.server.audit_file {
        findings.push(match Audit::to_file(file) {
            Ok(_) => Finding::good("audit", file.display().to_string()),
            Err(error) => Finding::bad("audit", error),
        });
    }
    findings.extend(chain(config).await);
    findings.push(state(config));
    findings.extend(backend(config).await);
    findings
}

/// The provider. Its key is needed to publish and to grant, not to serve, so that it may be elsewhere.
fn provider(config: &Config) -> Finding {
    let named = config.provider.key_file.is_some() || config.provider.keystore.is_some();
    match (config.provider.address(), config.provider.signer()) {
        (Ok(address), Ok(_)) => Finding::good("provider", format!("{}, with its key", show_address(&address))),
        (Ok(address), Err(error @ ProviderError::Key(_))) => Finding::good(
            "provider",
            format!(
                "{}; its key can't be read here, which publish and grant would need: {error}",
                show_address(&address)
            ),
        ),
        (Ok(address), Err(ProviderError::NoKey)) if !named => {
            Finding::good("provider", format!("{}, without its key", show_address(&address)))
        }
        (Err(error), _) | (Ok(_), Err(error)) => Finding::bad("provider", error),
    }
}

async fn chain(config: &Config) -> Vec<Finding> {
    let provider = config.provider.address().unwrap_or_default();
    let clerk = match Clerk::open(config, provider) {
        Ok(clerk) => clerk,
        Err(error) => return vec![Finding::bad("chain", error)],
    };
    if let Err(error) = clerk.chain().id().await {
        return vec![Finding::bad("chain", format!("{} (keeper.rpc_url): {error}", config.keeper.rpc_url))];
    }
    let keeper = match clerk.keeper().await {
        Ok(keeper) => keeper,
        Err(problem) => return vec![Finding::bad("metadata", cause(&problem))],
    };
    let chain = match keeper.health().await {
        Ok(health) if health.compute_approved => Finding::good(
            "chain",
            format!("id {}, head {}, {} confirmations", health.chain_id, health.head.number, {
                config.keeper.confirmations_on(health.chain_id)
            }),
        ),
        Ok(_) => Finding::bad(
            "chain",
            "the contracts of keeper.artifacts do not approve the compute template; are the artifacts this chain's?",
        ),
        Err(error) => Finding::bad("chain", error),
    };
    let mut findings = vec![chain];
    match clerk.assets().await {
        Ok(assets) => findings.extend(documents(config, assets).await),
        Err(problem) => findings.push(Finding::bad("metadata", cause(&problem))),
    }
    findings
}

/// The metadata store, and each document of it that can't be sold as it stands.
async fn documents(config: &Config, assets: &Assets) -> Vec<Finding> {
    let url = &config.metadata.url;
    let down = |error| vec![Finding::bad("metadata", format!("{url} (metadata.url): {error}"))];
    if let Err(error) = assets.probe().await {
        return down(error);
    }
    match assets.faults().await {
        Ok(faults) if faults.is_empty() => vec![Finding::good("metadata", url.to_string())],
        Ok(faults) => faults.into_iter().map(|fault| Finding::bad("document", fault)).collect(),
        Err(error) => down(error),
    }
}

fn cause(problem: &Problem) -> String {
    problem.cause().map_or_else(|| problem.detail().to_owned(), ToString::to_string)
}

#[cfg(feature = "process")]
async fn backend(config: &Config) -> Vec<Finding> {
    let lines = brizo_process::ProcessBackend::check(&config.backend.process).await;
    if lines.is_empty() {
        let runtimes: Vec<_> = config.backend.process.runtimes.keys().map(String::as_str).collect();
        return vec![Finding::good("sandbox", format!("it can be built here; runtimes: {}", runtimes.join(", ")))];
    }
    lines.into_iter().map(|line| Finding::bad("sandbox", line)).collect()
}

/// Whether the backend's state can be written: its folder, or the nearest one above it that there is.
#[cfg(feature = "process")]
fn state(config: &Config) -> Finding {
    let folder = &config.backend.process.state_dir;
    let Some(there) = folder.ancestors().find(|ancestor| ancestor.is_dir()) else {
        return Finding::bad("state", format!("backend.process.state_dir {} can't be made", folder.display()));
    };
    match tempfile::tempfile_in(there) {
        Ok(_) => Finding::good("state", folder.display().to_string()),
        Err(error) => Finding::bad(
            "state",
            format!("{} can't be written (backend.process.state_dir {}): {error}", there.display(), folder.display()),
        ),
    }
}

#[cfg(not(feature = "process"))]
fn state(_config: &Config) -> Finding {
    Finding::good("state", "none")
}

#[cfg(not(feature = "process"))]
async fn backend(_config: &Config) -> Vec<Finding> {
    vec![Finding::bad("sandbox", "this program was built without the process backend")]
}

/// Looks at the sandbox alone, which needs no configuration.
pub async fn check_sandbox() -> Vec<Finding> {
    backend(&Config::default()).await
}
