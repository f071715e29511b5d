use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// An algorithm of the suite's: steps, one after the other. [`to_sh`](Self::to_sh) is the script that real backends run;
/// [`of_sh`](Self::of_sh) gets the steps back out of it, for a backend that plays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program(pub Vec<Step>);

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// 1
    Stdout,
    /// 2
    Stderr,
}

/// What an algorithm does next. Paths are below `/data/outputs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Writes these bytes to its log.
    Print(Output, Vec<u8>),
    /// Writes a byte so many times to its log.
    Repeat(Output, u8, u32),
    /// Prints the numbers from 1, one a line, with so many milliseconds after each.
    Count {
        /// The last number.
        to: u32,
        /// Milliseconds.
        pause_ms: u32,
    },
    /// Makes up a random word, prints it as a line, and appends that line to the output `token`: each execution leaves
    /// its own.
    Token,
    /// Writes a file, with the folders above it.
    Write(String, Vec<u8>),
    /// Writes a file of so many zeros, or fewer if it can't.
    Fill(String, u64),
    /// Makes a folder.
    Folder(String),
    /// Makes a symbolic link to a target.
    Symlink(String, String),
    /// Gives a file, the second path, another name, the first.
    HardLink(String, String),
    /// Makes a FIFO.
    Fifo(String),
    /// Copies `/data/inputs` to `inputs`, then tries to write into each input, to remove it, and to make a file beside
    /// it, and prints `wrote <path>` for each try that works.
    Inputs,
    /// Writes the six variables of the contract to `environment`, as lines of `NAME=value`.
    Environment,
    /// Prints `found <path>` for each file and environment it can read that holds the two words joined.
    Search(String, String),
    /// Takes so much memory and holds it for half a minute.
    Allocate(u64),
    /// Starts a process with this tag that ignores SIGTERM and SIGHUP, keeps the log open, and goes on when its parent
    /// ends.
    Child(String),
    /// Waits so many milliseconds, in a process with this tag.
    Sleep(String, u32),
    /// Waits without end, in a process with this tag.
    Hold(String),
    /// From here on SIGTERM is ignored.
    IgnoreTerm,
    /// Prints `ready`, waits without end, and on SIGTERM writes this file and exits with 0.
    SaveOnTerm(String, Vec<u8>),
    /// Sends itself a signal.
    Kill(i32),
    /// Ends with this code.
    Exit(i32),
}

const MARK: &str = "# program: ";

impl Program {
    /// The script: for any POSIX shell with coreutils or busybox.
    pub fn to_sh(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let mut script = format!("#!/bin/sh\n{MARK}{json}\n");
        for step in &self.0 {
            step.to_sh(&mut script);
        }
        script
    }

