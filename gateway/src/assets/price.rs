//! What a service costs. Two fields of a document say it, and clients differ in which they read: squid-py the first
//! `_amount` of the conditions, squid-js `attributes.main.price`.

use alloy_primitives::U256;

use super::json::Json;

/// The price of a service, or why it has none that can be counted on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// The higher of the candidates: the only one that counts. In the token's smallest unit.
    pub value: Option<U256>,
    /// What is wrong with it, in words. `brizo publish` and `brizo check` refuse such a document.
    pub problems: Vec<String>,
}

/// A field of a document that should hold a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Absent, null or an empty text: no candidate.
    None,
    /// A whole number of digits, quoted or not.
    Whole(U256),
    /// Anything else: no candidate, and never 0. Its text, shortened.
    Wrong(String),
}

impl Amount {
    /// Reads a field. Never through a float.
    pub(crate) fn read(field: Option<&Json>) -> Self {
        let text = match field {
            None | Some(Json::Null) => return Self::None,
            Some(Json::Text(text)) if text.is_empty() => return Self::None,
            Some(Json::Text(text) | Json::Number(text)) => text,
            Some(_) => return Self::Wrong("no number".to_owned()),
        };
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(value) = U256::from_str_radix(text, 10)
        {
            return Self::Whole(value);
        }
        Self::Wrong(text.chars().take(80).collect())
    }

    /// Whether it asks for money: anything that is there and is not 0.
    pub(crate) fn is_priced(&self) -> bool {
        match self {
            Self::None => false,
            Self::Whole(value) => !value.is_zero(),
            Self::Wrong(_) => true,
        }
    }
}

impl Price {
    /// Puts the two fields together. Where they differ only the higher counts.
    pub(crate) fn of(amount: &Amount, main: &Amount) -> Self {
        let mut price = Self::default();
        for (field, amount) in [("the first _amount", amount), ("attributes.main.price", main)] {
            match amount {
                Amount::None => {}
                Amount::Whole(value) => {
                    if let Some(other) = price.value.filter(|other| other != value) {
                        price.problems.push(format!(
                            "the first _amount is {other} and attributes.main.price is {value}; they must be equal"
                        ));
                    }
                    price.value = price.value.max(Some(*value));
                }
                Amount::Wrong(text) => price.problems.push(format!(
                    "{field} is {text:?}; a price is a whole number in the token's smallest unit, written as digits \
                     without sign, point or exponent, such as \"2700000000000000000000000001\""
                )),
            }
        }
        if price.value.is_none() && price.problems.is_empty() {
            price.problems.push("there is neither an _amount nor an attributes.main.price".to_owned());
        }
        price
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(json: &str) -> Amount {
        Amount::read(Some(&Json::parse(json.as_bytes()).unwrap()))
    }

    fn price(first: &str, main: &str) -> Price {
        Price::of(&amount(first), &amount(main))
    }

    #[test]
    fn whole_digits_count_quoted_or_not_and_no_digit_is_lost() {
        let large: U256 = "2700000000000000000000000001".parse().unwrap();
        for text in
            ["2700000000000000000000000001", "\"2700000000000000000000000001\"", "\"02700000000000000000000000001\""]
        {
            assert_eq!(price(text, text), Price { value: Some(large), problems: vec![] }, "{text}");
        }
        assert_eq!(price("10", "\"10\"").value, Some(U256::from(10)));
        assert_eq!(price("0", "0"), Price { value: Some(U256::ZERO), problems: vec![] });
        let most = format!("\"{}\"", U256::MAX);
        assert_eq!(price(&most, "null").value, Some(U256::MAX));
    }

    #[test]
    fn what_is_no_whole_number_is_no_price_and_never_0() {
        let over = format!("\"{}0\"", U256::MAX);
        for text in [
            "2.7e27",
            "\"2.7e27\"",
            "1e3",
            "10.0",
            "\"10.0\"",
            "-1",
            "\"-1\"",
            "\"+1\"",
            "\"0x10\"",
            "\" 1\"",
            "\"1_0\"",
            "true",
            "[]",
            "{}",
            &over,
        ] {
            let read = price(text, "\"\"");
            assert_eq!(read.value, None, "{text}");
            assert_eq!(read.problems.len(), 1, "{text}");
            assert!(amount(text).is_priced(), "{text}");
        }
        let refused = price("2.7e27", "null").problems.join("");
        assert!(refused.contains("2.7e27") && refused.contains("exponent"), "{refused}");
    }

    #[test]
    fn the_higher_of_two_counts_and_the_difference_is_told() {
        for (first, main) in [("10", "1"), ("\"1\"", "\"10\"")] {
            let price = price(first, main);
            assert_eq!(price.value, Some(U256::from(10)));
            assert!(price.problems[0].contains("must be equal"));
        }
        assert_eq!(price("\"\"", "10"), Price { value: Some(U256::from(10)), problems: vec![] });
        assert_eq!(price("null", "\"\"").value, None);
        assert!(!price("null", "\"\"").problems.is_empty());
        let half = price("1e3", "10");
        assert_eq!((half.value, half.problems.len()), (Some(U256::from(10)), 1));
    }
}
