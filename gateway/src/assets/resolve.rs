//! From what was bought and what was asked for to what a job reads and runs.

use std::collections::HashSet;

use alloy_primitives::Address;
use brizo_backend::{Algorithm, AlgorithmKind, Dataset, Image, Input, MAX_INLINE_BYTES, Secrets, Source};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::container::ContainerRequest;
use super::ddo::{AssetType, Ddo, FileEntry, Service, read_file};
use super::json::Json;
use super::privacy::{Admission, Candidate, Privacy, admit};
use super::seal::Sealed;
use super::{Asset, Assets, counted, source};
use crate::problem::{Code, Problem};
use crate::types::{AgreementId, Did, show_address};

/// The longest algorithm that is fetched behind the guard, in bytes.
const MAX_GUARDED: u64 = 64 << 20;

/// A dataset that an agreement allows to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bought {
    /// The asset.
    pub did: Did,
    /// By what.
    pub agreement: AgreementId,
    /// Its publisher: the asset's owner as the agreement keeps it (`getAgreement.didOwner`).
    pub owner: Address,
}

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlgorithmRequest {
    /// Code.
    Raw {
        /// At most 512 KiB.
        code: String,
        /// In what.
        container: ContainerRequest,
    },
    /// A URL.
    Url {
        /// http or https.
        url: String,
        /// `sha256:<64 hex>` that its bytes must have.
        checksum: Option<String>,
        /// In what.
        container: ContainerRequest,
    },
    /// A published one.
    Did {
        /// Which.
        did: Did,
        /// Its owner on chain (`DIDRegistry.getDIDOwner`); none if it is not registered.
        owner: Option<Address>,
    },
}

/// The parts of a job's specification that come from assets.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What it reads, in the order of the request.
    pub datasets: Vec<Dataset>,
    /// What it runs.
    pub algorithm: Algorithm,
    /// Where all that is.
    pub secrets: Secrets,
    /// Whether every publisher allows the network.
    pub network: bool,
    /// The algorithm is sold: it may run only if `AccessSecretStoreCondition.checkPermissions(consumer, did)` says yes. The
    /// caller asks the chain.
    pub needs_permission: Option<Did>,
}

