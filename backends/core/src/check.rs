//! What makes a [`JobSpec`] wrong here and anywhere: the same answer from every backend.

use std::collections::HashSet;

use crate::{Error, ErrorKind, Input, JobSpec, Result, SPEC_VERSION, Source};

/// Code that comes inside the specification may have so many bytes.
pub const MAX_INLINE_BYTES: usize = 512 << 10;

impl JobSpec {
    /// Whether it can be right, on whatever backend. `submit` and `preflight` of each ask this first, `operation` being
    /// the verb's name in the error.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`], with the pointer of what is wrong; the text names no secret.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        let wrong = |pointer: String, text: &str| {
            Err(Error::new(ErrorKind::InvalidSpec, operation, text.to_owned()).pointer(pointer))
        };
        if self.version != SPEC_VERSION {
            return wrong("/version".to_owned(), "the specification has a version that this program does not write");
        }
        if self.datasets.is_empty() {
            return wrong("/datasets".to_owned(), "there is no dataset; a job reads at least one");
        }
        if self.secrets.inputs.len() != self.datasets.len() {
            return wrong("/datasets".to_owned(), "the sources of the inputs are not those of the datasets");
        }
        let mut folders = HashSet::new();
        let mut agreements = HashSet::new();
        for (index, dataset) in self.datasets.iter().enumerate() {
            let pointer = format!("/datasets/{index}");
            if !is_folder(dataset.folder()) {
                return wrong(pointer, "a dataset's id is did:op: and 1 to 200 letters, digits, '.', '_' or '-'");
            }
            if !folders.insert(dataset.folder()) {
                return wrong(pointer, "two datasets have the same id; name each once");
            }
            if !agreements.insert(&dataset.agreement) {
                return wrong(pointer, "two datasets have the same agreement; each is bought by its own");
            }
            if self.secrets.inputs[index].len() != dataset.files as usize {
                return wrong(pointer, "the dataset's number of files is not that of its sources");
            }
        }
        let Some(algorithm) = &self.secrets.algorithm else {
            return wrong("/algorithm".to_owned(), "the algorithm has no source");
        };
        if !self.secrets.inputs.iter().flatten().chain([algorithm]).all(is_input) {
            return wrong(
                "/datasets".to_owned(),
                "a checksum is 64 hex digits in lower case, and inline code at most 512 KiB",
            );
        }
        if self.algorithm.sha256.as_deref().is_some_and(|sha256| !is_sha256(sha256)) {
            return wrong("/algorithm/sha256".to_owned(), "a checksum is 64 hex digits in lower case");
        }
        self.check_image(operation)?;
        if self.algorithm.entrypoint.trim().is_empty() || self.algorithm.entrypoint.contains('\0') {
            return wrong(
                "/algorithm/entrypoint".to_owned(),
                "the entrypoint is empty; a usual one is \"python $ALGO\"",
            );
        }
        let limits = &self.limits;
        let least = limits.cpu_millis.min(limits.memory_bytes).min(limits.disk_bytes).min(limits.wall_time_s);
        if least == 0 {
            return wrong("/limits".to_owned(), "cpu, memory, disk and wall_time are each more than 0");
        }
        Ok(())
    }

    fn check_image(&self, operation: &'static str) -> Result<()> {
        let image = &self.algorithm.image;
        let wrong = |part: &str, text: &str| {
            Err(Error::new(ErrorKind::InvalidSpec, operation, text.to_owned())
                .pointer(format!("/algorithm/image/{part}")))
        };
        if !is_image_name(&image.name) {
            return wrong(
                "name",
                "an image's name is [registry[:port]/]path in lower case, such as python or registry.example.org/team/tool",
            );
        }
        if !is_tag(&image.tag) {
            return wrong(
                "tag",
                "an image's tag is 1 to 128 letters, digits, '.', '_' or '-', not beginning with '.' or '-'",
            );
        }
        let digest = |text: &str| text.strip_prefix("sha256:").is_some_and(is_sha256);
        if image.checksum.as_deref().is_some_and(|checksum| !digest(checksum)) {
            return wrong("checksum", "a container's checksum is sha256: and 64 hex digits in lower case");
        }
        Ok(())
    }
}

fn is_folder(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_input(input: &Input) -> bool {
    let short = match &input.source {
        Source::Inline { code } => code.len() <= MAX_INLINE_BYTES,
        Source::File { .. } | Source::PublisherUrl { .. } | Source::GuardedUrl { .. } => true,
    };
    short && input.sha256.as_deref().is_none_or(is_sha256)
}

/// Whether a text is an image's name, without tag and digest: parts joined by `/`, in lower case; the first may be a host
/// with a port.
pub fn is_image_name(name: &str) -> bool {
    let component = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !part.is_empty()
            && part.bytes().all(|b| inner(b) || b"._-".contains(&b))
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    if name.is_empty() || name.len() > 255 {
        return false;
    }
    match name.split_once('/') {
        Some((host, path)) => {
            let (domain, port) = host.split_once(':').map_or((host, None), |(domain, port)| (domain, Some(port)));
            let domain_is_right =
                component(&domain.to_ascii_lowercase()) && (component(domain) || domain.contains('.'));
            let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok());
            domain_is_right && port_is_right && path.split('/').all(component)
        }
        None => component(name),
    }
}

/// Whether a text is an image's tag.
pub fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names() {
        for good in ["python", "library/python", "registry.example.org:5000/team/tool", "ghcr.io/a/b-c_d.e", "node"] {
            assert!(is_image_name(good), "{good}");
        }
        for bad in ["", "No Such/NAME", "Python", "a//b", "/a", "a/", "a:3", "host:port/x", "-a", "a b", "a/../b"] {
            assert!(!is_image_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_dataset_folder_is_one_part_of_a_path() {
        for bad in ["", ".", "..", "a/b", "/", "a\0", "ü", " "] {
            assert!(!is_folder(bad), "{bad:?}");
        }
        assert!(is_folder(&"a".repeat(64)));
    }
}
