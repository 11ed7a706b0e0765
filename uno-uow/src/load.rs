//! Loading an aggregate: a snapshot if there is one to be trusted, and the events after it.

use uno_core::{
    Backend, DecodeError, Decoder, ReadStream, Snapshot, StoreError, StreamId, StreamIdError,
    Version,
};
use uno_domain::{Aggregate, AggregateRoot, ReplayError, SnapshotError};

use crate::telemetry;

/// Why an aggregate can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The stream has no events.
    #[error("there is no {0}")]
    NotFound(StreamId),
    /// The aggregate was to be created, and this unit of work has it already.
    #[error("{0} exists already in this unit of work")]
    AlreadyTracked(StreamId),
    /// The unit of work has lent the aggregate out, and it was not given back yet.
    #[error("{0} is in use: drop the guard that was loaded before")]
    InUse(StreamId),
    /// The same stream was loaded as an aggregate of another type.
    #[error("{0} was loaded as another type")]
    OtherType(StreamId),
    /// The stored state can't be decoded.
    #[error("the stored state of {stream} can't be decoded")]
    State {
        /// The stream of the events that it raises.
        stream: StreamId,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The id can't name a stream.
    #[error(transparent)]
    Id(#[from] StreamIdError),
    /// An event can't be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The events are not what the aggregate can be folded from.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadError {
    /// Whether the aggregate does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// A loaded root and the version of the snapshot it came from ([`Version::EMPTY`] without one).
pub(crate) struct Loaded<A: Aggregate> {
    pub(crate) root: AggregateRoot<A>,
    pub(crate) snapshot: Version,
}

/// Loads an aggregate, which is new when its stream is empty.
pub(crate) async fn load<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    id: &A::Id,
    stream: &StreamId,
) -> Result<Loaded<A>, LoadError> {
    if A::snapshots().is_some()
        && let Some(snapshot) = backend.load_snapshot(stream).await?
    {
        match from_snapshot(backend, decoder, id, stream, &snapshot, Version::MAX).await? {
            Ok(root) => {
                return Ok(Loaded {
                    root,
                    snapshot: snapshot.version(),
                });
            }
            Err(why) => {
                let version = snapshot.version().get();
                tracing::warn!(name: telemetry::SNAPSHOT_REJECTED, %stream, version, why, "folding the events instead");
            }
        }
    }
    let mut root = AggregateRoot::new(id.clone());
    catch_up(
        backend,
        decoder,
        &mut root,
        stream,
        Version::EMPTY.next(),
        Version::MAX,
    )
    .await?;
    Ok(Loaded {
        root,
        snapshot: Version::EMPTY,
    })
}

/// An aggregate as it was at a version that it has had. What is stored does not change, so it is the same again.
pub(crate) async fn load_at<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    id: &A::Id,
    stream: &StreamId,
    version: Version,
) -> Result<AggregateRoot<A>, LoadError> {
    let mut root = AggregateRoot::new(id.clone());
    if version == Version::EMPTY {
        return Ok(root);
    }
    if A::snapshots().is_some()
        && let Some(snapshot) = backend.load_snapshot(stream).await?
        && snapshot.version() <= version
        && let Ok(loaded) = from_snapshot(backend, decoder, id, stream, &snapshot, version).await?
        && loaded.version() == version
    {
        return Ok(loaded);
    }
    catch_up(
        backend,
        decoder,
        &mut root,
        stream,
        Version::EMPTY.next(),
        version,
    )
    .await?;
    if root.version() != version {
        // It has had that version. Whoever has taken events away has to be told of.
        return Err(LoadError::Store(StoreError::Corrupt {
            what: format!("{stream} ends before version {}", version.get()),
        }));
    }
    Ok(root)
}

/// The root from a snapshot and the events after it; on any doubt about the snapshot, what is doubtful.
async fn from_snapshot<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    id: &A::Id,
    stream: &StreamId,
    snapshot: &Snapshot,
    to: Version,
) -> Result<Result<AggregateRoot<A>, &'static str>, LoadError> {
    let mut root = match AggregateRoot::from_snapshot(id.clone(), snapshot) {
        Ok(root) => root,
        Err(error) => return Ok(Err(doubt(&error))),
    };
    // The event that the snapshot ends with is read too: a snapshot that is ahead of its stream, or beside it,
    // is thus found out without another read.
    let read = ReadStream::forward(stream.clone())
        .from(snapshot.version())
        .to(to);
    let limit = read.max_events();
    let page = backend.read_stream(read).await?;
    match page.first() {
        Some(first) if first.version() != snapshot.version() => return Ok(Err("no such version")),
        Some(first) if first.id() != snapshot.event_id() => return Ok(Err("another event there")),
        Some(_) => {}
        None => return Ok(Err("ahead of the stream")),
    }
    for record in page.iter().skip(1) {
        root.apply_recorded(&decoder.decode(record)?)?;
    }
    if page.len() == limit && root.version() < to {
        let next = root.version().next();
        catch_up(backend, decoder, &mut root, stream, next, to).await?;
    }
    Ok(Ok(root))
}

/// What is wrong with a snapshot, in words that hold nothing of its content.
fn doubt(error: &SnapshotError) -> &'static str {
    match error {
        SnapshotError::Shape { .. } => "another shape",
        SnapshotError::Corrupt { .. } => "corrupt",
        SnapshotError::Decode { .. } => "can't be decoded",
        SnapshotError::WrongStream { .. } => "of another stream",
        _ => "not usable",
    }
}

/// Applies the stream's events from a version on, up to and with another.
async fn catch_up<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    root: &mut AggregateRoot<A>,
    stream: &StreamId,
    mut from: Version,
    to: Version,
) -> Result<(), LoadError> {
    loop {
        let read = ReadStream::forward(stream.clone()).from(from).to(to);
        let limit = read.max_events();
        let page = backend.read_stream(read).await?;
        for record in &page {
            root.apply_recorded(&decoder.decode(record)?)?;
        }
        if page.len() < limit || root.version() >= to {
            return Ok(());
        }
        from = root.version().next();
    }
}
