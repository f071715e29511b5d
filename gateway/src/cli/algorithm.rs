//! `--algorithm FILE|URL|DID` and the container that it runs in.

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::wire::{AlgorithmRequest, Container};
use crate::types::Did;

/// The most that a gateway takes as raw code.
const MAX_CODE: u64 = 512 * 1024;

/// What to run, and in what.
#[derive(Debug, Clone, Args)]
pub(super) struct AlgorithmArgs {
    /// The algorithm: a file of code, a URL (http or https), or the DID of a published one
    #[arg(long, value_name = "FILE|URL|DID")]
    pub(super) algorithm: String,
    /// The image it runs in, NAME or NAME:TAG [default: by the file's ending: python for .py, node for .js, sh for .sh]
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,
    /// The command that runs it, with $ALGO for its path [default: by the file's ending]
    #[arg(long, value_name = "COMMAND")]
    pub(super) entrypoint: Option<String>,
    /// The digest that the image must have
    #[arg(long, value_name = "sha256:HEX")]
    pub(super) checksum: Option<String>,
}

/// Image, tag and command of a file ending.
const BY_ENDING: [(&str, &str, &str, &str); 3] =
    [("py", "python", "3", "python3 $ALGO"), ("js", "node", "20", "node $ALGO"), ("sh", "sh", "latest", "sh $ALGO")];

impl AlgorithmArgs {
    /// The request's part; reads the file.
    pub(super) fn request(&self) -> Result<AlgorithmRequest, Failure> {
        if self.algorithm.starts_with("did:") {
            let did: Did = self.algorithm.parse().map_err(|error| Failure::usage(format!("--algorithm: {error}")))?;
            if self.image.is_some() || self.entrypoint.is_some() || self.checksum.is_some() {
                return Err(Failure::usage("A published algorithm brings its own container.")
                    .next("leave out --image, --entrypoint and --checksum"));
            }
            return Ok(AlgorithmRequest::Did { did: did.to_string() });
        }
        if self.algorithm.starts_with("http://") || self.algorithm.starts_with("https://") {
            return Ok(AlgorithmRequest::Url { url: self.algorithm.clone(), container: self.container()? });
        }
        let file = Path::new(&self.algorithm);
        let size = std::fs::metadata(file)
            .map_err(|error| Failure::usage(format!("--algorithm: {} can't be read: {error}", file.display())))?
            .len();
        if size > MAX_CODE {
            return Err(Failure::usage(format!(
                "--algorithm: {size} bytes of code; a gateway takes {MAX_CODE} at most."
            ))
            .next("publish it as an algorithm, or put it behind a URL, and name that"));
        }
        let code = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("--algorithm: {} is no text: {error}", file.display())))?;
        Ok(AlgorithmRequest::Raw { code, container: self.container()? })
    }

    fn container(&self) -> Result<Container, Failure> {
        let ending = self.algorithm.rsplit('.').next().unwrap_or_default();
        let known = BY_ENDING.iter().find(|(of, ..)| *of == ending);
        let (image, tag) = match (&self.image, known) {
            (Some(image), _) => split_image(image),
            (None, Some((_, image, tag, _))) => ((*image).to_owned(), (*tag).to_owned()),
            (None, None) => {
                return Err(
                    Failure::usage("The image can't be told from the algorithm's name.").next("add --image NAME:TAG")
                );
            }
        };
        let entrypoint = match (&self.entrypoint, known) {
            (Some(entrypoint), _) => entrypoint.clone(),
            (None, Some((.., entrypoint))) => (*entrypoint).to_owned(),
            (None, None) => {
                return Err(Failure::usage("How to run it can't be told from the algorithm's name.")
                    .next("add --entrypoint, for example --entrypoint 'Rscript $ALGO'"));
            }
        };
        Ok(Container { image, tag, entrypoint, checksum: self.checksum.clone() })
    }
}

/// `NAME:TAG` in two; a colon before the last slash belongs to a registry's port. Without a tag: `latest`.
fn split_image(image: &str) -> (String, String) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (image.to_owned(), "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(algorithm: &str) -> AlgorithmArgs {
        AlgorithmArgs { algorithm: algorithm.to_owned(), image: None, entrypoint: None, checksum: None }
    }

    #[test]
    fn an_image_with_a_port_keeps_it() {
        assert_eq!(split_image("host:5000/a/b"), ("host:5000/a/b".into(), "latest".into()));
        assert_eq!(split_image("host:5000/a/b:1"), ("host:5000/a/b".into(), "1".into()));
        assert_eq!(split_image("python:3.11"), ("python".into(), "3.11".into()));
    }

    #[test]
    fn what_cannot_be_told_is_asked_for() {
        let url = args("https://example.org/a.py").request().unwrap();
        let AlgorithmRequest::Url { container, .. } = url else { panic!("{url:?}") };
        assert_eq!((container.image.as_str(), container.entrypoint.as_str()), ("python", "python3 $ALGO"));
        assert!(args("https://example.org/a.R").request().unwrap_err().next.unwrap().contains("--image"));
        assert!(args("did:op:12").request().is_err());
        assert!(args("/no/such/file.py").request().unwrap_err().message.contains("/no/such/file.py"));
    }
}