impl Assets {
    /// Puts the parts of a job together. Refused are: what is not sold here, what its publisher does not admit, and what
    /// contradicts itself. Pointers of the refusal go by the body of `POST /api/v1/jobs`.
    pub async fn resolve(&self, bought: &[Bought], request: &AlgorithmRequest) -> Result<Resolved, Problem> {
        twice(bought)?;
        let mut assets = Vec::with_capacity(bought.len());
        for (n, dataset) in bought.iter().enumerate() {
            let pointer = format!("/agreements/{n}");
            let asset = self.asset(&dataset.did).await.map_err(|problem| pointed(problem, &pointer))?;
            self.sold(&asset, dataset.owner).map_err(|problem| pointed(problem, &pointer))?;
            assets.push(asset);
        }
        let rules: Vec<&Privacy> =
            assets.iter().filter_map(|asset| asset.current().ddo.compute()).map(|service| &service.privacy).collect();
        let judge = |candidate: Candidate<'_>| {
            admit(&rules, candidate).map_err(|denial| {
                let did = bought.get(denial.dataset).map(|dataset| dataset.did.to_string()).unwrap_or_default();
                let text = format!("This algorithm may not run on {did}: {}.", denial.why);
                pointed(Problem::new(Code::AlgorithmNotAllowed, text), &format!("/agreements/{}", denial.dataset))
            })
        };
        let (algorithm, input, admission, needs_permission) = match request {
            AlgorithmRequest::Raw { code, container } => {
                let (algorithm, input) = raw(code, container)?;
                (algorithm, input, judge(Candidate::Unpublished)?, None)
            }
            AlgorithmRequest::Url { url, checksum, container } => {
                let (algorithm, input) = self.by_url(url, checksum.as_deref(), container)?;
                (algorithm, input, judge(Candidate::Unpublished)?, None)
            }
            AlgorithmRequest::Did { did, owner } => {
                let asset = self.asset(did).await.map_err(|problem| pointed(problem, "/algorithm/did"))?;
                let (algorithm, input, admission) = self.by_did(&asset, *owner, judge).await.map_err(|problem| {
                    if problem.parts().is_empty() { pointed(problem, "/algorithm/did") } else { problem }
                })?;
                (algorithm, input, admission, asset.current().ddo.is_priced.then_some(*did))
            }
        };
        let mut datasets = Vec::with_capacity(bought.len());
        let mut inputs = Vec::with_capacity(bought.len());
        for (n, (dataset, asset)) in bought.iter().zip(&assets).enumerate() {
            let pointer = format!("/agreements/{n}");
            let files = self.files(&dataset.did, &asset.current().ddo).map_err(|problem| pointed(problem, &pointer))?;
            let staged =
                self.publisher_inputs(&dataset.did, files).await.map_err(|problem| pointed(problem, &pointer))?;
            datasets.push(Dataset {
                did: dataset.did.to_string(),
                agreement: dataset.agreement.to_string().parse().map_err(Problem::internal)?,
                files: staged.len() as u32,
            });
            inputs.push(staged);
        }
        Ok(Resolved {
            datasets,
            algorithm,
            secrets: Secrets { inputs, algorithm: Some(input) },
            network: admission.network,
            needs_permission,
        })
    }

    /// Whether an asset of this owner may be sold here, its files apart.
    pub(super) fn sold(&self, asset: &Asset, owner: Address) -> Result<(), Problem> {
        let (did, version) = (&asset.did, asset.current());
        self.listed(owner, did)?;
        counted(version, did)?;
        match version.ddo.compute() {
            Some(service) => self.is_here(did, service),
            None => Err(Problem::invalid(format!("The asset {did} has no compute service."))),
        }
    }

    /// Refuses a service whose endpoint names another gateway.
    pub(super) fn is_here(&self, did: &Did, service: &Service) -> Result<(), Problem> {
        if self.endpoints.iter().any(|base| names(&service.endpoint, base)) {
            return Ok(());
        }
        Err(Problem::new(
            Code::NotAuthorized,
            format!(
                "The compute service of {did} is at {:?}, which is not this gateway. Ask there, or tell its publisher.",
                service.endpoint.chars().take(200).collect::<String>()
            ),
        ))
    }

    /// The files of a document that counts: unsealed, or in clear as it was published.
    pub(super) fn files(&self, did: &Did, ddo: &Ddo) -> Result<Vec<FileEntry>, Problem> {
        let refuse = |why: String| {
            let text = format!("The files of {did} can't be used: {why}. Tell its publisher.");
            Err(Problem::new(Code::NotAuthorized, text))
        };
        let mut files = match &ddo.encrypted_files {
            None => ddo.files.clone(),
            Some(text) => {
                let sealed: Sealed = match text.parse() {
                    Ok(sealed) => sealed,
                    Err(error) => return refuse(format!("{error}")),
                };
                if !self.is_listed(sealed.publisher) {
                    return refuse(format!(
                        "they are sealed for {}, who is none of this gateway's publishers",
                        show_address(&sealed.publisher)
                    ));
                }
                let plain = match self.seal.open(did, &sealed) {
                    Ok(plain) => plain,
                    Err(error) => return refuse(format!("{error}")),
                };
                match Json::parse(&plain) {
                    Ok(Json::Array(files)) => files.iter().map(read_file).collect(),
                    _ => return refuse("what is sealed is no list of files".to_owned()),
                }
            }
        };
        if files.is_empty() || files.iter().any(|file| file.url.is_none()) {
            return refuse("not each of them has a url".to_owned());
        }
        // The document states the checksums, the seal the places.
        for (file, stated) in files.iter_mut().zip(&ddo.files) {
            file.sha256 = file.sha256.take().or_else(|| stated.sha256.clone());
        }
        Ok(files)
    }

    /// The inputs of a listed publisher's files.
    async fn publisher_inputs(&self, did: &Did, files: Vec<FileEntry>) -> Result<Vec<Input>, Problem> {
        let roots = self.roots.clone();
        let looked = tokio::task::spawn_blocking(move || {
            files
                .into_iter()
                .map(|file| {
                    let source = source::of_publisher(file.url.as_deref().unwrap_or_default(), &roots)?;
                    Ok(Input { source, sha256: file.sha256, max_bytes: None })
                })
                .collect::<Result<Vec<_>, source::SourceError>>()
        });
        looked.await.map_err(Problem::internal)?.map_err(|error| {
            let text = format!(
                "A file of {did} can't be had at the publisher's side. Tell its publisher; the gateway's log says more."
            );
            Problem::new(Code::Internal, text).because(error)
        })
    }

    fn by_url(
        &self,
        url: &str,
        checksum: Option<&str>,
        container: &ContainerRequest,
    ) -> Result<(Algorithm, Input), Problem> {
        let (image, entrypoint) = container.check("/algorithm/container")?;
        let sha256 = match checksum {
            None => None,
            Some(text) => Some(sha256_of(text).ok_or_else(|| {
                Problem::invalid_at(
                    "/algorithm/checksum",
                    "The checksum of an algorithm's bytes is `sha256:` and 64 hex digits; it may be left out.",
                )
            })?),
        };
        let algorithm = Algorithm { kind: AlgorithmKind::Url, did: None, sha256: sha256.clone(), image, entrypoint };
        Ok((algorithm, Input { source: self.guarded(url, "/algorithm/url")?, sha256, max_bytes: Some(MAX_GUARDED) }))
    }

    /// A URL that a consumer, or a publisher who is not listed, named. What it resolves to is checked when it is fetched.
    fn guarded(&self, url: &str, pointer: &str) -> Result<Source, Problem> {
        self.guard
            .check_literal(url)
            .map_err(|error| Problem::invalid_at(pointer, format!("The algorithm can't be fetched: {error}.")))?;
        Ok(Source::GuardedUrl { url: url.to_owned(), allow: self.guard.allow.clone() })
    }

    async fn by_did(
        &self,
        asset: &Asset,
        owner: Option<Address>,
        judge: impl Fn(Candidate<'_>) -> Result<Admission, Problem>,
    ) -> Result<(Algorithm, Input, Admission), Problem> {
        let (did, version) = (asset.did, asset.current());
        let ddo = &version.ddo;
        if ddo.asset_type != AssetType::Algorithm {
            return Err(Problem::invalid(format!("{did} is no algorithm: its main.type is not \"algorithm\".")));
        }
        let Some(owner) = owner else {
            let text =
                format!("The algorithm {did} is not registered on chain, so nobody is known to have published it.");
            return Err(Problem::new(Code::AlgorithmNotAllowed, text));
        };
        let Some(container) = &ddo.container else {
            return Err(Problem::invalid(format!(
                "The document of {did} names no container (main.algorithm.container)."
            )));
        };
        let counts = version.discounted.is_none();
        let section = container_checksum(container).map_err(|error| {
            Problem::invalid(format!("The container section of {did} has no canonical form: {error}."))
        })?;
        let admission = judge(Candidate::Published { did, container: &section, counts })?;
        let (image, entrypoint): (Image, String) =
            ContainerRequest::from_json(container).check("/algorithm/did").map_err(|problem| {
                Problem::invalid_at(
                    "/algorithm/did",
                    format!("The document of {did} can't be used: {}", problem.detail()),
                )
            })?;
        let mut input = if counts && self.is_listed(owner) {
            let mut files = self.files(&did, ddo)?;
            files.truncate(1);
            let mut inputs = self.publisher_inputs(&did, files).await?;
            inputs.pop().ok_or_else(|| Problem::invalid(format!("The algorithm {did} has no file.")))?
        } else {
            // A stranger's: as if the consumer had sent it.
            let file = ddo.files.first().cloned().unwrap_or_default();
            let Some(url) = file.url else {
                return Err(Problem::new(
                    Code::AlgorithmNotAllowed,
                    format!(
                        "The algorithm {did} is sealed elsewhere: its owner {} is none of this gateway's publishers, or \
                         its document is not signed, and it states no url in clear.",
                        show_address(&owner)
                    ),
                ));
            };
            Input { source: self.guarded(&url, "/algorithm/did")?, sha256: file.sha256, max_bytes: Some(MAX_GUARDED) }
        };
        match (&admission.file, &input.sha256) {
            (Some(pin), Some(stated)) if pin != stated => {
                let text =
                    format!("A dataset's publisher trusts another version of {did}: its file has changed since.");
                return Err(Problem::new(Code::AlgorithmNotAllowed, text));
            }
            (Some(pin), _) => input.sha256 = Some(pin.clone()),
            (None, _) => {}
        }
        let algorithm = Algorithm {
            kind: AlgorithmKind::Did,
            did: Some(did.to_string()),
            sha256: input.sha256.clone(),
            image,
            entrypoint,
        };
        Ok((algorithm, input, admission))
    }
}

