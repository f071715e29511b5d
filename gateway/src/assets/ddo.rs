//! A DDO as far as the gateway acts on it, read leniently: documents of squid-py, squid-js and Aquarius differ, and what
//! is missing is found where it is needed.

use alloy_primitives::U256;
use jiff::Timestamp;

use super::json::{Json, JsonError};
use super::price::{Amount, Price};
use super::privacy::Privacy;
use crate::types::Did;

/// The largest document, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 1 << 20;
/// How long an agreement is good for where the document does not say, in seconds. As the first Brizo.
const TIMEOUT: u64 = 86_400;

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DdoError {
    /// No JSON.
    #[error("the document is {0}")]
    Json(#[from] JsonError),
    /// No DID of its own.
    #[error("the document's id is no DID")]
    Id,
    /// Of another asset.
    #[error("the document is that of {0}")]
    Other(Did),
    /// Too large.
    #[error("the document is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
}

/// What kind of asset a document describes: `main.type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetType {
    /// `dataset`.
    Dataset,
    /// `algorithm`.
    Algorithm,
    /// Another word, or none.
    Other(String),
}

/// What a service gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// Running an algorithm beside the data.
    Compute,
    /// Downloading it.
    Access,
}

impl ServiceKind {
    /// Its `type` in a document.
    const fn word(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Access => "access",
        }
    }
}

/// A service that is sold.
#[derive(Debug, Clone)]
pub struct Service {
    /// What it gives.
    pub kind: ServiceKind,
    /// `serviceEndpoint`.
    pub endpoint: String,
    /// What it costs.
    pub price: Price,
    /// How long an agreement is good for, in seconds from its making; 0 for ever.
    pub timeout_s: u64,
    /// Which algorithms may run; for a compute service.
    pub privacy: Privacy,
}

/// One entry of `main.files`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Where it is; published documents leave it out.
    pub(crate) url: Option<String>,
    /// Its SHA-256 in lower-case hex, if the entry states one (`checksumType` is SHA-256).
    pub(crate) sha256: Option<String>,
}

/// A document, read.
#[derive(Debug, Clone)]
pub struct Ddo {
    /// Its `id`.
    pub did: Did,
    /// `main.type`.
    pub asset_type: AssetType,
    /// `main.name`.
    pub name: String,
    /// What it sells, at most one of each kind counts: the first.
    pub services: Vec<Service>,
    /// `updated`, else `created`.
    pub stated_at: Option<Timestamp>,
    /// Whether any price in it is anything but 0.
    pub is_priced: bool,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) encrypted_files: Option<String>,
    pub(crate) container: Option<Json>,
    problems: Vec<String>,
}

impl Ddo {
    /// Reads the document of this DID.
    pub fn parse(bytes: &[u8], did: &Did) -> Result<Self, DdoError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(DdoError::TooLarge);
        }
        let ddo = Self::read(&Json::parse(bytes)?)?;
        if ddo.did == *did { Ok(ddo) } else { Err(DdoError::Other(ddo.did)) }
    }

    pub(crate) fn read(json: &Json) -> Result<Self, DdoError> {
        let did = json.get("id").and_then(Json::text).and_then(|text| text.parse().ok()).ok_or(DdoError::Id)?;
        let services = json.get("service").map(Json::items).unwrap_or_default();
        let of_type = |word: &str| {
            let word = word.to_owned();
            services.iter().filter(move |service| {
                service.get("type").and_then(Json::text).is_some_and(|text| text.eq_ignore_ascii_case(&word))
            })
        };
        let metadata = of_type("metadata").next();
        let main = metadata.and_then(|metadata| metadata.at(&["attributes", "main"])).unwrap_or(&Json::Null);
        let text = |key| main.get(key).and_then(Json::text).unwrap_or_default().to_owned();
        let time = |key| json.get(key).and_then(Json::text).and_then(|text| text.parse::<Timestamp>().ok());
        let mut amounts: Vec<Amount> =
            services.iter().flat_map(|service| <[Amount; 2]>::from(amounts(service))).collect();
        amounts.push(Amount::read(main.get("price")));
        let mut problems = Vec::new();
        let mut sold = |kind: ServiceKind| {
            let word = kind.word();
            let service = of_type(word).next().map(|service| read_service(kind, service, &mut problems));
            if of_type(word).nth(1).is_some() {
                problems.push(format!("there are several {word} services, of which only the first counts"));
            }
            service
        };
        let services = [sold(ServiceKind::Compute), sold(ServiceKind::Access)];
        Ok(Self {
            did,
            asset_type: match text("type").as_str() {
                "dataset" => AssetType::Dataset,
                "algorithm" => AssetType::Algorithm,
                other => AssetType::Other(other.to_owned()),
            },
            name: text("name"),
            services: services.into_iter().flatten().collect(),
            stated_at: time("updated").or_else(|| time("created")),
            is_priced: amounts.iter().any(Amount::is_priced),
            files: main.get("files").map(Json::items).unwrap_or_default().iter().map(read_file).collect(),
            encrypted_files: metadata
                .and_then(|metadata| metadata.at(&["attributes", "encryptedFiles"]))
                .and_then(Json::text)
                .map(ToOwned::to_owned),
            container: main.at(&["algorithm", "container"]).cloned(),
            problems,
        })
    }

    /// The service of this kind.
    pub fn service(&self, kind: ServiceKind) -> Option<&Service> {
        self.services.iter().find(|service| service.kind == kind)
    }

    /// What is wrong with it, in words: what `brizo publish` and `brizo check` refuse.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The compute service.
    pub fn compute(&self) -> Option<&Service> {
        self.service(ServiceKind::Compute)
    }

    /// What the compute service costs, in the token's smallest unit, where it states a price that counts.
    pub fn compute_price(&self) -> Option<U256> {
        self.compute()?.price.value
    }
}

