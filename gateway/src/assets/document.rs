//! The documents that `brizo publish` makes: OEP-7, OEP-8 and OEP-12 in the shapes that squid-py and squid-js read.

use alloy_primitives::{Address, B256, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use jiff::Timestamp;

use super::container::ContainerRequest;
use super::did;
use super::json::Json;
use super::proof::{self, ProofError};
use super::seal::{SealError, SealKeys, Sealed};
use super::store::DDO_PATH;
use crate::types::{Did, parse_address};

/// The path of the compute service at a gateway.
const COMPUTE_PATH: &str = "/api/v1/brizo/services/compute";
/// The path of the access service at a gateway.
const CONSUME_PATH: &str = "/api/v1/brizo/services/consume";

/// One file of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DraftFile {
    /// Where it is. Sealed; never in the document.
    pub(crate) url: String,
    /// Its last path segment.
    pub(crate) name: Option<String>,
    pub(crate) content_type: String,
    pub(crate) content_length: Option<u64>,
    /// In lower-case hex, where its content is part of the deal.
    pub(crate) sha256: Option<String>,
}

/// One algorithm that a dataset trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustDraft {
    pub(crate) did: Did,
    pub(crate) file: Option<String>,
    pub(crate) container: Option<String>,
}

/// Which algorithms a dataset admits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PrivacyDraft {
    pub(crate) allow_raw: bool,
    pub(crate) allow_network: bool,
    pub(crate) trusted: Vec<TrustDraft>,
}

/// What an asset is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DraftKind {
    /// Sold as a compute service.
    Dataset(PrivacyDraft),
    /// Run beside others' data; the right to is sold as an access service.
    Algorithm(ContainerRequest),
}

/// The contracts that a document's conditions name, and the templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) compute_template: B256,
    pub(crate) access_template: B256,
    pub(crate) escrow_reward: Address,
    pub(crate) lock_reward: Address,
    pub(crate) compute: Address,
    pub(crate) access: Address,
}

/// Everything that a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) kind: DraftKind,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) author: String,
    pub(crate) license: String,
    pub(crate) price: U256,
    pub(crate) timeout_s: u64,
    pub(crate) files: Vec<DraftFile>,
    pub(crate) created: Timestamp,
    /// `server.public_url` without a slash at its end.
    pub(crate) public_url: String,
    pub(crate) terms: Terms,
}

/// Why a document can't be finished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("the key does not sign")]
    Key,
}

fn seconds(time: Timestamp) -> Json {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn optional(object: &mut Json, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        object.set(key, value.into());
    }
}

impl Draft {
    /// Makes the document: its DID from its checksums, the URLs taken out and sealed, signed by the publisher.
    pub(crate) fn finish(
        &self,
        seal: &SealKeys,
        signer: &PrivateKeySigner,
        chain_id: u64,
    ) -> Result<(Did, Json), DocumentError> {
        let publisher = signer.address();
        let mut services = vec![self.metadata()];
        services.push(match &self.kind {
            DraftKind::Dataset(privacy) => self.compute(publisher, privacy),
            DraftKind::Algorithm(_) => self.access(publisher),
        });
        let unsealed = Json::object([("service", Json::Array(services))]);
        // The checksums are taken while the files still have their URLs: OCEAN's rule.
        let checksums = did::checksums(&unsealed);
        let did = did::did(&checksums);
        let Some(Json::Array(mut services)) = unsealed.get("service").cloned() else { return Err(DocumentError::Key) };
        for service in &mut services {
            fill(service, &did);
        }
        let signature = signer.sign_message_sync(did.0.as_slice()).map_err(|_| DocumentError::Key)?;
        let mut document = Json::object([
            ("@context", "https://w3id.org/did/v1".into()),
            ("id", did.to_string().into()),
            ("created", seconds(self.created)),
            ("updated", seconds(self.created)),
            (
                "publicKey",
                Json::Array(vec![Json::object([
                    ("id", did.to_string().into()),
                    ("type", "EthereumECDSAKey".into()),
                    ("owner", publisher.to_checksum(None).into()),
                ])]),
            ),
            (
                "authentication",
                Json::Array(vec![Json::object([
                    ("type", "RsaSignatureAuthentication2018".into()),
                    ("publicKey", did.to_string().into()),
                ])]),
            ),
            ("service", Json::Array(services)),
            (
                "proof",
                Json::object([
                    ("type", "DDOIntegritySignature".into()),
                    ("created", seconds(self.created)),
                    ("creator", publisher.to_checksum(None).into()),
                    ("signatureValue", format!("0x{}", hex::encode(signature.as_bytes())).into()),
                    ("checksum", checksums),
                ]),
            ),
        ]);
        set_files(&mut document, &did, &self.files, seal, publisher)?;
        proof::sign(&mut document, &did, 1, chain_id, signer)?;
        Ok((did, document))
    }

