//! The DID of a document, as squid-py makes it (OCEAN.md 5.4's rule): SHA3-256 over Python's rendering, of which only the
//! keys at the top are sorted, all that is not ASCII is escaped, and each space goes, those inside of texts too.

use std::fmt::Write as _;

use alloy_primitives::B256;
use sha3::{Digest as _, Sha3_256};

use super::json::Json;
use crate::types::Did;

/// The checksum of a service's `attributes.main`, or of any object.
pub(crate) fn checksum(object: &Json) -> B256 {
    let mut out = String::new();
    if let Json::Object(fields) = object {
        let mut sorted: Vec<_> = fields.clone();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        python(&Json::Object(sorted), &mut out);
    } else {
        python(object, &mut out);
    }
    out.retain(|c| c != ' ');
    B256::from_slice(&Sha3_256::digest(out.as_bytes()))
}

/// `proof.checksum` of a document: the checksum of each service's `attributes.main` under its index.
pub(crate) fn checksums(document: &Json) -> Json {
    let services = document.get("service").map(Json::items).unwrap_or_default();
    let fields = services.iter().filter_map(|service| {
        let index = match service.get("index")? {
            Json::Number(text) | Json::Text(text) => text.clone(),
            _ => return None,
        };
        Some((index, hex::encode(checksum(service.at(&["attributes", "main"])?)).into()))
    });
    Json::Object(fields.collect())
}

/// The DID that belongs to a document's checksums. They are taken before the URLs of its files are removed.
pub(crate) fn did(checksums: &Json) -> Did {
    Did(checksum(checksums))
}

/// `json.dumps` with its defaults, without the spaces that are removed anyway.
fn python(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(digits) => out.push_str(&python_number(digits)),
        Json::Text(text) => python_text(text, out),
        Json::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                python(item, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (n, (key, value)) in fields.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                python_text(key, out);
                out.push(':');
                python(value, out);
            }
            out.push('}');
        }
    }
}

fn python_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Whole numbers keep their digits; a float is written as Python's `repr`: the shortest digits that read back, with an
/// exponent below 1e-4 and from 1e16 on.
fn python_number(digits: &str) -> String {
    if !digits.contains(['.', 'e', 'E']) {
        return if digits == "-0" { "0".to_owned() } else { digits.to_owned() };
    }
    let Ok(value) = digits.parse::<f64>() else { return digits.to_owned() };
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{value:?}");
    }
    let shortest = format!("{value:e}");
    match shortest.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |positive| ('-', positive));
            format!("{mantissa}e{sign}{exponent:0>2}")
        }
        None => shortest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Json {
        let file = format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        Json::parse(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn dids_are_those_that_squid_py_makes() {
        let vectors = fixture("did-checksum-vectors.json");
        for name in ["ddo_sa_sample", "ddo_with_compute_service", "ddo_sample_algorithm"] {
            let made = checksums(&fixture(&format!("brizo/{name}.json")));
            assert_eq!(Some(&made), vectors.at(&[name, "checksums"]), "{name}");
            let expected = vectors.at(&[name, "did"]).unwrap().text().unwrap();
            assert_eq!(did(&made).to_string(), expected, "{name}");
        }
        let trivial = vectors.get("trivial").unwrap();
        let made = did(trivial.get("seed").unwrap());
        assert_eq!(Some(made.to_string().as_str()), trivial.get("did").unwrap().text());
    }

    #[test]
    fn python_renders_it_so() {
        let text = r#"{"b": "Añejo ― データ", "a": ["e\u0301\u007f\u001f\"/\\", "😀", 1.0, 1e5, 1e16, 2.7e27, 1.5e-7, 0.0001, -0.0, 12345678901234567890123]}"#;
        let mut out = String::new();
        python(&Json::parse(text.as_bytes()).unwrap(), &mut out);
        assert_eq!(
            out,
            "{\"b\":\"A\\u00f1ejo \\u2015 \\u30c7\\u30fc\\u30bf\",\"a\":[\"e\\u0301\\u007f\\u001f\\\"/\\\\\",\
             \"\\ud83d\\ude00\",1.0,100000.0,1e+16,2.7e+27,1.5e-07,0.0001,-0.0,12345678901234567890123]}"
        );
    }
}
