//! The configuration: defaults, then a TOML file, then the environment (`BRIZO_`, with `__` between section and key).
//!
//! [`Config::load`] reads it; [`Config::faults`] says what in it can't work, in a line each.

mod error;
mod limits;
mod server;
mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;
use url::Url;

pub use crate::assets::config::{AssetsConfig, GuardConfig, MetadataConfig, ProviderConfig};
pub use crate::keeper::KeeperConfig;
pub use error::ConfigError;
pub use limits::LimitsConfig;
pub use server::ServerConfig;
pub use units::{Size, Span};

/// The whole configuration of a gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens, and what clients call it.
    pub server: ServerConfig,
    /// Which chain, through which node.
    pub keeper: KeeperConfig,
    /// Who runs it.
    pub provider: ProviderConfig,
    /// What is sold.
    pub assets: AssetsConfig,
    /// Where the documents are.
    pub metadata: MetadataConfig,
    /// Where results go, and how long they are kept.
    pub results: ResultsConfig,
    /// What jobs may use, and how many there may be.
    pub limits: LimitsConfig,
    /// What a consumer's URLs may reach.
    pub guard: GuardConfig,
    /// What runs the jobs.
    pub backend: BackendConfig,
}

/// `[results]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultsConfig {
    /// Where outputs and logs go; the process backend keeps them in its own `state_dir`.
    pub url: Option<Url>,
    /// How long a job is kept after its end.
    pub keep: Span,
}

impl Default for ResultsConfig {
    fn default() -> Self {
        Self { url: None, keep: Span(Duration::from_hours(30 * 24)) }
    }
}

/// Which backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendType {
    /// A sandboxed process of this host.
    #[default]
    Process,
}

/// `[backend]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendConfig {
    /// `process`.
    #[serde(rename = "type")]
    pub kind: BackendType,
    /// `[backend.process]`.
    #[cfg(feature = "process")]
    pub process: brizo_process::ProcessConfig,
}

impl Config {
    /// Reads `file`, if there is one, and the environment over it. Relative paths of the configuration are relative to the
    /// file's folder, else to the working directory.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::Missing(file.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // Names without __ are the command line's own (BRIZO_CONFIG, BRIZO_KEY_FILE).
        let environment = Env::prefixed("BRIZO_").filter(|key| key.as_str().contains("__")).split("__");
        let config: Self = figment.merge(environment).extract().map_err(|error| ConfigError::of(&error, file))?;
        Ok(config.below(file.and_then(Path::parent).unwrap_or(Path::new(""))))
    }

    fn below(mut self, folder: &Path) -> Self {
        let put = |path: &mut PathBuf| *path = folder.join(&*path);
        put(&mut self.keeper.artifacts);
        self.provider.below(folder);
        self.assets.below(folder);
        let server = &mut self.server;
        let files = [&mut server.tls_cert_file, &mut server.tls_key_file, &mut server.audit_file];
        files.into_iter().flatten().for_each(put);
        #[cfg(feature = "process")]
        put(&mut self.backend.process.state_dir);
        self
    }

    /// What can't work, in a line each: what can be told without asking anybody.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.server.faults();
        faults.extend(self.limits.faults());
        if self.results.url.is_some() && self.backend.kind == BackendType::Process {
            faults.push(
                "results.url has no effect with the process backend, which keeps results in backend.process.state_dir; \
                 leave it out."
                    .to_owned(),
            );
        }
        if let Err(error) = self.provider.address() {
            faults.push(format!("{error}."));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("brizo.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file))
    }

    #[test]
    fn a_misspelt_key_is_told_with_the_one_that_was_meant() {
        for (text, words) in [
            ("[server]\nlisten_on = 1", vec!["server.listen_on", "listen", "public_url"]),
            ("[sever]\nlisten = 1", vec!["sever", "server"]),
            ("[limits]\nmemroy = \"1GiB\"", vec!["limits.memroy", "did you mean memory"]),
            ("[backend]\ntype = \"proces\"", vec!["backend.type", "proces", "process"]),
            ("[limits]\nmemory = \"much\"", vec!["limits.memory", "512MiB"]),
            ("[limits]\nwall_time = \"soon\"", vec!["limits.wall_time", "30d"]),
            ("[server]\nlegacy = \"perhaps\"", vec!["server.legacy", "perhaps", "boolean"]),
            ("[server", vec!["brizo.toml"]),
        ] {
            let error = read(text).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
            assert!(!error.contains('\n'), "one line: {error}");
        }
        assert!(Config::load(Some(Path::new("/nowhere/brizo.toml"))).unwrap_err().to_string().contains("brizo init"));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = Config::default().below(Path::new("/etc/brizo"));
        assert_eq!(config.assets.seal_key_file, Path::new("/etc/brizo/seal.key"));
        assert_eq!(config.keeper.artifacts, Path::new("/etc/brizo/keeper-artifacts"));
    }

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        let config = read(
            "[limits]\nmemory = \"1.5GiB\"\ndisk = 1000\nwall_time = \"90m\"\nqueue = 60\n[results]\nkeep = \"2d\"",
        )
        .unwrap();
        assert_eq!(config.limits.memory, Size(3 << 29));
        assert_eq!(config.limits.disk, Size(1_000));
        assert_eq!(config.limits.wall_time, Span(Duration::from_mins(90)));
        assert_eq!(config.limits.queue, Span(Duration::from_mins(1)));
        assert_eq!(config.results.keep, Span(Duration::from_hours(48)));
    }

    #[test]
    fn the_defaults_can_work_once_the_provider_is_known() {
        let mut config = Config::default();
        assert_eq!(config.faults().len(), 1, "{:?}", config.faults());
        config.provider.address = Some(crate::types::Address::repeat_byte(1));
        assert_eq!(config.faults(), Vec::<String>::new());
        assert_eq!(config.server.public_url().as_str(), "http://127.0.0.1:8030/");
    }
}
