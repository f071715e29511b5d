use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};

/// Why there is no configuration, in one line that says where and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("there is no configuration {}; name it with --config or BRIZO_CONFIG (`brizo init DIR` makes one)", .0.display())]
    Missing(PathBuf),
    /// It can't be read.
    #[error("{0}")]
    Wrong(String),
}

impl ConfigError {
    pub(super) fn of(error: &figment::Error, file: Option<&Path>) -> Self {
        let key = error.path.join(".");
        let from_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
        let place = match file {
            _ if from_environment => format!("the environment (BRIZO_{})", key.to_uppercase().replace('.', "__")),
            Some(file) => file.display().to_string(),
            None => "the configuration".to_owned(),
        };
        let text = match &error.kind {
            Kind::UnknownField(name, known) => {
                let inside = if key == *name || key.ends_with(&format!(".{name}")) { key } else { join(&key, name) };
                format!("there is no key {inside}; {}", suggest(name, known))
            }
            Kind::UnknownVariant(value, known) => format!("{key} is {value:?}; {}", suggest(value, known)),
            Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
                format!("{key} is {}; {expected} would be right", shown(actual))
            }
            Kind::MissingField(name) => format!("the key {} is missing", join(&key, name)),
            kind if key.is_empty() => kind.to_string(),
            kind => format!("{key}: {kind}"),
        };
        Self::Wrong(format!("{place}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")))
    }
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Str(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        other => other.to_string(),
    }
}

/// The names that there are, the nearest first if one is near.
fn suggest(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(name, known), *known)).min();
    let all = known.join(", ");
    match nearest {
        Some((steps, near)) if steps <= 1 + name.len() / 4 => format!("did you mean {near}? There are: {all}"),
        _ => format!("there are: {all}"),
    }
}

/// How many letters must change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut corner = i;
        row[0] = left;
        for (j, y) in b.iter().enumerate() {
            let next = (corner + usize::from(x != *y)).min(left + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = next;
            left = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(suggest("memroy", &["cpu", "memory"]).starts_with("did you mean memory"));
        assert!(suggest("colour", &["cpu", "memory"]).starts_with("there are"));
    }
}
