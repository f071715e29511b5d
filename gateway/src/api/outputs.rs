//! What a job published: the list, and each file, streamed.

use std::sync::Arc;

use brizo_backend::{ByteStream, ErrorKind, JobId, Output, OutputPath, Page};
use futures::StreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Body, Response};
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::registry::MetaResponse;

use super::audit::Download;
use super::bearer::{Bearer, BearerOrLink};
use super::document::Tag;
use super::links::Linked;
use super::range::{self, Asked};
use super::refusal::{Described, Refusal, Statuses, Written, bytes_schema, described, header_of};
use super::wire::{OutputList, OutputView, SkippedView};
use super::{State, hide};
use crate::identity::Scope;
use crate::problem::{Code, Problem};

pub(crate) struct Outputs(pub(crate) Arc<State>);

pub(crate) struct OutputsRefusals;
impl Statuses for OutputsRefusals {
    const LIST: &'static [u16] = &[400, 401, 404, 414, 429, 500, 503];
}

pub(crate) struct OutputRefusals;
impl Statuses for OutputRefusals {
    const LIST: &'static [u16] = &[400, 401, 404, 414, 416, 429, 500, 503];
}

pub(crate) struct FileAnswer;
impl Described for FileAnswer {
    fn responses() -> Vec<MetaResponse> {
        let content = [("application/octet-stream", bytes_schema())];
        with_headers(vec![
            described(200, "The file, with its SHA-256 as ETag.", &content),
            described(206, "The range of it that was asked for.", &content),
            described(304, "It is the one that If-None-Match names.", &[]),
        ])
    }
}

pub(crate) struct HeadAnswer;
impl Described for HeadAnswer {
    fn responses() -> Vec<MetaResponse> {
        with_headers(vec![
            described(200, "The file's size, type and SHA-256, in headers.", &[]),
            described(206, "What a GET of this range would have as headers.", &[]),
            described(304, "It is the one that If-None-Match names.", &[]),
        ])
    }
}

fn with_headers(mut responses: Vec<MetaResponse>) -> Vec<MetaResponse> {
    for response in &mut responses {
        response.headers.push(header_of("ETag", "The file's SHA-256 in hex, in quotes."));
        if response.status != Some(304) {
            response.headers.push(header_of("Accept-Ranges", "bytes."));
            response.headers.push(header_of("Content-Disposition", "attachment, with the file's name."));
        }
        if response.status == Some(206) {
            response.headers.push(header_of("Content-Range", "Which bytes these are, and of how many."));
        }
    }
    responses
}

/// What a request for a file says besides its path.
struct Conditions {
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<String>,
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            range: text(header::RANGE),
            if_range: text(header::IF_RANGE),
            if_none_match: text(header::IF_NONE_MATCH),
        }
    }
}

fn default_limit() -> u32 {
    100
}

#[OpenApi(tag = "Tag::Jobs")]
impl Outputs {
    /// List a job's outputs
    ///
    /// Sorted by path, with a link each that needs no bearer and works for an hour: Swagger UI freezes on a download of a
    /// gigabyte, a browser's own download does not.
    #[oai(path = "/api/v1/jobs/:id/outputs", method = "get", operation_id = "list_outputs")]
    async fn list(
        &self,
        bearer: Bearer,
        /// The job's id: 32 hex digits.
        id: Path<String>,
        /// How many a page holds.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<u32>,
        /// `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<OutputList>, Refusal<OutputsRefusals>> {
        let access = self.0.caller(&bearer, Scope::Read).await?;
        let job = self.0.own_job(&access, &id.0).await?;
        let page = Page { limit: limit.0, cursor: cursor.0 };
        let found = self.0.backend().outputs(&job.id, &page).await.map_err(|error| hide(error, &job.id))?;
        let items = found.items.iter().map(|output| OutputView {
            path: output.path.to_string(),
            bytes: output.bytes,
            sha256: output.sha256.clone(),
            content_type: content_type(&output.path),
            link: self.0.output_link(&job.id, &output.path),
        });
        let skipped =
            found.skipped.iter().map(|skipped| SkippedView { path: skipped.path.clone(), why: skipped.why.into() });
        Ok(Json(OutputList { items: items.collect(), skipped: skipped.collect(), next: found.next }))
    }

