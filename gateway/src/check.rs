//! `brizo check`: what is wrong with a configuration and with what it names, in one line each.

use std::fmt;

use crate::api::Audit;
use crate::assets::SealKeys;
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
    findings.push(match config.provider.address() {
        Ok(address) => Finding::good("provider", show_address(&address)),
        Err(error) => Finding::bad("provider", error),
    });
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
    findings.extend(backend(config).await);
    findings
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
    let store = match clerk.assets().await {
        Ok(assets) => match assets.probe().await {
            Ok(()) => Finding::good("metadata", config.metadata.url.to_string()),
            Err(error) => Finding::bad("metadata", format!("{} (metadata.url): {error}", config.metadata.url)),
        },
        Err(problem) => Finding::bad("metadata", cause(&problem)),
    };
    vec![chain, store]
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

#[cfg(not(feature = "process"))]
async fn backend(_config: &Config) -> Vec<Finding> {
    vec![Finding::bad("sandbox", "this program was built without the process backend")]
}

/// Looks at the sandbox alone, which needs no configuration.
pub async fn check_sandbox() -> Vec<Finding> {
    backend(&Config::default()).await
}
