//! An object store in memory that stops before each operation, counts, and fails where it is told to.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It was not made.
    Before,
    /// It was made, and the answer got lost.
    After,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Probe(Arc<State>);

#[derive(Debug, Default)]
struct State {
    inner: InMemory,
    operations: AtomicUsize,
    /// Which write is to fail: how many come before it.
    fault: Mutex<Option<(usize, Fault)>>,
}

impl Probe {
    pub(crate) fn operations(&self) -> usize {
        self.0.operations.load(Ordering::SeqCst)
    }

    pub(crate) fn fail(&self, writes_before: usize, fault: Fault) {
        *self.0.fault.lock().unwrap() = Some((writes_before, fault));
    }

    /// Takes the fault away; whether it was still to come.
    pub(crate) fn mend(&self) -> bool {
        self.0.fault.lock().unwrap().take().is_some()
    }

    /// The fault of the write that comes now.
    fn fault(&self) -> Option<Fault> {
        let mut next = self.0.fault.lock().unwrap();
        match &mut *next {
            Some((0, fault)) => {
                let fault = *fault;
                *next = None;
                Some(fault)
            }
            Some((before, _)) => {
                *before -= 1;
                None
            }
            None => None,
        }
    }

    /// Lets others go first, once.
    async fn step(&self) {
        self.0.operations.fetch_add(1, Ordering::SeqCst);
        let mut stopped = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut stopped, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn write<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step().await;
        let broken = || object_store::Error::Generic { store: "probe", source: "it broke".into() };
        match self.fault() {
            None => work.await,
            Some(Fault::Before) => Err(broken()),
            Some(Fault::After) => {
                let _ = work.await;
                Err(broken())
            }
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

#[async_trait]
impl ObjectStore for Probe {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.write(self.0.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.step().await;
        self.0.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let probe = self.clone();
        paths
            .then(move |path| {
                let probe = probe.clone();
                async move {
                    let path = path?;
                    probe.write(probe.0.inner.delete(&path)).await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (probe, prefix) = (self.clone(), prefix.cloned());
        stream::once(async move {
            probe.step().await;
            probe.0.inner.list(prefix.as_ref())
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.step().await;
        self.0.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.inner.copy_opts(from, to, options).await
    }
}