/// The two fields that state a service's price. Older documents keep the template beside `attributes`.
fn amounts(service: &Json) -> (Amount, Amount) {
    let template = service
        .at(&["attributes", "serviceAgreementTemplate"])
        .or_else(|| service.get("serviceAgreementTemplate"))
        .unwrap_or(&Json::Null);
    let first = template
        .get("conditions")
        .map(Json::items)
        .unwrap_or_default()
        .iter()
        .flat_map(|condition| condition.get("parameters").map(Json::items).unwrap_or_default())
        .find(|parameter| parameter.get("name").and_then(Json::text) == Some("_amount"))
        .and_then(|parameter| parameter.get("value"));
    (Amount::read(first), Amount::read(service.at(&["attributes", "main", "price"])))
}

fn read_service(kind: ServiceKind, service: &Json, problems: &mut Vec<String>) -> Service {
    let (first, main) = amounts(service);
    let price = Price::of(&first, &main);
    problems.extend(price.problems.iter().map(|why| format!("the price of the {} service: {why}", kind.word())));
    let timeout_s = match service.at(&["attributes", "main", "timeout"]) {
        None | Some(Json::Null) => TIMEOUT,
        Some(Json::Number(digits) | Json::Text(digits)) if digits.parse::<u64>().is_ok() => {
            digits.parse().unwrap_or(TIMEOUT)
        }
        Some(_) => {
            problems.push(format!(
                "the timeout of the {} service is no whole number of seconds; {TIMEOUT} counts",
                kind.word()
            ));
            TIMEOUT
        }
    };
    Service {
        kind,
        endpoint: service.get("serviceEndpoint").and_then(Json::text).unwrap_or_default().to_owned(),
        price,
        timeout_s,
        privacy: Privacy::read(service.at(&["attributes", "main", "privacy"])),
    }
}

pub(crate) fn read_file(entry: &Json) -> FileEntry {
    let text = |key| entry.get(key).and_then(Json::text);
    let is_sha256 =
        text("checksumType").is_some_and(|kind| matches!(kind.to_ascii_lowercase().as_str(), "sha256" | "sha-256"));
    let digits = text("checksum").map(|digits| digits.strip_prefix("0x").unwrap_or(digits).to_ascii_lowercase());
    FileEntry {
        url: text("url").filter(|url| !url.is_empty()).map(ToOwned::to_owned),
        sha256: digits
            .filter(|digits| is_sha256 && digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Ddo {
        let file = format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        Ddo::read(&Json::parse(&std::fs::read(file).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn documents_of_the_era_are_read() {
        let compute = fixture("brizo/ddo_with_compute_service.json");
        assert_eq!(compute.asset_type, AssetType::Dataset);
        assert_eq!(compute.compute_price(), Some(U256::from(10)));
        assert_eq!(compute.service(ServiceKind::Compute).unwrap().timeout_s, 86_400);
        assert_eq!(compute.files.len(), 1);
        assert!(compute.stated_at.is_some() && compute.problems().is_empty());

        let access = fixture("brizo/ddo_sa_sample.json");
        assert!(access.service(ServiceKind::Compute).is_none());
        assert_eq!(access.service(ServiceKind::Access).unwrap().timeout_s, 36_000);
        assert!(access.encrypted_files.as_deref().is_some_and(|text| text.starts_with("0x2e48")));

        for name in ["brizo/ddo_sample_algorithm.json", "oeps/oep8-v0.4-ddo-example-algorithm.json"] {
            let algorithm = fixture(name);
            assert_eq!(algorithm.asset_type, AssetType::Algorithm, "{name}");
            assert_eq!(algorithm.container.unwrap().get("image").unwrap().text(), Some("node"));
            assert!(algorithm.is_priced, "its metadata says 1");
        }
        let oep12 = fixture("oeps/oep12-ddo.computing.json");
        assert_eq!(oep12.compute_price(), Some(U256::from(10)));
        assert_eq!(oep12.asset_type, AssetType::Other(String::new()));
        for name in ["oeps/oep7-v0.2-ddo-example.json", "oeps/oep8-v0.4-ddo-example-access.json"] {
            fixture(name);
        }
    }

    #[test]
    fn what_clients_would_read_differently_is_told() {
        let file = format!("{}/../tests/fixtures/brizo/ddo_with_compute_service.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let read = |text: &str| Ddo::read(&Json::parse(text.as_bytes()).unwrap()).unwrap();
        let soon = read(&text.replacen("\"timeout\": 86400", "\"timeout\": \"soon\"", 1));
        assert!(soon.problems()[0].contains("timeout") && soon.compute().unwrap().timeout_s == 86_400);
        let ever = read(&text.replacen("\"timeout\": 86400", "\"timeout\": \"0\"", 1));
        assert!(ever.problems().is_empty() && ever.compute().unwrap().timeout_s == 0);
        let twice = read(&text.replacen("\"type\": \"metadata\"", "\"type\": \"compute\"", 1));
        assert!(twice.problems().iter().any(|why| why.contains("several compute")), "{:?}", twice.problems());
    }

    #[test]
    fn a_document_of_another_asset_is_not_taken() {
        let file = format!("{}/../tests/fixtures/brizo/ddo_sa_sample.json", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(file).unwrap();
        assert!(matches!(Ddo::parse(&bytes, &Did([1; 32].into())), Err(DdoError::Other(_))));
        assert!(matches!(Ddo::parse(&vec![b' '; MAX_DOCUMENT + 1], &Did([1; 32].into())), Err(DdoError::TooLarge)));
        assert!(matches!(Ddo::parse(b"{}", &Did([1; 32].into())), Err(DdoError::Id)));
    }
}
