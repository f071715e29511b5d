use std::path::Path;

use alloy_signer_local::PrivateKeySigner;
use bytes::Bytes;

use super::*;
use crate::assets::document::tests::{container, draft, raw_allowed};
use crate::assets::document::{DraftKind, PrivacyDraft, TrustDraft};
use crate::assets::seal::SealKeys;
use crate::assets::{Setup, config::*};

/// A gateway of one listed publisher, whose store, seal key and data are real folders.
struct Place {
    folder: tempfile::TempDir,
    publisher: PrivateKeySigner,
    assets: Assets,
}

impl Place {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let publisher = PrivateKeySigner::random();
        for sub in ["store", "data"] {
            std::fs::create_dir(folder.path().join(sub)).unwrap();
        }
        std::fs::write(folder.path().join("data/table.csv"), "a,b\n").unwrap();
        std::fs::write(folder.path().join("data/a.py"), "print(1)\n").unwrap();
        let key = folder.path().join("seal.key");
        write_key(&key);
        let mut setup = Setup {
            assets: AssetsConfig {
                seal_key_file: key,
                roots: vec![folder.path().join("data")],
                ..AssetsConfig::default()
            },
            metadata: MetadataConfig { url: Url::from_file_path(folder.path().join("store")).unwrap(), trusted: false },
            guard: GuardConfig::default(),
            provider: publisher.address(),
            endpoints: vec!["http://127.0.0.1:8030".parse().unwrap(), "http://localhost:8030".parse().unwrap()],
            chain_id: 31337,
        };
        change(&mut setup);
        let assets = Assets::open(setup).unwrap();
        Self { folder, publisher, assets }
    }

    fn table(&self) -> String {
        Url::from_file_path(self.folder.path().join("data/table.csv")).unwrap().to_string()
    }

    async fn put(&self, did: &Did, version: u64, document: &Json) {
        let own = self.assets.catalogue.own().unwrap();
        own.create(did, version, Bytes::from(document.pretty())).await.unwrap();
        self.assets.catalogue.forget(did).await;
    }

    /// Publishes as this key; the seal key is this gateway's.
    async fn publish_as(&self, key: &PrivateKeySigner, kind: DraftKind, url: &str) -> (Did, Json) {
        let (did, document) = draft(kind, &[url]).finish(&self.assets.seal, key, 31337).unwrap();
        self.put(&did, 1, &document).await;
        (did, document)
    }

    async fn dataset(&self, privacy: PrivacyDraft) -> Did {
        self.publish_as(&self.publisher.clone(), DraftKind::Dataset(privacy), &self.table()).await.0
    }

    fn bought(&self, did: Did) -> Bought {
        Bought { did, agreement: AgreementId(did.0), owner: self.publisher.address() }
    }

    async fn refusal(&self, bought: &[Bought], request: &AlgorithmRequest) -> Problem {
        self.assets.resolve(bought, request).await.expect_err("a job was made of it")
    }
}

fn write_key(file: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).unwrap();
    std::io::Write::write_all(&mut out, SealKeys::new_key_text().unwrap().as_bytes()).unwrap();
}

fn raw_code() -> AlgorithmRequest {
    AlgorithmRequest::Raw { code: "print(1)".into(), container: container() }
}

fn by_url(url: &str) -> AlgorithmRequest {
    AlgorithmRequest::Url { url: url.into(), checksum: None, container: container() }
}

fn pointer(problem: &Problem) -> &str {
    &problem.parts().last().unwrap().pointer
}

fn trusting(did: Did) -> PrivacyDraft {
    PrivacyDraft { trusted: vec![TrustDraft { did, file: None, container: None }], ..PrivacyDraft::default() }
}

#[tokio::test]
async fn a_bought_dataset_and_raw_code_make_a_job() {
    let place = Place::new();
    let did = place.dataset(raw_allowed()).await;
    let job = place.assets.resolve(&[place.bought(did)], &raw_code()).await.unwrap();
    assert_eq!((job.datasets.len(), job.datasets[0].files, job.network), (1, 1, false));
    let root = place.folder.path().join("data").canonicalize().unwrap();
    let Source::File { root: found, path } = &job.secrets.inputs[0][0].source else { panic!() };
    assert_eq!((Path::new(found), path.as_str()), (root.as_path(), "table.csv"));
    assert!(job.secrets.algorithm.unwrap().source == Source::Inline { code: "print(1)".into() });
    let sha256 = hex::encode(Sha256::digest(b"print(1)"));
    assert_eq!((job.algorithm.sha256, job.algorithm.kind), (Some(sha256), AlgorithmKind::Raw));
    assert_eq!(job.needs_permission, None);
    place.assets.check_sale(&did, place.publisher.address()).await.unwrap();
}

