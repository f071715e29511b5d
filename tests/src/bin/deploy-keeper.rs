//! `deploy-keeper RPC_URL ARTIFACTS OUT`: puts the Keeper contracts on a development chain.
//!
//! Signs with the first of the public development keys of anvil, hardhat and ganache: never use it elsewhere.

use std::path::Path;
use std::process::ExitCode;

use brizo::chain::Rpc;
use brizo_tests::chain::development_key;
use brizo_tests::deploy::{Result, deploy_keeper};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rpc_url, artifacts, out] = arguments.as_slice() else {
        eprintln!("usage: deploy-keeper RPC_URL ARTIFACTS_OF_THE_NPM_PACKAGE OUT_FOLDER");
        return ExitCode::from(2);
    };
    match deploy(rpc_url, Path::new(artifacts), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deploy-keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn deploy(rpc_url: &str, artifacts: &Path, out: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rpc = Rpc::new(rpc_url.parse()?)?;
    let contracts = runtime.block_on(deploy_keeper(rpc, &development_key(0), artifacts, out))?;
    for (name, address) in contracts.named() {
        println!("{name} {}", address.to_checksum(None));
    }
    Ok(())
}