    /// Download an output
    ///
    /// By bearer, or by a link from the list. One range of bytes can be asked for.
    ///
    /// ```text
    /// curl -OJ -C - "$LINK"
    /// ```
    #[oai(path = "/api/v1/jobs/:id/outputs/*param1", method = "get", operation_id = "read_output")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter that the document declares")]
    async fn get(
        &self,
        bearer: BearerOrLink,
        /// The job's id: 32 hex digits.
        id: Path<String>,
        /// The output's path; its slashes may be percent-encoded or not.
        path: Path<String>,
        /// The end of the link, in Unix seconds.
        expires: Query<Option<i64>>,
        /// The link's signature.
        mac: Query<Option<String>>,
        /// One range of bytes, such as bytes=0-499.
        #[oai(name = "Range")]
        _range: Header<Option<String>>,
        /// Only take the range if the file still has this ETag.
        #[oai(name = "If-Range")]
        _if_range: Header<Option<String>>,
        /// Answer 304 if the file has this ETag.
        #[oai(name = "If-None-Match")]
        _if_none_match: Header<Option<String>>,
        headers: &HeaderMap,
    ) -> Result<Written<FileAnswer>, Refusal<OutputRefusals>> {
        let (id, path) = self.allowed(&bearer, &id.0, &path.0, expires.0, mac.0.as_deref()).await?;
        let answer = self.read(id, path, &Conditions::of(headers), false).await?;
        Ok(Written::new(answer))
    }

    /// Look at an output's size, type and SHA-256
    #[oai(path = "/api/v1/jobs/:id/outputs/*param1", method = "head", operation_id = "head_output")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter that the document declares")]
    async fn head(
        &self,
        bearer: BearerOrLink,
        /// The job's id: 32 hex digits.
        id: Path<String>,
        /// The output's path; its slashes may be percent-encoded or not.
        path: Path<String>,
        /// The end of the link, in Unix seconds.
        expires: Query<Option<i64>>,
        /// The link's signature.
        mac: Query<Option<String>>,
        /// One range of bytes, such as bytes=0-499.
        #[oai(name = "Range")]
        _range: Header<Option<String>>,
        /// Only take the range if the file still has this ETag.
        #[oai(name = "If-Range")]
        _if_range: Header<Option<String>>,
        /// Answer 304 if the file has this ETag.
        #[oai(name = "If-None-Match")]
        _if_none_match: Header<Option<String>>,
        headers: &HeaderMap,
    ) -> Result<Written<HeadAnswer>, Refusal<OutputRefusals>> {
        let (id, path) = self.allowed(&bearer, &id.0, &path.0, expires.0, mac.0.as_deref()).await?;
        let answer = self.read(id, path, &Conditions::of(headers), true).await?;
        Ok(Written::new(answer))
    }
}

impl Outputs {
    /// Which output is meant, if the link or the bearer opens it.
    async fn allowed(
        &self,
        bearer: &BearerOrLink,
        id: &str,
        path: &str,
        expires: Option<i64>,
        mac: Option<&str>,
    ) -> Result<(JobId, OutputPath), Problem> {
        let path: OutputPath = path.parse().map_err(|_| no_output())?;
        let id = self.0.opened_job(bearer, id, Linked::Output(&path), expires, mac).await?;
        Ok((id, path))
    }

    async fn open(
        &self,
        id: &JobId,
        path: &OutputPath,
        range: Option<brizo_backend::ByteRange>,
    ) -> Result<Option<ByteStream>, Problem> {
        match self.0.backend().read_output(id, path, range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::Range => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(no_output()),
            Err(error) => Err(hide(error, id)),
        }
    }

    async fn read(
        &self,
        id: JobId,
        path: OutputPath,
        conditions: &Conditions,
        head: bool,
    ) -> Result<Response, Problem> {
        let asked = range::parse(conditions.range.as_deref());
        let conditional = conditions.if_none_match.is_some() || conditions.if_range.is_some();
        // Most requests have neither conditions nor a range: one call is enough.
        let first = match asked {
            Asked::Part(range) if !conditional => self.open(&id, &path, Some(range)).await?,
            _ => self.open(&id, &path, None).await?,
        };
        let Some(mut bytes) = first else { return self.unsatisfiable(&id, &path).await };
        let etag = etag(&bytes.output);
        if conditions.if_none_match.as_deref().is_some_and(|tags| names(tags, &etag)) {
            let mut response = Response::builder().status(StatusCode::NOT_MODIFIED).finish();
            put_etag(&mut response, &etag);
            return Ok(response);
        }
        let still = conditions.if_range.as_deref().is_none_or(|tag| tag == etag);
        match asked {
            Asked::Garbage if still => return self.unsatisfiable(&id, &path).await,
            Asked::Part(range) if conditional && still => match self.open(&id, &path, Some(range)).await? {
                Some(part) => bytes = part,
                None => return self.unsatisfiable(&id, &path).await,
            },
            _ => {}
        }
        let partial = matches!(asked, Asked::Part(_)) && still;
        Ok(self.send(id, path, bytes, &etag, partial, head))
    }

