use std::io;

use brizo_backend::{Error, ErrorKind, JobId};

/// The job is not there, or no more.
pub(crate) fn not_found(operation: &'static str, id: &JobId) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("There is no job {id}."))
}

/// The job's folder can't be used.
pub(crate) fn folder(operation: &'static str, id: &JobId, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        io::ErrorKind::Interrupted | io::ErrorKind::ResourceBusy => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, operation, "The job's folder can't be read or written.").with("job", id).source(error)
}

/// Runs what may block.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, operation, "A step of the gateway failed.").source(error))
}
