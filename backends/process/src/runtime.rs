use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brizo_backend::{Error, ErrorKind, Image};
use serde::{Deserialize, Serialize};

use crate::config::RuntimeConfig;

/// Where the runtime's names are links, inside.
pub(crate) const BIN: &str = "/run/brizo/bin";

/// What one algorithm runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// Its program.
    pub(crate) command: PathBuf,
    /// The folders that are seen inside.
    pub(crate) roots: Vec<PathBuf>,
    /// The names by which an entrypoint may call it.
    pub(crate) names: Vec<String>,
}

impl Runtime {
    /// The runtime of an image, which is named without its tag; the tag is only shown.
    pub(crate) fn of(
        runtimes: &BTreeMap<String, RuntimeConfig>,
        image: &Image,
        operation: &'static str,
    ) -> Result<Self, Error> {
        let Some(runtime) = runtimes.get(&image.name) else {
            let known = runtimes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none" } else { &known };
            let message = format!(
                "This provider runs no images, but runtimes of its host, and {} is none of them. It has: {known}.",
                image.name
            );
            return Err(Error::new(ErrorKind::ImageNotAllowed, operation, message).pointer("/algorithm/image/name"));
        };
        let file_name = runtime.command.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut names: Vec<String> = file_name.into_iter().chain([image.name.clone()]).collect();
        names.retain(|name| !name.contains('/'));
        names.dedup();
        Ok(Self { command: runtime.command.clone(), roots: runtime.roots.clone(), names })
    }

    /// Where the algorithm's programs are looked for.
    pub(crate) fn path(&self) -> String {
        let mut folders = vec![BIN.to_owned()];
        folders.extend(self.command.parent().map(|folder| folder.display().to_string()));
        folders.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(str::to_owned));
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders.join(":")
    }

    /// Whether there is a /bin/sh among what is seen inside.
    pub(crate) fn has_shell(&self) -> bool {
        let shell = Path::new("/bin/sh");
        let seen = |root: &PathBuf| shell.starts_with(root) || (root == Path::new("/usr") && shell.exists());
        self.roots.iter().any(seen)
    }
}

/// What of the configured runtimes can't be right, one line each.
pub(crate) fn wrong(runtimes: &BTreeMap<String, RuntimeConfig>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, runtime) in runtimes {
        let key = format!("backend.process.runtimes.{name}");
        if !runtime.command.is_absolute() || runtime.roots.iter().any(|root| !root.is_absolute()) {
            lines.push(format!("{key}: command and roots must be absolute paths."));
            continue;
        }
        for root in &runtime.roots {
            if !root.is_dir() {
                lines.push(format!("{key}: the root {} is not a folder of this host.", root.display()));
            }
        }
        match runtime.command.canonicalize() {
            Err(error) => {
                lines.push(format!("{key}: {} can't be used: {}.", runtime.command.display(), error.kind()));
            }
            Ok(real) if !runtime.roots.iter().any(|root| within(root, &real)) => lines.push(format!(
                "{key}: {} is in truth {}, which lies in none of its roots; list the folder that holds it.",
                runtime.command.display(),
                real.display()
            )),
            Ok(_) => {}
        }
    }
    lines
}

fn within(root: &Path, path: &Path) -> bool {
    root.canonicalize().is_ok_and(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtimes() -> BTreeMap<String, RuntimeConfig> {
        let python = RuntimeConfig { command: "/usr/bin/python3".into(), roots: vec!["/usr".into()] };
        BTreeMap::from([("python".to_owned(), python)])
    }

    fn image(name: &str) -> Image {
        Image { name: name.to_owned(), tag: "3.11".to_owned(), checksum: None }
    }

    #[test]
    fn an_image_names_a_runtime_of_the_host_and_a_stranger_is_told_which_there_are() {
        let runtime = Runtime::of(&runtimes(), &image("python"), "submit").unwrap();
        assert_eq!(runtime.names, ["python3", "python"]);
        assert_eq!(runtime.path(), "/run/brizo/bin:/usr/bin:/usr/local/bin:/bin");
        let error = Runtime::of(&runtimes(), &image("rust"), "submit").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ImageNotAllowed);
        assert!(error.message().contains("It has: python."), "{error}");
    }

    #[test]
    fn a_runtime_that_leads_out_of_its_roots_is_found_before_a_job_is() {
        let outside = RuntimeConfig { command: "/bin/sh".into(), roots: vec!["/var".into()] };
        let missing = RuntimeConfig { command: "/nowhere/x".into(), roots: vec!["/nowhere".into()] };
        let relative = RuntimeConfig { command: "python3".into(), roots: vec![] };
        let all = [("a", outside), ("b", missing), ("c", relative)];
        let lines = wrong(&all.into_iter().map(|(name, runtime)| (name.to_owned(), runtime)).collect());
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].contains("none of its roots"), "{lines:?}");
    }
}