    fn send(&self, id: JobId, path: OutputPath, bytes: ByteStream, etag: &str, partial: bool, head: bool) -> Response {
        let ByteStream { output, range, stream } = bytes;
        let mut response = Response::builder()
            .status(if partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK })
            .content_type(content_type(&path))
            .finish();
        put_etag(&mut response, etag);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        // An output is the work of somebody's program: it must not become a page or a script of this origin.
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
        );
        if let Ok(disposition) = HeaderValue::from_str(&disposition(&path)) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        if partial {
            let text = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), output.bytes);
            if let Ok(text) = HeaderValue::from_str(&text) {
                headers.insert(header::CONTENT_RANGE, text);
            }
        }
        if !head {
            let mut download = Download { audit: self.0.setup.audit.clone(), job: id, path, bytes: 0 };
            response.set_body(Body::from_bytes_stream(stream.map(move |piece| {
                let piece = piece.map_err(std::io::Error::other)?;
                download.count(piece.len());
                Ok::<_, std::io::Error>(piece)
            })));
        }
        response
    }

    /// 416, with the size that a range would have to lie in.
    async fn unsatisfiable(&self, id: &JobId, path: &OutputPath) -> Result<Response, Problem> {
        let size = self.open(id, path, None).await?.map_or(0, |bytes| bytes.output.bytes);
        Err(Problem::new(
            Code::Range,
            format!("The range can't be satisfied: this output has {size} bytes, and a range looks like bytes=0-499."),
        )
        .at("Range", format!("bytes */{size}")))
    }
}

fn no_output() -> Problem {
    Problem::not_found("There is no such output of a job of yours; the list of outputs names those that there are.")
}

fn etag(output: &Output) -> String {
    format!("\"{}\"", output.sha256)
}

fn put_etag(response: &mut Response, etag: &str) {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
}

/// Whether an `If-None-Match` names this tag; a weak one is as good.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Guessed from the extension, as the first Brizo did; bytes where there is nothing to guess from.
fn content_type(path: &OutputPath) -> String {
    mime_guess::from_path(path.as_str()).first_raw().unwrap_or("application/octet-stream").to_owned()
}

/// What stands as it is in `filename*`.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The file's name, in the form without blanks or quotes that the old clients read, where the name allows it.
fn disposition(path: &OutputPath) -> String {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    if plain {
        return format!("attachment;filename={name}");
    }
    let shown: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\".contains(c) || c == ' ' { c } else { '_' }).collect();
    format!("attachment; filename=\"{shown}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ATTRIBUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_arrive_whole_and_can_not_break_out_of_their_header() {
        let of = |path: &str| disposition(&path.parse().unwrap());
        assert_eq!(of("a/b/model.json"), "attachment;filename=model.json");
        assert_eq!(of("a b.txt"), "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
        assert_eq!(of("ü\"\r\nX: y"), "attachment; filename=\"____X: y\"; filename*=UTF-8''%C3%BC%22%0D%0AX%3A%20y");
    }

    #[test]
    fn types_are_guessed_from_the_name() {
        let of = |path: &str| content_type(&path.parse().unwrap());
        assert_eq!(of("plots/roc.svg"), "image/svg+xml");
        assert_eq!(of("metrics.json"), "application/json");
        assert_eq!(of("model"), "application/octet-stream");
    }

    #[test]
    fn etags_match_as_rfc_9110_has_it() {
        for tags in ["*", "\"a\"", "\"b\", \"a\"", "W/\"a\""] {
            assert!(names(tags, "\"a\""), "{tags}");
        }
        assert!(!names("\"ab\"", "\"a\""));
    }
}