    fn metadata(&self) -> Json {
        let mut main = Json::object([
            ("type", if matches!(self.kind, DraftKind::Dataset(_)) { "dataset" } else { "algorithm" }.into()),
            ("name", self.name.as_str().into()),
            ("dateCreated", seconds(self.created)),
            ("author", self.author.as_str().into()),
            ("license", self.license.as_str().into()),
            ("price", self.price.to_string().into()),
            ("files", Json::Array(self.files.iter().enumerate().map(|(n, file)| with_url(n, file)).collect())),
        ]);
        if let DraftKind::Algorithm(container) = &self.kind {
            main.set("algorithm", Json::object([("container", container_section(container))]));
        }
        let description = Json::object([("description", self.description.as_str().into())]);
        Json::object([
            ("type", "metadata".into()),
            ("index", 0.into()),
            ("serviceEndpoint", format!("{}{DDO_PATH}{{did}}", self.public_url).into()),
            ("attributes", Json::object([("main", main), ("additionalInformation", description)])),
        ])
    }

    fn service(&self, publisher: Address, mut parts: ServiceParts<'_>) -> Json {
        let mut main = Json::object([
            ("name", parts.name.into()),
            ("creator", publisher.to_checksum(None).into()),
            ("datePublished", seconds(self.created)),
            ("price", self.price.to_string().into()),
            ("timeout", self.timeout_s.into()),
        ]);
        optional(&mut main, "privacy", parts.privacy.take());
        Json::object([
            ("type", parts.kind.into()),
            ("index", 1.into()),
            ("serviceEndpoint", format!("{}{}", self.public_url, parts.path).into()),
            ("templateId", format!("{:#x}", parts.template).into()),
            (
                "attributes",
                Json::object([
                    ("main", main),
                    ("additionalInformation", Json::object([("description", "".into())])),
                    ("serviceAgreementTemplate", self.agreement(&parts)),
                ]),
            ),
        ])
    }

    fn compute(&self, publisher: Address, privacy: &PrivacyDraft) -> Json {
        self.service(
            publisher,
            ServiceParts {
                kind: "compute",
                name: "dataAssetComputingServiceAgreement",
                path: COMPUTE_PATH,
                template: self.terms.compute_template,
                template_name: "EscrowComputeExecutionTemplate",
                condition: "computeExecution",
                contract: "ComputeExecutionCondition",
                handler: "fulfillComputeExecutionCondition",
                release: self.terms.compute,
                privacy: Some(privacy_section(privacy)),
            },
        )
    }

    fn access(&self, publisher: Address) -> Json {
        self.service(
            publisher,
            ServiceParts {
                kind: "access",
                name: "dataAssetAccessServiceAgreement",
                path: CONSUME_PATH,
                template: self.terms.access_template,
                template_name: "EscrowAccessSecretStoreTemplate",
                condition: "accessSecretStore",
                contract: "AccessSecretStoreCondition",
                handler: "fulfillAccessSecretStoreCondition",
                release: self.terms.access,
                privacy: None,
            },
        )
    }

