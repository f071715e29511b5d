//! The container that an algorithm names, checked before anything is staged.

use brizo_backend::{Image, is_image_name, is_tag};

use super::json::Json;
use crate::problem::Problem;

/// The longest entrypoint, in bytes.
const ENTRYPOINT: usize = 4096;

/// A container as it was named, in a request or in an algorithm's document. Unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerRequest {
    /// The image's name, without its tag.
    pub image: String,
    /// The image's tag.
    pub tag: String,
    /// `sha256:<64 hex>`, where the author pins the image.
    pub checksum: Option<String>,
    /// The command, with `$ALGO` for the algorithm's path.
    pub entrypoint: String,
}

impl ContainerRequest {
    /// Reads `main.algorithm.container` of a document.
    pub(crate) fn from_json(container: &Json) -> Self {
        let text = |key| container.get(key).and_then(Json::text).unwrap_or_default().to_owned();
        let checksum = match container.get("checksum") {
            None | Some(Json::Null) => None,
            Some(value) => Some(value.text().unwrap_or("no text").to_owned()),
        };
        Self { image: text("image"), tag: text("tag"), checksum, entrypoint: text("entrypoint") }
    }

    /// Checks each field. `pointer` is where the container stands in the request.
    pub(crate) fn check(&self, pointer: &str) -> Result<(Image, String), Problem> {
        let wrong = |field: &str, detail: String| Err(Problem::invalid_at(format!("{pointer}/{field}"), detail));
        if !is_image_name(&self.image) {
            return wrong(
                "image",
                format!(
                    "{:?} is no name of an image: it is written in lower case, without tag and digest, such as `python` \
                     or `registry.example.org/team/tool`",
                    shortened(&self.image)
                ),
            );
        }
        if !is_tag(&self.tag) {
            return wrong(
                "tag",
                format!(
                    "{:?} is no tag: it has up to 128 letters, digits and _ . -, such as `3.11`",
                    shortened(&self.tag)
                ),
            );
        }
        let checksum = match self.checksum.as_deref().map(digest) {
            None => None,
            Some(Some(digest)) => Some(digest),
            Some(None) => {
                return wrong(
                    "checksum",
                    format!(
                        "{:?} is no digest of an image: it is `sha256:` and 64 hex digits; leave it out to take what the \
                         tag stands for",
                        shortened(self.checksum.as_deref().unwrap_or_default())
                    ),
                );
            }
        };
        let entrypoint = self.entrypoint.trim();
        if entrypoint.is_empty() || entrypoint.len() > ENTRYPOINT || entrypoint.contains('\0') {
            return wrong(
                "entrypoint",
                format!("the entrypoint is a command of 1 to {ENTRYPOINT} bytes, such as `python3 $ALGO`"),
            );
        }
        let image = Image { name: self.image.clone(), tag: self.tag.clone(), checksum };
        Ok((image, entrypoint.to_owned()))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// `sha256:<64 hex>` in lower case.
fn digest(text: &str) -> Option<String> {
    let digits = text.strip_prefix("sha256:")?;
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(image: &str, tag: &str, checksum: Option<&str>, entrypoint: &str) -> ContainerRequest {
        ContainerRequest {
            image: image.into(),
            tag: tag.into(),
            checksum: checksum.map(Into::into),
            entrypoint: entrypoint.into(),
        }
    }

    fn pointer_of(container: &ContainerRequest) -> String {
        let error = container.check("/algorithm/container").unwrap_err();
        assert_eq!(error.status(), 400);
        error.parts()[0].pointer.clone()
    }

    #[test]
    fn images_of_every_registry_pass_and_nonsense_is_told() {
        for image in [
            "python",
            "node",
            "library/python",
            "localhost/a",
            "localhost:5000/a/b",
            "a.example.org:443/team/tool",
            "a__b/c-d.e",
        ] {
            assert!(container(image, "3.11", None, "python3 $ALGO").check("").is_ok(), "{image}");
        }
        for image in [
            "",
            "No Such/NAME",
            "python:3",
            "python@sha256:abc",
            "-a",
            "a/",
            "/a",
            "a//b",
            "a b",
            "a;b",
            "../a",
            "a.org:99999/b",
            "$(id)",
        ] {
            assert_eq!(pointer_of(&container(image, "1", None, "x")), "/algorithm/container/image", "{image}");
        }
        for tag in ["", ".a", "-a", "a b", "a/b", "a:b", &"a".repeat(129)] {
            assert_eq!(pointer_of(&container("python", tag, None, "x")), "/algorithm/container/tag", "{tag}");
        }
        for entrypoint in ["", "  ", "a\0b", &"a".repeat(5000)] {
            assert_eq!(pointer_of(&container("python", "3", None, entrypoint)), "/algorithm/container/entrypoint");
        }
    }

    #[test]
    fn a_checksum_may_be_absent_but_never_nonsense() {
        let right = format!("sha256:{}", "aB".repeat(32));
        let (image, _) = container("python", "3", Some(&right), "x").check("").unwrap();
        assert_eq!(image.checksum, Some(right.to_ascii_lowercase()));
        assert_eq!(container("python", "3", None, "x").check("").unwrap().0.checksum, None);
        for nonsense in ["abc", "", "sha256:", "sha512:00", &"ab".repeat(32), &format!("{right}0")] {
            let wrong = container("python", "3", Some(nonsense), "x");
            assert_eq!(pointer_of(&wrong), "/algorithm/container/checksum", "{nonsense}");
        }
        let json = Json::parse(br#"{"image": "a", "tag": "1", "entrypoint": "x", "checksum": 7}"#).unwrap();
        assert!(ContainerRequest::from_json(&json).check("").is_err());
    }
}
