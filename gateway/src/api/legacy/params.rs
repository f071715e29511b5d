//! The parameters of the old API: from the query string if there is one, else from a JSON body. Values that are objects
//! may come as JSON or as a text that holds JSON (squid-js puts everything into the query).

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Parameters by name. Empty texts count as absent, as the old clients mean them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Params(Map<String, Value>);

/// What the old gateway answered where a call had nothing in it.
pub(super) const EMPTY: &str = "payload seems empty.";

impl Params {
    /// The parameters of a request. A query string, however small, hides the body.
    pub(super) fn read(query: Option<&str>, body: &[u8]) -> Result<Self, String> {
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            return Ok(Self(pairs(query)));
        }
        if body.is_empty() {
            return Err(EMPTY.to_owned());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) if map.is_empty() => Err(EMPTY.to_owned()),
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err("The body is JSON, but no object; send the parameters as an object or in the query string.".to_owned()),
            Err(error) => Err(format!("The body is no JSON ({error}); send the parameters as a JSON object or in the query string.")),
        }
    }

    /// A text, as it was sent: signatures are over that very text. Absent if empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there; the error is the old gateway's.
    pub(super) fn required(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// Whether the key is there at all, with whatever value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// An object, as JSON or as a text that holds JSON. `Err` if it is there and is no object.
    pub(super) fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, String> {
        let wrong = || format!("`{name}` must be a JSON object, or a text that holds one");
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

/// The text of a missing parameter of the compute calls.
pub(super) fn missing(name: &str) -> String {
    format!("\"{name}\" is required in the call to compute")
}

/// Reads a query string. Lenient: `{` and `"` may stand raw, what is no UTF-8 is replaced, the first of a name counts.
fn pairs(query: &str) -> Map<String, Value> {
    let mut map = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        map.entry(decode(name)).or_insert_with(|| Value::String(decode(value)));
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_hides_the_body_and_raw_braces_are_read() {
        let params = Params::read(Some("signature=0x1&output={}&jobId=&a=b%20c+d"), br#"{"jobId":"x"}"#).unwrap();
        assert_eq!(params.text("signature"), Some("0x1"));
        assert_eq!(params.text("jobId"), None, "an empty parameter is none");
        assert_eq!(params.text("a"), Some("b c d"));
        assert_eq!(params.object("output").unwrap(), Some(Map::new()));
    }

    #[test]
    fn a_body_counts_where_there_is_no_query() {
        let params = Params::read(None, br#"{"algorithmMeta":"{\"rawcode\":\"x\"}","output":{}}"#).unwrap();
        assert_eq!(params.object("algorithmMeta").unwrap().unwrap()["rawcode"], "x");
        assert!(params.has("output"));
        assert_eq!(params.required("signature").unwrap_err(), "\"signature\" is required in the call to compute");
        assert_eq!(Params::read(None, b"{}").unwrap_err(), EMPTY);
        assert_eq!(Params::read(None, b"").unwrap_err(), EMPTY);
        assert!(Params::read(None, b"[1]").unwrap_err().contains("no object"));
        assert!(Params::read(None, b"{").unwrap_err().contains("no JSON"));
    }
}
