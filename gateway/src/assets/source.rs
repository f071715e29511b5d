//! Where a publisher's files are: from a URL in a document to what the step that stages it opens.

use std::path::{Path, PathBuf};

use brizo_backend::Source;
use url::Url;

/// Why a publisher's URL can't be used. For the publisher's log: it names paths.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not a URL of a kind that can be read.
    #[error("it is no file://, http(s)://, s3://, gs:// or az:// URL")]
    Url,
    /// Not there.
    #[error("{path} can't be read: {cause}")]
    Missing {
        /// What.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// No file.
    #[error("{0} is no regular file")]
    NoFile(PathBuf),
    /// Outside, or led outside by a link.
    #[error("{0} lies under none of the folders in assets.roots")]
    Outside(PathBuf),
}

/// The root under which a file lies, and its path below it, both without any link or `..` left.
pub(crate) fn below_roots(path: &Path, roots: &[PathBuf]) -> Result<(PathBuf, PathBuf), SourceError> {
    let missing = |cause| SourceError::Missing { path: path.to_owned(), cause };
    let real = path.canonicalize().map_err(missing)?;
    let found = roots.iter().filter_map(|root| root.canonicalize().ok()).find_map(|root| {
        let below = real.strip_prefix(&root).ok()?.to_owned();
        Some((root, below))
    });
    let Some(found) = found else { return Err(SourceError::Outside(path.to_owned())) };
    if real.metadata().map_err(missing)?.is_file() { Ok(found) } else { Err(SourceError::NoFile(path.to_owned())) }
}

/// What a URL of a listed publisher stands for. The path of a file is looked at now, and again when it is opened.
pub(crate) fn of_publisher(url: &str, roots: &[PathBuf]) -> Result<Source, SourceError> {
    let parsed = Url::parse(url).map_err(|_| SourceError::Url)?;
    match parsed.scheme() {
        "file" => {
            let path = parsed.to_file_path().map_err(|()| SourceError::Url)?;
            let (root, below) = below_roots(&path, roots)?;
            let (Some(root), Some(path)) = (root.to_str(), below.to_str()) else { return Err(SourceError::Url) };
            Ok(Source::File { root: root.to_owned(), path: path.to_owned() })
        }
        "http" | "https" if parsed.has_host() => Ok(Source::PublisherUrl { url: url.to_owned() }),
        "s3" | "gs" | "az" => Ok(Source::PublisherUrl { url: url.to_owned() }),
        _ => Err(SourceError::Url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_and_no_link_leaves_the_roots() {
        let folder = tempfile::tempdir().unwrap();
        let (root, other) = (folder.path().join("root"), folder.path().join("root-other"));
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        for file in [root.join("sub/a b.csv"), other.join("secret")] {
            std::fs::write(file, "x").unwrap();
        }
        std::os::unix::fs::symlink(other.join("secret"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("sub/a b.csv"), root.join("inner")).unwrap();
        std::os::unix::fs::symlink(&other, root.join("folder")).unwrap();
        let roots = [root.clone()];
        let of = |path: &Path| of_publisher(Url::from_file_path(path).unwrap().as_str(), &roots);

        let real = root.canonicalize().unwrap().to_str().unwrap().to_owned();
        let found = Source::File { root: real, path: "sub/a b.csv".into() };
        assert!(of(&root.join("sub/a b.csv")).unwrap() == found);
        assert!(of(&root.join("inner")).unwrap() == found, "a link that stays inside");
        for path in [other.join("secret"), root.join("link"), root.join("folder/secret"), "/etc/passwd".into()] {
            assert!(matches!(of(&path), Err(SourceError::Outside(_))), "{}", path.display());
        }
        let up = format!("file://{}/sub/..%2f..%2froot-other/secret", root.display());
        assert!(of_publisher(&up, &roots).is_err());
        assert!(matches!(of(&root.join("sub")), Err(SourceError::NoFile(_))));
        assert!(matches!(of(&root.join("none")), Err(SourceError::Missing { .. })));
        assert!(matches!(of_publisher("file:///etc/passwd", &[]), Err(SourceError::Outside(_))));
    }

    #[test]
    fn other_urls_are_taken_as_they_stand() {
        for url in ["http://10.0.0.1/a.csv", "https://example.org/a?sig=x", "s3://bucket/a"] {
            assert!(of_publisher(url, &[]).unwrap() == Source::PublisherUrl { url: url.into() });
        }
        for url in ["", "a.csv", "/a.csv", "ftp://example.org/a", "data:text/plain,x", "file://host/share/a"] {
            assert!(of_publisher(url, &[]).is_err(), "{url}");
        }
    }
}