#[tokio::test]
async fn a_victims_ciphertext_in_ones_own_document_opens_nothing() {
    let place = Place::new();
    let victim = place.dataset(PrivacyDraft::default()).await;
    let stolen = Ddo::parse(&place.assets.document(&victim).await.unwrap(), &victim).unwrap().encrypted_files.unwrap();
    // The thief even is a listed publisher, and writes into the same store.
    let (did, mut document) = draft(DraftKind::Dataset(raw_allowed()), &["https://example.org/mine"])
        .finish(&place.assets.seal, &place.publisher, 31337)
        .unwrap();
    let Some(Json::Array(services)) = document.get_mut("service") else { panic!() };
    services[0].get_mut("attributes").unwrap().set("encryptedFiles", stolen.into());
    place.put(&did, 1, &document).await;
    let problem = place.refusal(&[place.bought(did)], &raw_code()).await;
    assert_eq!(problem.code(), Code::NotAuthorized);
    assert!(problem.detail().contains("sealed under another key, for another asset"), "{problem}");
    assert!(place.assets.check_sale(&did, place.publisher.address()).await.is_err(), "nor would it be granted");
}

#[tokio::test]
async fn a_strangers_ciphertext_opens_nothing() {
    let place = Place::new();
    let elsewhere = Place::new();
    let (did, document) = draft(DraftKind::Dataset(raw_allowed()), &["http://169.254.169.254/"])
        .finish(&elsewhere.assets.seal, &place.publisher, 31337)
        .unwrap();
    place.put(&did, 1, &document).await;
    let problem = place.refusal(&[place.bought(did)], &raw_code()).await;
    assert_eq!((problem.code(), pointer(&problem)), (Code::NotAuthorized, "/agreements/0"));

    let stranger = PrivateKeySigner::random();
    let (did, _) = place.publish_as(&stranger, DraftKind::Dataset(raw_allowed()), &place.table()).await;
    let problem = place.refusal(&[place.bought(did)], &raw_code()).await;
    assert!(problem.detail().contains("none of this gateway's publishers"), "{problem}");
}

