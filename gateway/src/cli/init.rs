//! `brizo init`: a folder with keys, a configuration with comments, and what it names.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use clap::Args;
use serde_json::json;

use super::failure::{Exit, Failure};
use super::say::Say;
use crate::assets::SealKeys;
use crate::keys;
use crate::types::show_address;

/// Where to begin.
#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// The folder to make; nothing in it is overwritten
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The provider's private key, if there is one already: 64 hex digits [default: a new key in DIR/provider.key]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// The name of the configuration in the folder.
const CONFIG: &str = "brizo.toml";
/// The folders in it: documents, data, the backend's state. The last is the gateway's alone.
const FOLDERS: [&str; 3] = ["assets", "data", "state"];

/// Makes the folder.
pub(crate) fn init(args: &InitArgs, say: &Say) -> Result<Exit, Failure> {
    let dir = &args.dir;
    let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
    let dir = made.map_err(|error| Failure::usage(format!("{} can't be made: {error}.", dir.display())))?;
    let text = dir.to_str().filter(|text| !text.contains(['"', '\\', '\n']));
    let Some(text) = text else {
        return Err(Failure::usage("The folder's path has characters that a configuration can't hold."));
    };
    for name in [CONFIG, "seal.key", "provider.key"] {
        if dir.join(name).exists() {
            let message = format!("{} is there already; nothing is overwritten.", dir.join(name).display());
            return Err(Failure::new(Exit::Refused, message).next("choose another folder"));
        }
    }
    let (key_file, address) = if let Some(file) = &args.key_file {
        let found = file.canonicalize().map_err(|error| Failure::usage(format!("{}: {error}.", file.display())))?;
        let signer = keys::load(&found, None).map_err(|error| Failure::usage(error.to_string()))?;
        (found, signer.address())
    } else {
        let file = dir.join("provider.key");
        let signer = keys::create(&file).map_err(|error| Failure::internal(error.to_string()))?;
        (file, signer.address())
    };
    let seal = SealKeys::new_key_text().map_err(|error| Failure::internal(error.to_string()))?;
    write_new(&dir.join("seal.key"), seal.as_bytes(), 0o600)?;
    for name in FOLDERS {
        let folder = dir.join(name);
        let permissions = Permissions::from_mode(if name == "state" { 0o700 } else { 0o755 });
        fs::create_dir_all(&folder)
            .and_then(|()| fs::set_permissions(&folder, permissions))
            .map_err(|error| Failure::internal(format!("{} can't be made: {error}.", folder.display())))?;
    }
    let config = configuration(text, &key_file, address);
    write_new(&dir.join(CONFIG), config.as_bytes(), 0o644)?;

    let config_file = dir.join(CONFIG);
    let words = format!(
        "Made {dir}.\n\
         Provider: {address} (give it some of the chain's own coin: it pays for registering and granting)\n\
         Next:\n  \
         set [keeper] in {config}, then\n  \
         export BRIZO_CONFIG={config}\n  \
         brizo check\n  \
         brizo publish {dir}/data/FILE --price N --allow-raw   # or --trust DID\n  \
         brizo serve\n\
         Keep {dir}/seal.key: without it the data's places in the documents can't be read again.",
        dir = dir.display(),
        config = config_file.display(),
        address = show_address(&address),
    );
    let value = json!({
        "dir": text,
        "config": config_file.display().to_string(),
        "address": show_address(&address),
        "key_file": key_file.display().to_string(),
        "seal_key_file": dir.join("seal.key").display().to_string(),
        "data": dir.join("data").display().to_string(),
    });
    say.result(&words, &value)?;
    Ok(Exit::Done)
}

fn write_new(file: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(file).and_then(|mut out| {
        out.write_all(bytes)?;
        out.sync_all()
    });
    written.map_err(|error| Failure::internal(format!("{} can't be written: {error}.", file.display())))
}

