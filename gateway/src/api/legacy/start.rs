//! The start: the old parameters become the new API's body, and from there on it is the new API's start.

use std::sync::Arc;

use brizo_backend::JobId;
use poem::Response;
use serde_json::{Map, Value, json};

use super::params::Params;
use super::status::{self, Links};
use super::verbs::array;
use crate::api::State;
use crate::api::wire::Start;
use crate::identity::personal;
use crate::problem::{Code, Problem};
use crate::types::{Address, parse_address};

/// What the first Brizo answered where there was nothing to run.
const NO_ALGORITHM: &str = "Need an `algorithmMeta` or `algorithmDid` to run, otherwise don't bother.";

/// Shorter code than this was none to the first Brizo's configure, if there was a URL.
const SHORTEST_CODE: usize = 10;

/// Who signed a call. The text is `consumerAddress` and `parts`, each exactly as it was sent.
pub(super) fn consumer(state: &State, params: &Params, parts: &[&str]) -> Result<Address, Problem> {
    let signature = params.required("signature")?;
    let text = params.required("consumerAddress")?;
    let consumer = parse_address(text).map_err(|error| Problem::invalid_at("consumerAddress", format!("{error}.")))?;
    let message = [&[text], parts].concat().concat();
    personal::verify(consumer, &message, signature, brizo_backend::now())
        .map_err(|error| Problem::new(Code::Unauthenticated, error.0))?;
    state.setup.rates.consumer(consumer)?;
    Ok(consumer)
}

/// POST. There is no key that would make a retry safe: each start is a job of its own.
pub(super) async fn start(state: &Arc<State>, params: &Params) -> Result<Response, Problem> {
    for name in ["signature", "serviceAgreementId", "consumerAddress"] {
        params.required(name)?;
    }
    params.present("output")?;
    let agreement = params.required("serviceAgreementId")?;
    let algorithm = algorithm(params)?;
    let raw = algorithm["type"] != "did";
    let consumer = consumer(state, params, &[agreement])?;
    check_output(params)?;
    let body = json!({"agreements": [agreement], "algorithm": algorithm}).to_string();
    let start = Start::parse(body.as_bytes())?;
    let job = state
        .start(consumer, start.request, JobId::random(), start.digest)
        .await
        .map_err(|problem| if raw { in_old_words(problem) } else { problem })?;
    Ok(array(vec![status::object(&job, &Links::default())]))
}

/// What the consumer wants to become of the outputs. They stay here, and are downloaded by links.
fn check_output(params: &Params) -> Result<(), Problem> {
    let output = params.object("output")?.unwrap_or_default();
    for name in ["publishOutput", "publishAlgorithmLog"] {
        if output.get(name).is_some_and(is_true) {
            return Err(Problem::new(
                Code::NotSupported,
                format!(
                    "`{name}`: this gateway does not publish outputs as assets; leave it out, and download them by the \
                     links in resultsUrls."
                ),
            ));
        }
    }
    Ok(())
}

/// squid-js sends booleans, squid-py numbers, and either may come as a text.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.to_ascii_lowercase().as_str(), "" | "0" | "false"),
        _ => false,
    }
}

/// The new API's `algorithm`.
fn algorithm(params: &Params) -> Result<Value, Problem> {
    if let Some(did) = params.text("algorithmDid").or_else(|| params.text("algorithmDID")) {
        return Ok(json!({"type": "did", "did": did}));
    }
    let meta = params.object("algorithmMeta")?.filter(|meta| !meta.is_empty());
    let meta = meta.ok_or_else(|| Problem::invalid(NO_ALGORITHM))?;
    let text = |name: &str| meta.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let container = container(&meta)?;
    match (text("rawcode"), text("url")) {
        (Some(code), url) if code.len() > SHORTEST_CODE || url.is_none() => {
            Ok(json!({"type": "raw", "code": code, "container": container}))
        }
        (_, Some(url)) => Ok(json!({"type": "url", "url": url, "container": container})),
        _ => Err(Problem::invalid("`algorithmMeta` must have a `rawcode` or a `url`.")),
    }
}

