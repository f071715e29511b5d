//! The algorithm's environment and command line: what published algorithms rely on (OEP-12, and the pods of 2020).

use std::collections::BTreeMap;

use crate::layout::{ALGORITHM, HOME, INPUTS, LOGS, OUTPUTS, TMP, VOLUME};

/// The name that the algorithm's uid has inside.
pub const USER: &str = "brizo";

/// What of a job the algorithm may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The datasets' folders below [`INPUTS`].
    pub datasets: Vec<String>,
    /// The algorithm's asset, if it is one.
    pub algorithm_did: Option<String>,
    /// Thousandths of a core that it may use.
    pub cpu_millis: u64,
    /// Where programs are looked for.
    pub path: String,
}

/// Its environment, whole: nothing of the gateway's, nothing of the host's. `image` holds what the image itself sets,
/// and wins over what is only a default here.
pub fn environment(known: &Known, image: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let threads = known.cpu_millis.div_ceil(1000).max(1).to_string();
    let defaults = [
        ("USER", USER.to_owned()),
        ("LOGNAME", USER.to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("OMP_NUM_THREADS", threads.clone()),
        ("OPENBLAS_NUM_THREADS", threads.clone()),
        ("MKL_NUM_THREADS", threads),
        ("PATH", known.path.clone()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    let did = known.algorithm_did.as_deref().unwrap_or_default();
    let given = [
        ("DIDS", serde_json::json!(known.datasets).to_string()),
        ("TRANSFORMATION_DID", did.strip_prefix("did:op:").unwrap_or(did).to_owned()),
        ("VOLUME", VOLUME.to_owned()),
        ("LOGS", LOGS.to_owned()),
        ("INPUTS", INPUTS.to_owned()),
        ("OUTPUTS", OUTPUTS.to_owned()),
        ("HOME", HOME.to_owned()),
        ("TMPDIR", TMP.to_owned()),
    ];
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    let mut all: BTreeMap<String, String> = defaults.into_iter().map(named).collect();
    all.extend(image.iter().map(|(name, value)| (name.clone(), value.clone())));
    all.extend(given.into_iter().map(named));
    all
}

/// Why an entrypoint can't be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntrypointError {
    /// Nothing to run.
    #[error("the entrypoint is empty; `$ALGO` runs the algorithm itself, `python3 $ALGO` an interpreter with it")]
    Empty,
    /// There is no shell, and it can't be split into words.
    #[error("the image has no /bin/sh, and the entrypoint's quotes do not match")]
    Quotes,
}

/// The argument vector of an entrypoint: `sh -c` of it with `$ALGO` replaced by the algorithm's path (by `exec`, where it is
/// one plain program), or its words where the image has no /bin/sh.
pub fn command(entrypoint: &str, has_shell: bool) -> Result<Vec<String>, EntrypointError> {
    let line = entrypoint.replace("$ALGO", ALGORITHM);
    if line.trim().is_empty() {
        return Err(EntrypointError::Empty);
    }
    if has_shell {
        let line = if is_plain(&line) { format!("exec {line}") } else { line };
        return Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), line]);
    }
    match shell_words::split(&line) {
        Ok(words) if words.is_empty() => Err(EntrypointError::Empty),
        Ok(words) => Ok(words),
        Err(_) => Err(EntrypointError::Quotes),
    }
}

/// What a shell does itself, and could not execute.
#[rustfmt::skip]
const SHELL_WORDS: &[&str] = &[
    "!", ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "declare", "do", "done", "elif", "else",
    "esac", "eval", "exec", "exit", "export", "fg", "fi", "for", "function", "getopts", "hash", "if", "jobs", "local",
    "read", "readonly", "return", "set", "shift", "source", "then", "time", "times", "trap", "type", "ulimit", "umask",
    "unalias", "unset", "until", "wait", "while",
];

/// Whether a line is one program with plain arguments, so that the shell can become it: then the algorithm gets the
/// signals, and a signal that ends it is seen as one, not as the shell's exit code of 128 and more.
fn is_plain(line: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _./:@%+,=-$'\"".contains(c);
    let first = line.split_whitespace().next().unwrap_or_default();
    let program = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c);
    line.chars().all(plain) && first.chars().all(program) && !SHELL_WORDS.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_of_the_contract_and_what_libraries_need() {
        let known = Known {
            datasets: vec!["ab".to_owned(), "cd".to_owned()],
            algorithm_did: Some("did:op:ef".to_owned()),
            cpu_millis: 1500,
            path: "/usr/bin:/bin".to_owned(),
        };
        let image =
            BTreeMap::from([("OMP_NUM_THREADS".to_owned(), "7".to_owned()), ("OUTPUTS".to_owned(), "/etc".to_owned())]);
        let environment = environment(&known, &image);
        assert_eq!(environment["DIDS"], r#"["ab","cd"]"#);
        assert_eq!(environment["TRANSFORMATION_DID"], "ef");
        assert_eq!(environment["OUTPUTS"], "/data/outputs", "the contract is not the image's to change");
        assert_eq!(environment["OPENBLAS_NUM_THREADS"], "2", "as many threads as granted cores");
        assert_eq!(environment["OMP_NUM_THREADS"], "7", "the image's own setting wins");
    }

    #[test]
    fn an_entrypoint_is_a_shell_line_where_there_is_a_shell() {
        let line = |entrypoint| command(entrypoint, true).unwrap().pop().unwrap();
        assert_eq!(command("node $ALGO", true).unwrap()[..2], ["/bin/sh", "-c"]);
        assert_eq!(line("node $ALGO"), "exec node /data/transformations/algorithm", "signals are the algorithm's");
        assert_eq!(line("python3 -u \"$ALGO\""), "exec python3 -u \"/data/transformations/algorithm\"");
        for compound in ["cd /tmp && node x", "A=1 node x", "exit 3", "a | b", "a; b", "(a)", "a > b", "if a", "[ a ]"]
        {
            assert_eq!(line(compound), compound, "only a shell can do that");
        }
        assert_eq!(command("run '$ALGO' \"a b\"", false).unwrap(), ["run", ALGORITHM, "a b"]);
        assert_eq!(command(" ", true), Err(EntrypointError::Empty));
        assert_eq!(command("a 'b", false), Err(EntrypointError::Quotes));
    }
}
