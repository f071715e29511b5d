//! Outputs, from the job's folder and its manifest, in pages and pieces.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use brizo_backend::{ByteRange, ByteStream, Error, ErrorKind, JobId, Output, OutputPage, OutputPath, Page, Result};
use brizo_runner::collect::{ManifestReader, open_output};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};

use crate::backend::Inner;
use crate::error::{blocking, folder};

/// The size of a piece of an output.
const PIECE: u64 = 256 * 1024;

/// A page of what the job published; nothing before that.
pub(crate) async fn page(inner: &Inner, id: &JobId, page: &Page) -> Result<OutputPage> {
    const OPERATION: &str = "outputs";
    let facts = inner.living(OPERATION, id).await?;
    let garbled = || Error::new(ErrorKind::InvalidCursor, OPERATION, "This cursor is of no page of these outputs.");
    let at = match &page.cursor {
        None => 0,
        Some(cursor) => u64::from_str_radix(cursor, 16).ok().filter(|at| *at > 0).ok_or_else(garbled)?,
    };
    if facts.ended.as_ref().is_none_or(|ended| ended.manifest.is_none()) {
        return if at == 0 { Ok(OutputPage::default()) } else { Err(garbled()) };
    }
    let manifest = inner.folder(id).layout().manifest();
    let limit = page.limit.max(1) as usize;
    let read = move || -> io::Result<OutputPage> {
        let reader = ManifestReader::open(&manifest)?;
        let (items, next) = reader.page(at, limit)?;
        let skipped = if at == 0 { reader.skipped()? } else { Vec::new() };
        Ok(OutputPage { items, skipped, next: next.map(|next| format!("{next:x}")) })
    };
    blocking(OPERATION, read).await?.map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidInput { garbled() } else { folder(OPERATION, id, error) }
    })
}

/// One output, or a range of it.
pub(crate) async fn read(inner: &Inner, id: &JobId, path: &OutputPath, range: Option<ByteRange>) -> Result<ByteStream> {
    const OPERATION: &str = "read_output";
    let facts = inner.living(OPERATION, id).await?;
    let missing = || Error::new(ErrorKind::NotFound, OPERATION, format!("The job {id} has no output {path}."));
    if facts.ended.is_none_or(|ended| ended.manifest.is_none()) {
        return Err(missing());
    }
    let layout = inner.folder(id).layout().clone();
    let wanted = path.clone();
    let open = move || -> io::Result<Option<(Output, File)>> {
        let Some(output) = ManifestReader::open(&layout.manifest())?.find(&wanted)? else { return Ok(None) };
        let file = open_output(&layout.outputs(), &wanted)?;
        Ok(Some((output, file)))
    };
    let found = blocking(OPERATION, open).await?.map_err(|error| folder(OPERATION, id, error))?;
    let (output, file) = found.ok_or_else(missing)?;
    let range = match range {
        None => 0..output.bytes,
        Some(range) => range.resolve(output.bytes).ok_or_else(|| {
            let message = format!("The output has {} bytes, and none of them lies in this range.", output.bytes);
            Error::new(ErrorKind::Range, OPERATION, message)
        })?,
    };
    let id = *id;
    let pieces = stream::try_unfold((file, range.clone()), move |(file, left)| async move {
        if left.is_empty() {
            return Ok(None);
        }
        let end = left.end.min(left.start + PIECE);
        let read = move || -> io::Result<(File, Bytes)> {
            let mut bytes = vec![0; (end - left.start) as usize];
            file.read_exact_at(&mut bytes, left.start)?;
            Ok((file, bytes.into()))
        };
        let (file, bytes) = blocking(OPERATION, read).await?.map_err(|error| folder(OPERATION, &id, error))?;
        Ok(Some((bytes, (file, end..left.end))))
    });
    Ok(ByteStream { output, range, stream: pieces.boxed() })
}
