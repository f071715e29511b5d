use super::*;
use crate::assets::ddo::{AssetType, Ddo, ServiceKind};
use crate::assets::seal::tests::keys;

pub(crate) fn terms() -> Terms {
    Terms {
        compute_template: B256::repeat_byte(0xc0),
        access_template: B256::repeat_byte(0xa0),
        escrow_reward: Address::repeat_byte(0xe0),
        lock_reward: Address::repeat_byte(0x10),
        compute: Address::repeat_byte(0xc1),
        access: Address::repeat_byte(0xa1),
    }
}

pub(crate) fn draft(kind: DraftKind, files: &[&str]) -> Draft {
    let files = files.iter().map(|url| DraftFile {
        url: (*url).to_owned(),
        name: Some("table.csv".into()),
        content_type: "text/csv".into(),
        content_length: Some(4),
        sha256: None,
    });
    Draft {
        kind,
        name: "A table".into(),
        description: String::new(),
        author: "Somebody".into(),
        license: "CC-BY".into(),
        price: U256::from(10),
        timeout_s: 86_400,
        files: files.collect(),
        created: "2026-01-05T10:00:00Z".parse().unwrap(),
        public_url: "http://127.0.0.1:8030".into(),
        terms: terms(),
    }
}

pub(crate) fn raw_allowed() -> PrivacyDraft {
    PrivacyDraft { allow_raw: true, ..PrivacyDraft::default() }
}

pub(crate) fn container() -> ContainerRequest {
    ContainerRequest { image: "python".into(), tag: "3.11".into(), checksum: None, entrypoint: "python3 $ALGO".into() }
}

fn fixture(name: &str) -> Json {
    let file = format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    Json::parse(&std::fs::read(file).unwrap()).unwrap()
}

/// The keys of objects and the kinds of values, without the values.
fn shape(json: &Json) -> Json {
    match json {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(fields)
        }
        Json::Array(items) => Json::Array(items.iter().map(shape).collect()),
        _ => Json::Null,
    }
}

#[test]
fn a_datasets_document_is_what_squid_py_reads() {
    let key = PrivateKeySigner::random();
    let (did, document) = draft(DraftKind::Dataset(raw_allowed()), &["file:///secret/table.csv"])
        .finish(&keys(1, &[]), &key, 31337)
        .unwrap();
    let text = document.pretty();
    assert!(!text.contains("/secret/"), "the place of the data is in the document");
    let ddo = Ddo::parse(text.as_bytes(), &did).unwrap();
    assert!(ddo.asset_type == AssetType::Dataset && ddo.compute_price() == Some(U256::from(10)));
    let problems: Vec<String> = vec![];
    assert_eq!(ddo.services[0].price.problems, problems);
    assert_eq!(ddo.services[0].endpoint, "http://127.0.0.1:8030/api/v1/brizo/services/compute");

    let services = document.get("service").unwrap().items();
    let template = services[1].at(&["attributes", "serviceAgreementTemplate"]).unwrap();
    let squid = fixture("sla-templates/compute.ocean-utils-0.3.5.json");
    assert_eq!(shape(template), shape(squid.get("serviceAgreementTemplate").unwrap()));
    let index = |service: &Json| service.get("index").cloned();
    assert_eq!(services.iter().map(index).collect::<Vec<_>>(), [Some(Json::from(0)), Some(Json::from(1))]);
    assert_eq!(proof::verify(&document, &did, 31337), Ok((key.address(), 1)));
}

#[test]
fn an_algorithms_document_sells_access() {
    let (did, document) = draft(DraftKind::Algorithm(container()), &["file:///algorithms/a.py"])
        .finish(&keys(1, &[]), &PrivateKeySigner::random(), 31337)
        .unwrap();
    let ddo = Ddo::parse(document.pretty().as_bytes(), &did).unwrap();
    assert_eq!(ddo.asset_type, AssetType::Algorithm);
    assert!(ddo.is_priced && ddo.service(ServiceKind::Compute).is_none());
    assert_eq!(ContainerRequest::from_json(&ddo.container.unwrap()), container());
    let template = document.get("service").unwrap().items()[1].at(&["attributes", "serviceAgreementTemplate"]).unwrap();
    let squid = fixture("sla-templates/access.ocean-utils-0.3.5.json");
    let with_timed_out = |json: &Json| {
        // squid-py's access template has no TimedOut event.
        let mut json = shape(json);
        for condition in items(json.get_mut("conditions")) {
            condition.set("events", Json::Null);
        }
        json
    };
    assert_eq!(with_timed_out(template), with_timed_out(squid.get("serviceAgreementTemplate").unwrap()));
}