    /// `serviceAgreementTemplate`, shaped as squid-py's. Both prices are the same text.
    fn agreement(&self, parts: &ServiceParts<'_>) -> Json {
        let price = || Json::from(self.price.to_string());
        let address = |address: Address| Json::from(address.to_checksum(None));
        let actor = |name: &str, actor: &str, module: &str, function: &str| {
            Json::object([
                ("name", name.into()),
                ("actorType", actor.into()),
                (
                    "handler",
                    Json::object([
                        ("moduleName", module.into()),
                        ("functionName", function.into()),
                        ("version", "0.1".into()),
                    ]),
                ),
            ])
        };
        let condition = |name: &str, contract: &str, parameters: Vec<(&str, &str, Json)>, events: Vec<Json>| {
            let parameters = parameters.into_iter().map(|(name, kind, value)| {
                Json::object([("name", name.into()), ("type", kind.into()), ("value", value)])
            });
            Json::object([
                ("name", name.into()),
                ("timelock", 0.into()),
                ("timeout", 0.into()),
                ("contractName", contract.into()),
                ("functionName", "fulfill".into()),
                ("parameters", Json::Array(parameters.collect())),
                ("events", Json::Array(events)),
            ])
        };
        let texts = |texts: &[&str]| Json::Array(texts.iter().map(|text| Json::from(*text)).collect());
        let conditions = vec![
            condition(
                "lockReward",
                "LockRewardCondition",
                vec![("_rewardAddress", "address", address(self.terms.escrow_reward)), ("_amount", "uint256", price())],
                vec![actor("Fulfilled", "publisher", "lockRewardCondition", parts.handler)],
            ),
            condition(
                parts.condition,
                parts.contract,
                vec![("_documentId", "bytes32", "".into()), ("_grantee", "address", "".into())],
                vec![
                    actor("Fulfilled", "publisher", parts.condition, "fulfillEscrowRewardCondition"),
                    actor("TimedOut", "consumer", parts.condition, "fulfillEscrowRewardCondition"),
                ],
            ),
            condition(
                "escrowReward",
                "EscrowReward",
                vec![
                    ("_amount", "uint256", price()),
                    ("_receiver", "address", "".into()),
                    ("_sender", "address", "".into()),
                    ("_lockCondition", "bytes32", address(self.terms.lock_reward)),
                    ("_releaseCondition", "bytes32", address(parts.release)),
                ],
                vec![actor("Fulfilled", "publisher", "escrowRewardCondition", "verifyRewardTokens")],
            ),
        ];
        let fulfil = format!("{}.fulfill", parts.condition);
        Json::object([
            ("contractName", parts.template_name.into()),
            (
                "events",
                Json::Array(vec![actor(
                    "AgreementCreated",
                    "consumer",
                    parts.template_name,
                    "fulfillLockRewardCondition",
                )]),
            ),
            ("fulfillmentOrder", texts(&["lockReward.fulfill", &fulfil, "escrowReward.fulfill"])),
            (
                "conditionDependency",
                Json::object([
                    ("lockReward", Json::Array(vec![])),
                    (parts.condition, Json::Array(vec![])),
                    ("escrowReward", texts(&["lockReward", parts.condition])),
                ]),
            ),
            ("conditions", Json::Array(conditions)),
        ])
    }
}

/// In what the two services differ.
struct ServiceParts<'a> {
    kind: &'a str,
    name: &'a str,
    path: &'a str,
    template: B256,
    template_name: &'a str,
    condition: &'a str,
    contract: &'a str,
    handler: &'a str,
    release: Address,
    privacy: Option<Json>,
}

/// Puts the DID where the clients look for it: `_documentId`, without `0x`.
fn fill(service: &mut Json, did: &Did) {
    let Some(template) = service.get_mut("attributes").and_then(|json| json.get_mut("serviceAgreementTemplate")) else {
        return;
    };
    for parameter in parameters(template) {
        if parameter.get("name").and_then(Json::text) == Some("_documentId") {
            parameter.set("value", did.digits().into());
        }
    }
}

/// All parameters of all conditions of a template.
fn parameters(template: &mut Json) -> impl Iterator<Item = &mut Json> {
    items(template.get_mut("conditions")).flat_map(|condition| items(condition.get_mut("parameters")))
}

fn items(array: Option<&mut Json>) -> impl Iterator<Item = &mut Json> {
    array.and_then(|array| if let Json::Array(items) = array { Some(items) } else { None }).into_iter().flatten()
}

fn with_url(index: usize, file: &DraftFile) -> Json {
    let mut entry = Json::object([("index", (index as u64).into())]);
    optional(&mut entry, "name", file.name.as_deref());
    entry.set("url", file.url.as_str().into());
    entry.set("contentType", file.content_type.as_str().into());
    optional(&mut entry, "contentLength", file.content_length.map(|length| length.to_string()));
    if let Some(sha256) = &file.sha256 {
        entry.set("checksum", sha256.as_str().into());
        entry.set("checksumType", "SHA-256".into());
    }
    entry
}

/// `main.algorithm.container`.
pub(crate) fn container_section(container: &ContainerRequest) -> Json {
    let mut section = Json::object([
        ("entrypoint", container.entrypoint.as_str().into()),
        ("image", container.image.as_str().into()),
        ("tag", container.tag.as_str().into()),
    ]);
    optional(&mut section, "checksum", container.checksum.as_deref());
    section
}

/// `privacy`.
pub(crate) fn privacy_section(privacy: &PrivacyDraft) -> Json {
    let trusted = privacy.trusted.iter().map(|trusted| {
        if trusted.file.is_none() && trusted.container.is_none() {
            return trusted.did.to_string().into();
        }
        let mut entry = Json::object([("did", trusted.did.to_string().into())]);
        optional(&mut entry, "filesChecksum", trusted.file.as_deref());
        optional(&mut entry, "containerSectionChecksum", trusted.container.as_deref());
        entry
    });
    Json::object([
        ("allowRawAlgorithm", privacy.allow_raw.into()),
        ("allowNetworkAccess", privacy.allow_network.into()),
        ("trustedAlgorithms", Json::Array(trusted.collect())),
    ])
}