/// The SHA-256 of a container section's RFC 8785 form: what `containerSectionChecksum` pins.
pub(crate) fn container_checksum(container: &Json) -> Result<String, serde_json::Error> {
    Ok(hex::encode(Sha256::digest(container.canonical()?)))
}

fn twice(bought: &[Bought]) -> Result<(), Problem> {
    if bought.is_empty() {
        return Err(Problem::invalid_at("/agreements", "Name at least one agreement."));
    }
    let (mut dids, mut agreements) = (HashSet::new(), HashSet::new());
    for (n, dataset) in bought.iter().enumerate() {
        let pointer = format!("/agreements/{n}");
        if !agreements.insert(dataset.agreement) {
            return Err(Problem::invalid_at(pointer, format!("The agreement {} is named twice.", dataset.agreement)));
        }
        if !dids.insert(dataset.did) {
            let text = format!("Two agreements are about {}; each dataset of a job is named once.", dataset.did);
            return Err(Problem::invalid_at(pointer, text));
        }
    }
    Ok(())
}

fn raw(code: &str, container: &ContainerRequest) -> Result<(Algorithm, Input), Problem> {
    let (image, entrypoint) = container.check("/algorithm/container")?;
    if code.is_empty() {
        return Err(Problem::invalid_at("/algorithm/code", "The algorithm's code is empty."));
    }
    if code.len() > MAX_INLINE_BYTES {
        let text = format!(
            "The algorithm's code has {} bytes; at most {MAX_INLINE_BYTES} can be sent. Publish it, or send its URL.",
            code.len()
        );
        return Err(pointed(Problem::new(Code::TooLarge, text), "/algorithm/code"));
    }
    let sha256 = Some(hex::encode(Sha256::digest(code.as_bytes())));
    let algorithm = Algorithm { kind: AlgorithmKind::Raw, did: None, sha256, image, entrypoint };
    Ok((algorithm, Input { source: Source::Inline { code: code.to_owned() }, sha256: None, max_bytes: None }))
}

/// The digits of `sha256:<64 hex>`, in lower case.
fn sha256_of(text: &str) -> Option<String> {
    let digits = text.strip_prefix("sha256:")?;
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digits.to_ascii_lowercase())
}

/// Whether a service's endpoint lies at this gateway.
fn names(endpoint: &str, base: &Url) -> bool {
    let Ok(endpoint) = Url::parse(endpoint) else { return false };
    let path = base.path().trim_end_matches('/');
    endpoint.origin() == base.origin()
        && endpoint.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The same refusal, about this part of the request.
fn pointed(problem: Problem, pointer: &str) -> Problem {
    let detail = problem.detail().to_owned();
    problem.at(pointer, detail)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
