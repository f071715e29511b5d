//! `GET /`: which gateway this is, as `ocean.versions` of squid-js reads it.

use poem::Response;
use serde_json::{Map, json};

use crate::service::KeeperView;
use crate::types::Address;

/// The release of the Keeper contracts that this gateway speaks to.
const KEEPER_VERSION: &str = "v0.13.2";

/// Addresses are shown with their checksum's case, as the first Brizo showed them.
pub(super) fn answer(keeper: &KeeperView, provider: Address) -> Response {
    let contracts: Map<_, _> =
        keeper.contracts.iter().map(|(name, address)| ((*name).to_owned(), json!(address.to_string()))).collect();
    let body = json!({
        "software": "Brizo",
        "version": env!("CARGO_PKG_VERSION"),
        "keeper-url": keeper.url,
        "network": keeper.network,
        "contracts": contracts,
        "keeper-version": KEEPER_VERSION,
        "provider-address": provider.to_string(),
    });
    Response::builder().content_type("application/json").body(body.to_string())
}