/// The new API's `container`; of the old one's, what is nothing to anybody is left out.
fn container(meta: &Map<String, Value>) -> Result<Value, Problem> {
    let wrong = || Problem::invalid("`algorithmMeta` must have a `container` with `entrypoint`, `image` and `tag`.");
    let given = meta.get("container").and_then(Value::as_object).ok_or_else(wrong)?;
    let mut container = Map::new();
    for name in ["entrypoint", "image", "tag"] {
        container.insert(name.to_owned(), given.get(name).ok_or_else(wrong)?.clone());
    }
    if let Some(checksum) = given.get("checksum").filter(|sum| !sum.is_null() && *sum != "") {
        container.insert("checksum".to_owned(), checksum.clone());
    }
    Ok(Value::Object(container))
}

/// With the words before it that tell an old client's user that he may not bring code of his own.
fn in_old_words(problem: Problem) -> Problem {
    if problem.code() != Code::AlgorithmNotAllowed {
        return problem;
    }
    let text = format!("cannot run raw algorithm on this did: {}", problem.detail());
    Problem::new(Code::AlgorithmNotAllowed, text).because(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &Value) -> Params {
        Params::of_body(body.to_string().as_bytes()).unwrap()
    }

    const CONTAINER: &str = r#"{"entrypoint":"node $ALGO","image":"node","tag":"10"}"#;

    fn meta(rawcode: &str, url: &str) -> Params {
        let container: Value = serde_json::from_str(CONTAINER).unwrap();
        params(&json!({"algorithmMeta": {"rawcode": rawcode, "url": url, "container": container, "language": "js"}}))
    }

    #[test]
    fn a_did_wins_in_either_spelling() {
        for name in ["algorithmDid", "algorithmDID"] {
            let params = params(&json!({name: "did:op:00", "algorithmMeta": {"rawcode": "x"}}));
            assert_eq!(algorithm(&params).unwrap(), json!({"type": "did", "did": "did:op:00"}));
        }
    }

    #[test]
    fn code_of_one_line_is_code_unless_there_is_a_url() {
        let kind = |rawcode, url| algorithm(&meta(rawcode, url)).unwrap()["type"].clone();
        assert_eq!(kind("print(1)", ""), "raw");
        assert_eq!(kind("print(1)", "https://e.org/a"), "url");
        assert_eq!(kind("print('hello')", "https://e.org/a"), "raw");
        assert_eq!(kind("", "https://e.org/a"), "url");
        assert!(algorithm(&meta("", "")).unwrap_err().detail().contains("rawcode"));
    }

    #[test]
    fn without_an_algorithm_nobody_bothers() {
        for nothing in [json!({"a": 1}), json!({"algorithmMeta": {}}), json!({"algorithmDid": "", "algorithmMeta": ""})]
        {
            assert_eq!(algorithm(&params(&nothing)).unwrap_err().detail(), NO_ALGORITHM, "{nothing}");
        }
        let error = algorithm(&params(&json!({"algorithmMeta": {"rawcode": "x", "container": {}}}))).unwrap_err();
        assert!(error.detail().contains("entrypoint"));
    }

    #[test]
    fn to_publish_outputs_is_refused_and_not_forgotten() {
        for output in [json!({"publishOutput": true}), json!({"publishOutput": 1}), json!({"publishAlgorithmLog": "1"})]
        {
            for output in [output.clone(), json!(output.to_string())] {
                assert_eq!(check_output(&params(&json!({"output": output}))).unwrap_err().status(), 501);
            }
        }
        for output in [json!({}), json!("{}"), json!(""), json!({"publishOutput": 0, "publishAlgorithmLog": false})] {
            assert!(check_output(&params(&json!({"output": output}))).is_ok(), "{output}");
        }
        assert_eq!(check_output(&params(&json!({"output": "{"}))).unwrap_err().status(), 400);
    }
}