#[tokio::test]
async fn an_asset_of_an_unlisted_publisher_is_not_sold() {
    let place = Place::new();
    let did = place.dataset(raw_allowed()).await;
    let stranger = Address::repeat_byte(0x55);
    let problem = place.refusal(&[Bought { owner: stranger, ..place.bought(did) }], &raw_code()).await;
    assert_eq!((problem.code(), problem.status()), (Code::NotAuthorized, 401));
    assert!(problem.detail().contains("assets.publishers"), "{problem}");
    assert!(place.assets.check_sale(&did, stranger).await.is_err());
    assert!(place.assets.seal_for(&did, stranger, r#"[{"url": "http://a/"}]"#).is_err());
}

#[tokio::test]
async fn what_is_unknown_or_no_compute_service_here_is_told() {
    let place = Place::new();
    let none = Did([9; 32].into());
    let problem = place.refusal(&[place.bought(none)], &raw_code()).await;
    assert_eq!((problem.code(), pointer(&problem)), (Code::NotFound, "/agreements/0"));
    let (algorithm, _) =
        place.publish_as(&place.publisher.clone(), DraftKind::Algorithm(container()), &place.table()).await;
    let problem = place.refusal(&[place.bought(algorithm)], &raw_code()).await;
    assert!(problem.status() == 400 && problem.detail().contains("no compute service"), "{problem}");
    let mut elsewhere = draft(DraftKind::Dataset(raw_allowed()), &[&place.table()]);
    for url in ["http://127.0.0.1:8031", "https://127.0.0.1:8030", "http://127.0.0.1.example.org:8030", "x"] {
        elsewhere.public_url = url.into();
        elsewhere.name = url.into();
        let (did, document) = elsewhere.finish(&place.assets.seal, &place.publisher, 31337).unwrap();
        place.put(&did, 1, &document).await;
        let problem = place.refusal(&[place.bought(did)], &raw_code()).await;
        assert!(problem.detail().contains("not this gateway"), "{problem}");
    }
    elsewhere.public_url = "http://localhost:8030".into();
    elsewhere.name = "here".into();
    let (did, document) = elsewhere.finish(&place.assets.seal, &place.publisher, 31337).unwrap();
    place.put(&did, 1, &document).await;
    assert!(place.assets.resolve(&[place.bought(did)], &raw_code()).await.is_ok(), "an alias names it too");
}

#[tokio::test]
async fn a_dataset_named_twice_and_bad_raw_code_are_refused() {
    let place = Place::new();
    let did = place.dataset(raw_allowed()).await;
    let bought = place.bought(did);
    let other = Bought { agreement: AgreementId([1; 32].into()), ..bought };
    for twice in [[bought, bought], [bought, other]] {
        let problem = place.refusal(&twice, &raw_code()).await;
        assert_eq!((problem.status(), pointer(&problem)), (400, "/agreements/1"));
    }
    assert_eq!(place.refusal(&[], &raw_code()).await.status(), 400);
    let code = |code: String| AlgorithmRequest::Raw { code, container: container() };
    let most = "x".repeat(MAX_INLINE_BYTES);
    assert!(place.assets.resolve(&[bought], &code(most.clone())).await.is_ok());
    let problem = place.refusal(&[bought], &code(most + "x")).await;
    assert_eq!((problem.status(), pointer(&problem)), (413, "/algorithm/code"));
    assert_eq!(place.refusal(&[bought], &code(String::new())).await.status(), 400);
}

#[tokio::test]
async fn what_a_consumer_names_is_guarded() {
    let allowed = "127.0.0.1:9000".parse().unwrap();
    let place = Place::with(|setup| setup.guard.allow = vec![allowed]);
    let bought = place.bought(place.dataset(raw_allowed()).await);
    for url in
        ["http://169.254.169.254/", "http://2130706433/", "http://[::ffff:127.0.0.1]/", "file:///etc/passwd", "x"]
    {
        let problem = place.refusal(&[bought], &by_url(url)).await;
        assert_eq!((problem.status(), pointer(&problem)), (400, "/algorithm/url"), "{url}");
    }
    let url = "http://127.0.0.1:9000/a.py";
    let checksum = Some(format!("sha256:{}", "AB".repeat(32)));
    let request = AlgorithmRequest::Url { url: url.into(), checksum, container: container() };
    let input = place.assets.resolve(&[bought], &request).await.unwrap().secrets.algorithm.unwrap();
    assert!(input.source == Source::GuardedUrl { url: url.into(), allow: vec![allowed] });
    assert_eq!((input.sha256, input.max_bytes), (Some("ab".repeat(32)), Some(MAX_GUARDED)));
    let nonsense = AlgorithmRequest::Url { url: url.into(), checksum: Some("abc".into()), container: container() };
    assert_eq!(pointer(&place.refusal(&[bought], &nonsense).await), "/algorithm/checksum");
}

#[tokio::test]
async fn only_what_the_publishers_trust_runs() {
    let place = Place::new();
    let url = Url::from_file_path(place.folder.path().join("data/a.py")).unwrap().to_string();
    let key = place.publisher.clone();
    let (algorithm, _) = place.publish_as(&key, DraftKind::Algorithm(container()), &url).await;
    let owner = Some(key.address());
    let request = AlgorithmRequest::Did { did: algorithm, owner };

    let closed = place.bought(place.dataset(trusting(algorithm)).await);
    let problem = place.refusal(&[closed], &raw_code()).await;
    assert_eq!((problem.code(), pointer(&problem)), (Code::AlgorithmNotAllowed, "/agreements/0"));
    assert_eq!(place.refusal(&[closed], &by_url("https://example.org/a")).await.code(), Code::AlgorithmNotAllowed);
    let job = place.assets.resolve(&[closed], &request).await.unwrap();
    assert_eq!(job.needs_permission, Some(algorithm), "it costs 10");
    assert!(matches!(job.secrets.algorithm.unwrap().source, Source::File { .. }));
    assert_eq!((job.algorithm.kind, job.algorithm.did), (AlgorithmKind::Did, Some(algorithm.to_string())));

    let other = place.bought(place.dataset(trusting(Did([3; 32].into()))).await);
    let problem = place.refusal(&[closed, other], &request).await;
    assert_eq!(pointer(&problem), "/agreements/1");
    let unregistered = AlgorithmRequest::Did { did: algorithm, owner: None };
    assert_eq!(place.refusal(&[closed], &unregistered).await.code(), Code::AlgorithmNotAllowed);
    let dataset = AlgorithmRequest::Did { did: closed.did, owner };
    let problem = place.refusal(&[closed], &dataset).await;
    assert_eq!((problem.status(), pointer(&problem)), (400, "/algorithm/did"));
}

#[tokio::test]
async fn a_strangers_algorithm_is_as_if_the_consumer_had_sent_it() {
    let place = Place::new();
    let stranger = PrivateKeySigner::random();
    let kind = || DraftKind::Algorithm(container());
    let (sealed, document) = place.publish_as(&stranger, kind(), "https://example.org/a.py").await;
    let open = place.bought(place.dataset(raw_allowed()).await);
    let request = |did| AlgorithmRequest::Did { did, owner: Some(stranger.address()) };
    let problem = place.refusal(&[open], &request(sealed)).await;
    assert!(problem.detail().contains("sealed elsewhere"), "{problem}");

    let in_clear = |url: &str| {
        let mut document = document.clone();
        let Some(Json::Array(services)) = document.get_mut("service") else { panic!() };
        let attributes = services[0].get_mut("attributes").unwrap();
        attributes.remove("encryptedFiles");
        let file = Json::object([("url", url.into())]);
        attributes.get_mut("main").unwrap().set("files", Json::Array(vec![file]));
        document
    };
    place.put(&sealed, 2, &in_clear("https://example.org/a.py")).await;
    let job = place.assets.resolve(&[open], &request(sealed)).await.unwrap();
    assert!(matches!(job.secrets.algorithm.unwrap().source, Source::GuardedUrl { .. }));
    for (version, url) in [(3, "http://169.254.169.254/"), (4, "file:///etc/passwd")] {
        place.put(&sealed, version, &in_clear(url)).await;
        assert_eq!(place.refusal(&[open], &request(sealed)).await.status(), 400, "{url}");
    }
}

#[tokio::test]
async fn a_file_outside_of_the_roots_is_never_read() {
    let place = Place::new();
    for url in ["file:///etc/passwd", "file:///no/such/file"] {
        let (did, _) = place.publish_as(&place.publisher.clone(), DraftKind::Dataset(raw_allowed()), url).await;
        let problem = place.refusal(&[place.bought(did)], &raw_code()).await;
        assert_eq!(problem.code(), Code::Internal);
        assert!(!problem.detail().contains("passwd"), "the consumer is told no path: {problem}");
    }
}

#[tokio::test]
async fn a_nonsense_checksum_of_a_published_container_is_refused() {
    let place = Place::new();
    let bad = ContainerRequest { checksum: Some("abc".into()), ..container() };
    let (did, _) = place.publish_as(&place.publisher.clone(), DraftKind::Algorithm(bad), &place.table()).await;
    let open = place.bought(place.dataset(raw_allowed()).await);
    let request = AlgorithmRequest::Did { did, owner: Some(place.publisher.address()) };
    let problem = place.refusal(&[open], &request).await;
    assert!(problem.status() == 400 && problem.detail().contains("sha256:"), "{problem}");
}

#[tokio::test]
async fn former_versions_are_offered_and_the_current_one_first() {
    let place = Place::new();
    let key = place.publisher.clone();
    let (did, mut document) = place.publish_as(&key, DraftKind::Dataset(raw_allowed()), &place.table()).await;
    let change =
        crate::assets::document::Change { price: Some(alloy_primitives::U256::from(12)), ..Default::default() };
    crate::assets::document::change(&mut document, &change, "2026-02-01T00:00:00Z".parse().unwrap());
    place.put(&did, 2, &document).await;
    let offers = place.assets.offers(&did).await.unwrap();
    let facts: Vec<_> = offers.iter().map(|offer| (offer.version, offer.price.to::<u64>())).collect();
    assert_eq!(facts, [(2, 12), (1, 10)]);
    let later = "2026-02-01T00:00:00Z".parse().ok();
    assert_eq!((offers[0].published_at, offers[0].superseded_at), (later, None));
    assert_eq!((offers[1].published_at, offers[1].superseded_at), ("2026-01-05T10:00:00Z".parse().ok(), later));
}

#[tokio::test]
async fn another_gateways_publishing_is_seen_within_a_second() {
    let place = Place::new();
    let did = place.dataset(raw_allowed()).await;
    let bytes = place.assets.document(&did).await.unwrap();
    // Another process writes the file; nobody tells this one.
    let file = place.folder.path().join("store").join(did.digits()).join("2.json");
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("A table", "Another");
    std::fs::write(file, &text).unwrap();
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(1);
    while place.assets.document(&did).await.unwrap() != text {
        assert!(tokio::time::Instant::now() < end, "the new version was not seen");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn check_tells_what_is_wrong_with_each_document() {
    let place = Place::new();
    place.dataset(raw_allowed()).await;
    assert_eq!(place.assets.faults().await.unwrap(), Vec::<String>::new());
    let (did, mut document) = draft(DraftKind::Dataset(raw_allowed()), &["https://example.org/b"])
        .finish(&crate::assets::seal::tests::keys(9, &[]), &place.publisher, 31337)
        .unwrap();
    let Some(Json::Array(services)) = document.get_mut("service") else { panic!() };
    let main = services[1].get_mut("attributes").unwrap().get_mut("main").unwrap();
    main.set("price", Json::Number("2.7e27".into()));
    place.put(&did, 1, &document).await;
    let faults = place.assets.faults().await.unwrap();
    assert!(faults.len() == 2 && faults[0].contains("2.7e27") && faults[1].contains("another key"), "{faults:?}");
}