    /// The program that this script came from.
    pub fn of_sh(script: &str) -> Option<Self> {
        let line = script.lines().nth(1)?;
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}

impl Step {
    fn to_sh(&self, script: &mut String) {
        let line = match self {
            Self::Print(output, bytes) => format!("{} {}", printf(bytes), redirect(*output)),
            Self::Repeat(output, byte, count) => {
                format!("head -c {count} /dev/zero | tr '\\000' '\\{byte:03o}' {}", redirect(*output))
            }
            Self::Count { to, pause_ms } => {
                let pause = seconds(*pause_ms);
                format!("n=1; while [ $n -le {to} ]; do echo $n; n=$((n+1)); sleep {pause}; done")
            }
            Self::Token => "t=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \\n'); echo \"token $t\"; \
                            echo \"token $t\" >> /data/outputs/token"
                .to_owned(),
            Self::Write(path, bytes) => format!("{} {} > {}", above(path), printf(bytes), quoted(path)),
            Self::Fill(path, bytes) => format!("{} head -c {bytes} /dev/zero > {}", above(path), quoted(path)),
            Self::Folder(path) => format!("mkdir -p {}", quoted(path)),
            Self::Symlink(path, target) => format!("{} ln -s '{target}' {}", above(path), quoted(path)),
            Self::HardLink(path, of) => format!("ln {} {}", quoted(of), quoted(path)),
            Self::Fifo(path) => format!("mkfifo {}", quoted(path)),
            Self::Inputs => INPUTS.to_owned(),
            Self::Environment => ENVIRONMENT.to_owned(),
            Self::Search(one, two) => SEARCH.replace("ONE", one).replace("TWO", two),
            Self::Allocate(bytes) => format!("{{ head -c {bytes} /dev/zero; sleep 30; }} | tail > /dev/null"),
            Self::Child(tag) => {
                format!(
                    "$(command -v setsid) sh -c 'trap \"\" TERM HUP; echo up > \"/data/outputs/.$0\"; \
                     while :; do sleep 1; done' {tag} &\n\
                     while [ ! -e /data/outputs/.{tag} ]; do sleep 0.02; done; rm /data/outputs/.{tag}"
                )
            }
            Self::Sleep(tag, millis) => format!("sh -c 'sleep {}; :' {tag}", seconds(*millis)),
            Self::Hold(tag) => format!("sh -c 'while :; do sleep 1; done' {tag}"),
            Self::IgnoreTerm => "trap '' TERM".to_owned(),
            Self::SaveOnTerm(path, bytes) => format!(
                "saved() {{ {} > {}; exit 0; }}; trap saved TERM; echo ready; while :; do sleep 1 & wait $!; done",
                printf(bytes),
                quoted(path)
            ),
            Self::Kill(signal) => format!("kill -{signal} $$; sleep 10"),
            Self::Exit(code) => format!("exit {code}"),
        };
        let _ = writeln!(script, "{line}");
    }
}

const INPUTS: &str = r#"cd /data/inputs && for d in *; do for f in "$d"/*; do
  mkdir -p "/data/outputs/inputs/$d"; cp "$f" "/data/outputs/inputs/$f"; chmod u+w "/data/outputs/inputs/$f"
done; done; cd /
for f in /data/inputs/*/*; do
  if ( printf x >> "$f" ) 2>/dev/null; then echo "wrote $f"; fi
  if ( printf x > "${f%/*}/new" ) 2>/dev/null; then echo "wrote ${f%/*}/new"; fi
  if rm -f "$f" 2>/dev/null; then echo "wrote $f"; fi
done"#;

const ENVIRONMENT: &str = r#"for n in DIDS TRANSFORMATION_DID VOLUME LOGS INPUTS OUTPUTS; do
  eval "printf '%s=%s\n' \"$n\" \"\${$n-unset}\""
done > /data/outputs/environment"#;

/// The words are joined only in the shell, so that the script itself is not found.
const SEARCH: &str = r#"w='ONE'; w="$w"'TWO'
for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/mountinfo /etc/* /run/* /run/*/* /tmp/* /data/* \
  /data/*/* /data/*/*/*; do
  [ -f "$f" ] || continue
  case "$(tr '\000' ' ' < "$f" 2>/dev/null)" in *"$w"*) echo "found $f";; esac
done"#;

fn seconds(millis: u32) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn redirect(output: Output) -> &'static str {
    match output {
        Output::Stdout => "",
        Output::Stderr => ">&2",
    }
}

fn quoted(path: &str) -> String {
    format!("'/data/outputs/{}'", path.replace('\'', "'\\''"))
}

fn above(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("mkdir -p {};", quoted(folder)))
}

fn printf(bytes: &[u8]) -> String {
    let mut text = String::from("printf '");
    for byte in bytes {
        let _ = write!(text, "\\{byte:03o}");
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_comes_back_from_its_script() {
        let program = Program(vec![Step::Token, Step::Print(Output::Stderr, b"'\n\0".to_vec()), Step::Exit(3)]);
        assert_eq!(Program::of_sh(&program.to_sh()), Some(program));
        assert_eq!(Program::of_sh("#!/bin/sh\nexit 0\n"), None);
    }
}
