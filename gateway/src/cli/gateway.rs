//! `brizo serve`, `check` and `openapi`: the gateway itself.

use clap::Args;
use serde_json::json;

use super::failure::{Exit, Failure};
use super::say::Say;
use super::site::{ConfigArg, sentence};
use crate::check::{Finding, check, check_sandbox};
use crate::config::{Config, ConfigError};
use crate::serve::{ServeError, init_log};

/// What to look at.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    /// Look at the sandbox alone, which needs no configuration
    #[arg(long)]
    pub sandbox: bool,
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// Runs the gateway until SIGTERM or SIGINT.
pub(crate) async fn serve(config: &ConfigArg) -> Result<Exit, Failure> {
    init_log();
    crate::serve::serve(config.load()?).await?;
    Ok(Exit::Done)
}

/// Says what is wrong, in one line each.
pub(crate) async fn look(config: &ConfigArg, args: &CheckArgs, say: &Say) -> Result<Exit, Failure> {
    let findings = if args.sandbox { check_sandbox().await } else { check(&config.load()?).await };
    let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
    let values: Vec<_> = findings
        .iter()
        .map(|finding| json!({"what": finding.what, "good": finding.good, "line": finding.line}))
        .collect();
    say.result(&lines.join("\n"), &json!({ "findings": values }))?;
    Ok(if findings.iter().all(|finding| finding.good) { Exit::Done } else { Exit::Refused })
}

/// Prints the document of the API.
pub(crate) fn openapi(say: &Say) -> Result<Exit, Failure> {
    let text = crate::api::openapi();
    say.result(text.trim_end(), &json!(null))?;
    Ok(Exit::Done)
}

impl ConfigArg {
    /// Reads the configuration: the file, then the environment.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref())?)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(sentence(&error.to_string()))
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let text = sentence(&error.to_string());
        match error {
            ServeError::Server(_) | ServeError::Backend(_) => Self::internal(text),
            _ => Self::usage(text).next("`brizo check` looks at everything that the configuration names"),
        }
    }
}
