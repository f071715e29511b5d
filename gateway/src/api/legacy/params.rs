//! The parameters of the old API. Values that are objects may come as JSON or as a text that holds JSON (squid-js puts
//! everything into the query).

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Parameters by name. Empty texts count as absent, as the old clients mean them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Params(Map<String, Value>);

/// What the first Brizo answered where a call had nothing in it.
const EMPTY: &str = "payload seems empty.";

impl Params {
    /// Of a query string. Lenient: `{` may stand raw, what is no UTF-8 is replaced, the first of a name counts.
    pub(super) fn of_query(query: &str) -> Self {
        let mut map = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
            map.entry(decode(name)).or_insert_with(|| Value::String(decode(value)));
        }
        Self(map)
    }

    /// Of a body; the error is for the client.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, String> {
        if body.is_empty() {
            return Err(EMPTY.to_owned());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) if map.is_empty() => Err(EMPTY.to_owned()),
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => {
                Err("The body is JSON, but not an object; send the parameters as one, or in the query string."
                    .to_owned())
            }
            Err(error) => Err(format!(
                "The body is not JSON ({error}); send the parameters as a JSON object, or in the query string."
            )),
        }
    }

    /// A text, as it was sent: signatures are over that very text. Absent if empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there; the refusal is the first Brizo's.
    pub(super) fn required(&self, name: &str) -> Result<&str, Problem> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// That a key is there, with whatever value.
    pub(super) fn present(&self, name: &str) -> Result<(), Problem> {
        if self.0.contains_key(name) { Ok(()) } else { Err(missing(name)) }
    }

    /// An object, as JSON or as a text that holds JSON.
    pub(super) fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, Problem> {
        let wrong = || Problem::invalid(format!("`{name}` must be a JSON object, or a text that holds one."));
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map.clone())),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(Value::Object(map)) => Ok(Some(map)),
                Ok(Value::Null) => Ok(None),
                _ => Err(wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }
}

fn missing(name: &str) -> Problem {
    Problem::invalid(format!("\"{name}\" is required in the call to compute"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_browsers_and_fetch_send_it() {
        let params = Params::of_query("signature=0x1&output={\"a\":{}}&jobId=&a=b%20c+d&a=e&flag");
        assert_eq!(params.text("signature"), Some("0x1"));
        assert_eq!(params.text("jobId"), None, "an empty parameter is none");
        assert_eq!(params.text("a"), Some("b c d"));
        assert!(params.object("output").unwrap().unwrap().contains_key("a"));
        assert!(params.present("flag").is_ok());
    }

    #[test]
    fn objects_in_a_body_may_be_texts() {
        let params = Params::of_body(br#"{"algorithmMeta":"{\"rawcode\":\"x\"}","output":{},"n":1}"#).unwrap();
        assert_eq!(params.object("algorithmMeta").unwrap().unwrap()["rawcode"], "x");
        assert_eq!(params.object("output").unwrap(), Some(Map::new()));
        assert!(params.object("n").unwrap_err().detail().contains("JSON object"));
    }

    #[test]
    fn what_is_missing_is_told_in_the_old_words() {
        let params = Params::of_body(br#"{"a":1}"#).unwrap();
        let text = "\"signature\" is required in the call to compute";
        assert_eq!(params.required("signature").unwrap_err().detail(), text);
        assert_eq!(Params::of_body(b"{}").unwrap_err(), EMPTY);
        assert_eq!(Params::of_body(b"").unwrap_err(), EMPTY);
        assert!(Params::of_body(b"[1]").unwrap_err().contains("not an object"));
        assert!(Params::of_body(b"{").unwrap_err().contains("not JSON"));
    }
}
