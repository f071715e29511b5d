//! JSON as it was written: keys in their order, numbers as their digits.
//!
//! A DDO's DID is a hash over Python's rendering of it, in which nested keys keep their order; its price may be a bare
//! number that no float and no 64 bits hold. Neither survives an ordinary JSON value.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

/// How deep arrays and objects may nest.
const DEPTH: usize = 64;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number, its digits as they were written.
    Number(String),
    /// A text.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, its keys in their order, each once.
    Object(Vec<(String, Json)>),
}

/// Why a text is no JSON that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No JSON.
    #[error("not JSON (line {line}, column {column})")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// One key stands twice in one object: two readers would see two documents.
    #[error("an object names {0:?} twice")]
    Twice(String),
    /// Nested too deeply.
    #[error("nested more than {DEPTH} deep")]
    Deep,
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl Json {
    /// Reads a document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_slice(bytes).map_err(|error| syntax(&error))?;
        Self::from_raw(raw, DEPTH)
    }

    fn from_raw(raw: &RawValue, depth: usize) -> Result<Self, JsonError> {
        let text = raw.get().trim();
        let left = depth.checked_sub(1).ok_or(JsonError::Deep)?;
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Fields(fields) = read(text)?;
                let mut object: Vec<(String, Self)> = Vec::with_capacity(fields.len());
                let mut seen = std::collections::HashSet::with_capacity(fields.len());
                for (key, value) in fields {
                    if !seen.insert(key.clone()) {
                        return Err(JsonError::Twice(key.chars().take(80).collect()));
                    }
                    object.push((key, Self::from_raw(value, left)?));
                }
                Self::Object(object)
            }
            Some(b'[') => {
                let values: Vec<&RawValue> = read(text)?;
                Self::Array(values.into_iter().map(|value| Self::from_raw(value, left)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(read(text)?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The value of a key, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at the end of a row of keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The text, if this is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The elements, none if this is no array.
    pub(crate) fn items(&self) -> &[Self] {
        if let Self::Array(items) = self { items } else { &[] }
    }

    /// Sets a key of an object, in its place if it is there, else at the end.
    pub(crate) fn set(&mut self, key: &str, value: Self) {
        if let Self::Object(fields) = self {
            match fields.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => *old = value,
                None => fields.push((key.to_owned(), value)),
            }
        }
    }

    /// The value of a key of an object, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Object(fields) => fields.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Removes a key of an object.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Self::Object(fields) = self {
            fields.retain(|(name, _)| name != key);
        }
    }

    /// An object of these fields.
    pub(crate) fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The document as it is stored and served.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write_pretty(&mut out, 0);
        out.push('\n');
        out
    }

    fn write_pretty(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Self::Array(items) if !items.is_empty() => {
                for (n, item) in items.iter().enumerate() {
                    out.push(if n == 0 { '[' } else { ',' });
                    line(out, depth + 1);
                    item.write_pretty(out, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Self::Object(fields) if !fields.is_empty() => {
                for (n, (key, value)) in fields.iter().enumerate() {
                    out.push(if n == 0 { '{' } else { ',' });
                    line(out, depth + 1);
                    out.push_str(&quoted(key));
                    out.push_str(": ");
                    value.write_pretty(out, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
            Self::Array(_) => out.push_str("[]"),
            Self::Object(_) => out.push_str("{}"),
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => out.push_str(&quoted(text)),
        }
    }

    /// RFC 8785, the form that is hashed and signed. Fails where a number is not exactly one of I-JSON's (a double): two
    /// documents would have one form. Such a number can be quoted.
    pub(crate) fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_jcs::to_vec(self)
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(|error| syntax(&error))
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column() }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// The largest whole number below which doubles hold each one.
const EXACT: u64 = 1 << 53;

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut out = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    out.serialize_element(item)?;
                }
                out.end()
            }
            Self::Object(fields) => {
                let mut out = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    out.serialize_entry(key, value)?;
                }
                out.end()
            }
            Self::Number(digits) => {
                let whole = digits.strip_prefix('-').unwrap_or(digits);
                let is_whole = whole.bytes().all(|byte| byte.is_ascii_digit());
                if is_whole && whole.parse::<u64>().map_or(true, |value| value > EXACT) {
                    return Err(S::Error::custom(format_args!("the number {digits} is too large; put it in quotes")));
                }
                let value: f64 = digits.parse().map_err(S::Error::custom)?;
                serializer.serialize_f64(value)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_raw(&raw, DEPTH).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_numbers_their_digits() {
        let text = br#"{"z": 2700000000000000000000000001, "a": [1.50, -0, 1e5], "m": {"b": null, "a": "\u00e9"}}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.get("z"), Some(&Json::Number("2700000000000000000000000001".into())));
        assert_eq!(json.at(&["m", "a"]).unwrap().text(), Some("é"));
        let digits: Vec<_> = json.get("a").unwrap().items().to_vec();
        assert_eq!(digits, ["1.50", "-0", "1e5"].map(|digits| Json::Number(digits.into())));
        assert_eq!(Json::parse(json.pretty().as_bytes()).unwrap(), json);
    }

    #[test]
    fn what_two_readers_would_read_differently_is_no_document() {
        assert_eq!(Json::parse(br#"{"a": 1, "a": 2}"#), Err(JsonError::Twice("a".into())));
        assert_eq!(Json::parse(br#"{"a": 1, "\u0061": 2}"#), Err(JsonError::Twice("a".into())));
        assert!(matches!(Json::parse(b"{\"a\": 1} x"), Err(JsonError::Syntax { .. })));
        assert!(matches!(Json::parse(b""), Err(JsonError::Syntax { .. })));
        assert!(Json::parse("[".repeat(100).as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(80), "]".repeat(80));
        assert_eq!(Json::parse(deep.as_bytes()), Err(JsonError::Deep));
    }

    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        // The RFC's own examples, 3.2.2 and 3.2.3.
        let text = r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
        let canonical = String::from_utf8(Json::parse(text.as_bytes()).unwrap().canonical().unwrap()).unwrap();
        assert_eq!(
            canonical,
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let keys = r#"{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}"#;
        let canonical = String::from_utf8(Json::parse(keys.as_bytes()).unwrap().canonical().unwrap()).unwrap();
        assert_eq!(canonical, "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}");
    }

    #[test]
    fn numbers_that_share_a_double_can_not_be_signed() {
        for number in ["9007199254740993", "2700000000000000000000000001", "-9007199254740993"] {
            let error = Json::Number(number.into()).canonical().unwrap_err().to_string();
            assert!(error.contains("quotes"), "{error}");
        }
        assert_eq!(Json::Number("9007199254740992".into()).canonical().unwrap(), b"9007199254740992");
    }
}