#[test]
fn the_did_is_that_of_the_document_before_its_urls_went() {
    let name = "Añejo ― データ";
    let mut draft = draft(DraftKind::Dataset(raw_allowed()), &["https://example.org/añejo.csv"]);
    draft.name = name.into();
    draft.description = "e\u{301}a\u{303}".into();
    let (did, document) = draft.finish(&keys(1, &[]), &PrivateKeySigner::random(), 31337).unwrap();
    let read = Json::parse(document.pretty().as_bytes()).unwrap();
    assert_eq!(read, document, "it reads back as it was written");
    let services = read.get("service").unwrap().items();
    assert_eq!(services[0].at(&["attributes", "main", "name"]).unwrap().text(), Some(name));
    let description = services[0].at(&["attributes", "additionalInformation", "description"]).unwrap();
    assert_eq!(description.text(), Some("e\u{301}a\u{303}"), "combining marks stay as they are");
    assert_eq!(did::did(read.at(&["proof", "checksum"]).unwrap()), did);
    // With the URL put back where it stood, the checksum is that of the published metadata.
    let mut main = services[0].at(&["attributes", "main"]).unwrap().clone();
    main.set("files", Json::Array(vec![with_url(0, &draft.files[0])]));
    let stated = read.at(&["proof", "checksum", "0"]).unwrap().text().unwrap();
    assert_eq!(hex::encode(did::checksum(&main)), stated);
}

#[test]
fn a_change_of_price_reaches_every_place_that_states_it() {
    let key = PrivateKeySigner::random();
    let (did, mut document) =
        draft(DraftKind::Dataset(raw_allowed()), &["https://example.org/a"]).finish(&keys(1, &[]), &key, 1).unwrap();
    let price: U256 = "2700000000000000000000000001".parse().unwrap();
    let trusted = PrivacyDraft {
        trusted: vec![TrustDraft { did: Did([7; 32].into()), file: Some("ab".repeat(32)), container: None }],
        ..PrivacyDraft::default()
    };
    let new = Change {
        price: Some(price),
        timeout_s: Some(60),
        privacy: Some(trusted),
        main: vec![("name", "B".into())],
        ..Change::default()
    };
    change(&mut document, &new, "2026-02-01T00:00:00Z".parse().unwrap());
    sign(&mut document, &did, 2, 1, &key).unwrap();
    let text = document.pretty();
    assert_eq!(text.matches("\"2700000000000000000000000001\"").count(), 4, "{text}");
    let ddo = Ddo::parse(text.as_bytes(), &did).unwrap();
    assert_eq!((ddo.compute_price(), ddo.name.as_str()), (Some(price), "B"));
    assert_eq!(ddo.compute().unwrap().timeout_s, 60);
    assert!(!ddo.compute().unwrap().privacy.allows_raw());
    assert_eq!(ddo.stated_at, "2026-02-01T00:00:00Z".parse().ok());
    assert_eq!(proof::verify(&document, &did, 1), Ok((key.address(), 2)));
}

#[test]
fn sealing_again_keeps_the_places_and_the_publisher() {
    let key = PrivateKeySigner::random();
    let draft = draft(DraftKind::Dataset(raw_allowed()), &["https://example.org/a"]);
    let (did, mut document) = draft.finish(&keys(1, &[]), &key, 1).unwrap();
    let both = keys(2, &[1]);
    assert!(reseal(&mut document, &did, &both).unwrap());
    assert!(!reseal(&mut document, &did, &both).unwrap(), "once is enough");
    let text = Ddo::read(&document).unwrap().encrypted_files.unwrap();
    let sealed: Sealed = text.parse().unwrap();
    assert_eq!(sealed.publisher, key.address());
    let plain = keys(2, &[]).open(&did, &sealed).unwrap();
    assert!(String::from_utf8_lossy(&plain).contains("https://example.org/a"));
    assert!(matches!(reseal(&mut document, &did, &keys(3, &[])), Err(DocumentError::Seal(SealError::Closed))));
}
