//! `brizo outputs`: lists or downloads what a job published. Files arrive whole or not at all: each is written beside its
//! place, checked against its SHA-256, and then renamed; a broken download goes on where it stopped.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::say::Say;
use super::wire::{Output, Page};

/// What to do with a job's outputs.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputsArgs {
    /// The job
    pub(super) id: String,
    /// Only these [default: all]
    pub(super) paths: Vec<String>,
    /// List them instead of downloading
    #[arg(long)]
    pub(super) list: bool,
    /// The folder to download into [default: the job's id]
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
}

/// How often a download that breaks off is taken up again.
const TRIES: u32 = 5;

pub(super) async fn outputs(client: &Client, say: &Say, args: &OutputsArgs) -> Result<Exit, Failure> {
    let mut items = list(client, &args.id).await?;
    if !args.paths.is_empty() {
        if let Some(missing) = args.paths.iter().find(|path| !items.iter().any(|item| &item.path == *path)) {
            return Err(Failure::new(Exit::Refused, format!("Job {} has no output {missing:?}.", args.id))
                .next(format!("brizo outputs {} --list", args.id)));
        }
        items.retain(|item| args.paths.contains(&item.path));
    }
    if args.list {
        let mut text = String::new();
        for item in &items {
            let _ = writeln!(text, "{:>12}  {}  {}", item.bytes, item.sha256, item.path);
        }
        let rows: Vec<_> = items.iter().map(|item| row(item, None)).collect();
        say.result(text.trim_end(), &serde_json::json!({ "items": rows }))?;
        return Ok(Exit::Done);
    }
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from(&args.id));
    let files = download(client, say, &args.id, &items, &folder).await?;
    let text = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join("\n");
    let rows: Vec<_> = items.iter().zip(&files).map(|(item, file)| row(item, Some(file))).collect();
    say.result(&text, &serde_json::json!({ "items": rows }))?;
    Ok(Exit::Done)
}

fn row(item: &Output, file: Option<&Path>) -> serde_json::Value {
    let mut row = serde_json::json!({ "path": item.path, "bytes": item.bytes, "sha256": item.sha256 });
    if let Some(file) = file {
        row["file"] = serde_json::json!(file);
    }
    row
}

/// All outputs of a job.
pub(super) async fn list(client: &Client, id: &str) -> Result<Vec<Output>, Failure> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut url = client.url(&["api", "v1", "jobs", id, "outputs"]);
        url.query_pairs_mut().append_pair("limit", "1000");
        if let Some(cursor) = &cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let page: Page<Output> = client.call(Method::GET, url, |request| request).await?;
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(items);
        }
    }
}

/// Downloads `items` into `folder`; returns where each is. A file that is there already with the right SHA-256 stays.
pub(super) async fn download(
    client: &Client,
    say: &Say,
    id: &str,
    items: &[Output],
    folder: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for item in items {
        let place = place(folder, &item.path)?;
        say.step(&format!("{} ({} bytes)", item.path, item.bytes));
        fetch(client, id, item, &place).await?;
        files.push(place);
    }
    Ok(files)
}

/// Where an output goes. A path that would leave the folder is refused, whatever the gateway says.
fn place(folder: &Path, path: &str) -> Result<PathBuf, Failure> {
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || path.contains('\0') || !inside {
        return Err(Failure::new(
            Exit::Refused,
            format!("The output {path:?} would be written outside of the folder."),
        ));
    }
    Ok(folder.join(path))
}

async fn fetch(client: &Client, id: &str, item: &Output, place: &Path) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::internal(format!("{} can't be written: {error}", place.display()));
    if let Ok(meta) = tokio::fs::metadata(place).await
        && meta.len() == item.bytes
        && digest(place).await.map_err(io)? == item.sha256
    {
        return Ok(());
    }
    if let Some(parent) = place.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(io)?;
    }
    let mut part = place.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut url = client.url(&["api", "v1", "jobs", id, "outputs"]);
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.extend(item.path.split('/'));
    }
    for _ in 0..TRIES {
        let have = tokio::fs::metadata(&part).await.map_or(0, |meta| meta.len());
        if have < item.bytes || have == 0 {
            append(client, url.clone(), &part, have).await?;
        }
        let have = tokio::fs::metadata(&part).await.map_err(io)?.len();
        if have < item.bytes {
            continue;
        }
        if have == item.bytes && digest(&part).await.map_err(io)? == item.sha256 {
            return tokio::fs::rename(&part, place).await.map_err(io);
        }
        tokio::fs::remove_file(&part).await.map_err(io)?;
    }
    Err(Failure::new(Exit::Unavailable, format!("{} could not be downloaded whole.", item.path))
        .next(format!("brizo outputs {id} {:?}", item.path)))
}

/// Appends what is missing from byte `have` on; a connection that breaks is no error, the caller sees the size.
async fn append(client: &Client, url: url::Url, part: &Path, have: u64) -> Result<(), Failure> {
    let response = client
        .request(Method::GET, url, |request| match have {
            0 => request,
            have => request.header("range", format!("bytes={have}-")),
        })
        .await?;
    let goes_on = response.status() == StatusCode::PARTIAL_CONTENT;
    let io = |error: std::io::Error| Failure::internal(format!("{} can't be written: {error}", part.display()));
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).write(true).append(goes_on).truncate(!goes_on);
    let mut file = options.open(part).await.map_err(io)?;
    let mut stream = response.bytes_stream();
    while let Some(Ok(bytes)) = stream.next().await {
        file.write_all(&bytes).await.map_err(io)?;
    }
    file.flush().await.map_err(io)
}

async fn digest(file: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(file).await?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 128 * 1024];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_output_is_written_outside_of_the_folder() {
        let folder = Path::new("out");
        for bad in ["../a", "/etc/passwd", "a/../../b", "", ".", "a\0b"] {
            assert!(place(folder, bad).is_err(), "{bad:?}");
        }
        assert_eq!(place(folder, "plots/roc.svg").unwrap(), Path::new("out/plots/roc.svg"));
    }
}