fn metadata_attributes(document: &mut Json) -> Option<&mut Json> {
    items(document.get_mut("service"))
        .find(|service| service.get("type").and_then(Json::text) == Some("metadata"))?
        .get_mut("attributes")
}

/// States files without their URLs, and seals those.
pub(crate) fn set_files(
    document: &mut Json,
    did: &Did,
    files: &[DraftFile],
    seal: &SealKeys,
    publisher: Address,
) -> Result<(), DocumentError> {
    let mut stated = Vec::with_capacity(files.len());
    let mut places = Vec::with_capacity(files.len());
    for (n, file) in files.iter().enumerate() {
        let mut entry = with_url(n, file);
        entry.remove("url");
        stated.push(entry);
        places.push(Json::object([("index", (n as u64).into()), ("url", file.url.as_str().into())]));
    }
    let sealed = seal.seal(did, publisher, Json::Array(places).pretty().as_bytes())?;
    if let Some(attributes) = metadata_attributes(document) {
        attributes.set("encryptedFiles", sealed.to_string().into());
        if let Some(main) = attributes.get_mut("main") {
            main.set("files", Json::Array(stated));
        }
    }
    Ok(())
}

/// Seals what is sealed anew, under the current key. False if nothing is sealed, or it is already.
pub(crate) fn reseal(document: &mut Json, did: &Did, seal: &SealKeys) -> Result<bool, DocumentError> {
    let Some(attributes) = metadata_attributes(document) else { return Ok(false) };
    let Some(text) = attributes.get("encryptedFiles").and_then(Json::text) else { return Ok(false) };
    let sealed: Sealed = text.parse()?;
    if seal.is_current(did, &sealed) {
        return Ok(false);
    }
    let plain = seal.open(did, &sealed)?;
    let again = seal.seal(did, sealed.publisher, &plain)?;
    attributes.set("encryptedFiles", again.to_string().into());
    Ok(true)
}

/// What `brizo publish --update` changes in a document; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) price: Option<U256>,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) privacy: Option<PrivacyDraft>,
    pub(crate) container: Option<ContainerRequest>,
    /// Fields of `main`: name, author, license.
    pub(crate) main: Vec<(&'static str, String)>,
    pub(crate) description: Option<String>,
}

/// Changes a document: a price in all places that state it.
pub(crate) fn change(document: &mut Json, change: &Change, now: Timestamp) {
    document.set("updated", seconds(now));
    if let Some(attributes) = metadata_attributes(document) {
        if let Some(description) = &change.description
            && let Some(more) = attributes.get_mut("additionalInformation")
        {
            more.set("description", description.as_str().into());
        }
        if let Some(main) = attributes.get_mut("main") {
            for (key, value) in &change.main {
                main.set(key, value.as_str().into());
            }
            if let Some(container) = &change.container
                && let Some(algorithm) = main.get_mut("algorithm")
            {
                algorithm.set("container", container_section(container));
            }
        }
    }
    for service in items(document.get_mut("service")) {
        let is_compute = service.get("type").and_then(Json::text) == Some("compute");
        let Some(attributes) = service.get_mut("attributes") else { continue };
        if let Some(main) = attributes.get_mut("main") {
            if let Some(price) = change.price {
                main.set("price", price.to_string().into());
            }
            if main.get("timeout").is_some()
                && let Some(timeout_s) = change.timeout_s
            {
                main.set("timeout", timeout_s.into());
            }
            if is_compute && let Some(privacy) = &change.privacy {
                main.set("privacy", privacy_section(privacy));
            }
        }
        let (Some(template), Some(price)) = (attributes.get_mut("serviceAgreementTemplate"), change.price) else {
            continue;
        };
        for parameter in parameters(template) {
            if parameter.get("name").and_then(Json::text) == Some("_amount") {
                parameter.set("value", price.to_string().into());
            }
        }
    }
}

/// Signs a document as this version, where it has a signature or one is wanted.
pub(crate) fn sign(
    document: &mut Json,
    did: &Did,
    version: u64,
    chain_id: u64,
    signer: &PrivateKeySigner,
) -> Result<(), DocumentError> {
    Ok(proof::sign(document, did, version, chain_id, signer)?)
}

/// The URL of an asset's document that is registered on chain.
pub(crate) fn registered_url(public_url: &str, did: &Did) -> String {
    format!("{}{DDO_PATH}{did}", public_url.trim_end_matches('/'))
}

/// Whose signature a document says that it carries.
pub(crate) fn signed_by(document: &Json) -> Option<Address> {
    parse_address(document.at(&["proof", "brizo", "publisher"])?.text()?).ok()
}

/// Takes a signature away that no longer fits.
pub(crate) fn unsign(document: &mut Json) {
    if let Some(proof) = document.get_mut("proof") {
        proof.remove("brizo");
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
pub(crate) mod tests;