/// The configuration, each section with what it is for; what is commented out stands at its default.
fn configuration(dir: &str, key_file: &Path, address: Address) -> String {
    let key_file = key_file.display();
    let address = show_address(&address);
    format!(
        r#"# The configuration of a Brizo gateway. Any value may come from the environment instead:
# BRIZO_KEEPER__RPC_URL is keeper.rpc_url. `brizo check` tells what is wrong in one line each.

[server]
listen = "127.0.0.1:8030"
# How clients reach this gateway. It stands in documents and links; set it before you publish.
public_url = "http://127.0.0.1:8030"
# Other names of it, which documents and tokens may use too.
aliases = ["http://localhost:8030"]
# To listen beyond loopback, give a certificate, or say that a proxy in front ends TLS.
# tls_cert_file = "cert.pem"
# tls_key_file = "key.pem"
# behind_tls_proxy = true
# metrics_listen = "127.0.0.1:8031"
# What squid-py and squid-js speak. Off, since its signatures can be used again by whoever sees one.
# legacy = false

[keeper]
# A node of the chain, and the folder of keeper artifacts (<Contract>.<network>.json) that says where the contracts are.
rpc_url = "http://127.0.0.1:8545"
artifacts = "keeper-artifacts"
network = "development"
# How many blocks deep a payment must be before it is granted [12; 0 on development chains].
# confirmations = 12

[provider]
# Who grants agreements, and whose assets are always sold here. The key is read by publish, grant and rekey.
address = "{address}"
key_file = "{key_file}"

[assets]
# The places of files are sealed under this key. Keep it: without it they can't be read again.
seal_key_file = "{dir}/seal.key"
# Former keys, which still open; `brizo rekey` makes them superfluous.
# previous_seal_key_files = []
# The folders that file:// inputs may lie in.
roots = ["{dir}/data"]
# Other publishers whose assets are sold here.
# publishers = ["0x..."]

[metadata]
# Where the documents are: a folder of the publisher's own, or http(s)://, an Aquarius.
url = "file://{dir}/assets"

[guard]
# address:port pairs that a consumer's URL may name although they are private.
# allow = ["10.0.0.5:8080"]

# What a job may use, and how many there may be.
# [limits]
# cpu = 1.0
# memory = "512MiB"
# disk = "1GiB"
# outputs = "1GiB"
# wall_time = "1h"
# jobs = 8
# jobs_per_consumer = 4

[backend]
type = "process"

[backend.process]
state_dir = "{dir}/state"
# What algorithms can run in, by the name of their container's image. By default python, node and sh, where this host has
# them in /usr/bin and /bin.
# runtimes = {{ python = {{ command = "/usr/bin/python3", roots = ["/usr"] }} }}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_new_folder_has_all_that_its_configuration_names() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs { dir: folder.path().join("brizo"), key_file: None, json: true };
        init(&args, &Say::new(true)).unwrap();
        let config = Config::load(Some(&args.dir.join(CONFIG))).unwrap();
        assert_eq!(config.faults(), Vec::<String>::new());
        assert_eq!(config.provider.signer().unwrap().address(), config.provider.address().unwrap());
        assert!(SealKeys::load(&config.assets.seal_key_file, &[]).is_ok() && config.assets.roots[0].is_dir());
        assert!(config.metadata.url.to_file_path().unwrap().is_dir());
        // What is commented out can be read too, once its examples are there to be used.
        let text = fs::read_to_string(args.dir.join(CONFIG)).unwrap();
        let settings = ["metrics_listen", "legacy", "confirmations", "previous_seal_key_files", "allow", "runtimes"];
        let limits = ["[limits]", "cpu", "memory", "disk", "outputs", "wall_time", "jobs"];
        let told = settings.into_iter().chain(limits).fold(text, |text, name| {
            let line = format!("\n# {name}");
            assert!(text.contains(&line), "{name}");
            text.replace(&line, &line.replace("# ", ""))
        });
        let file = args.dir.join("told.toml");
        fs::write(&file, told).unwrap();
        Config::load(Some(&file)).unwrap();
        for (name, mode) in [("seal.key", 0o600), ("provider.key", 0o600), ("state", 0o700)] {
            let found = fs::metadata(args.dir.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs { dir: folder.path().to_owned(), key_file: None, json: true };
        init(&args, &Say::new(true)).unwrap();
        let key = fs::read(folder.path().join("seal.key")).unwrap();
        let failure = init(&args, &Say::new(true)).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(fs::read(folder.path().join("seal.key")).unwrap(), key);
    }

    #[test]
    fn a_key_that_is_there_is_named_and_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.key");
        let key = keys::create(&file).unwrap();
        let args = InitArgs { dir: folder.path().join("brizo"), key_file: Some(file), json: true };
        init(&args, &Say::new(true)).unwrap();
        let text = fs::read_to_string(args.dir.join(CONFIG)).unwrap();
        assert!(text.contains(&show_address(&key.address())) && text.contains("mine.key"));
        assert!(!args.dir.join("provider.key").exists());
    }
}
