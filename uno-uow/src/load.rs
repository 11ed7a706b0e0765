//! Loading an aggregate: a snapshot if there is one to be trusted, and the events after it.

use std::time::{Duration, Instant};

use uno_core::{
    AsOf, Backend, DecodeError, Decoder, ReadStream, Snapshot, StoreError, StreamId, StreamIdError,
    Version,
};
use uno_domain::{Aggregate, AggregateRoot, ReplayError, SnapshotError};

use crate::{Moment, snapshot_keeper::SnapshotKeeper};

/// Why an aggregate can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The stream has no events.
    #[error("there is no {0}")]
    NotFound(StreamId),
    /// The stream has not come to that version yet.
    #[error("{stream} is at version {head}, and has never been at version {version}")]
    NeverThere {
        /// The stream.
        stream: StreamId,
        /// The version that was asked for.
        version: Version,
        /// The version it is at.
        head: Version,
    },
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
    /// How long it took.
    pub(crate) time: Duration,
}

impl<A: Aggregate> Loaded<A> {
    /// A root that nothing was loaded for.
    pub(crate) fn new(root: AggregateRoot<A>) -> Self {
        Self {
            root,
            snapshot: Version::EMPTY,
            time: Duration::ZERO,
        }
    }
}

/// Loads an aggregate, which is new when its stream is empty.
pub(crate) async fn load<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    snapshots: &SnapshotKeeper,
    id: &A::Id,
    stream: &StreamId,
) -> Result<Loaded<A>, LoadError> {
    let begun = Instant::now();
    if A::snapshots().is_some()
        && let Some(snapshot) = find_snapshot(backend, snapshots, stream).await?
    {
        match from_snapshot(backend, decoder, id, stream, &snapshot, Until::NOW).await? {
            Ok(root) => {
                snapshots.used();
                return Ok(Loaded {
                    root,
                    snapshot: snapshot.version(),
                    time: begun.elapsed(),
                });
            }
            Err(why) => snapshots.rejected(stream, snapshot.version(), why),
        }
    }
    let mut root = AggregateRoot::new(id.clone());
    catch_up(
        backend,
        decoder,
        &mut root,
        stream,
        Version::EMPTY.next(),
        Until::NOW,
    )
    .await?;
    Ok(Loaded {
        root,
        snapshot: Version::EMPTY,
        time: begun.elapsed(),
    })
}

/// The stored snapshot. One that the store itself can't make sense of is none, because it is a cache.
async fn find_snapshot<B: Backend>(
    backend: &B,
    snapshots: &SnapshotKeeper,
    stream: &StreamId,
) -> Result<Option<Snapshot>, StoreError> {
    match backend.load_snapshot(stream).await {
        Err(StoreError::Corrupt { .. }) => {
            snapshots.rejected(stream, Version::EMPTY, "unreadable");
            Ok(None)
        }
        found => found,
    }
}

/// An aggregate as it was at a version that it has had. What is stored does not change, so it is the same again.
pub(crate) async fn load_at<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    snapshots: &SnapshotKeeper,
    id: &A::Id,
    stream: &StreamId,
    version: Version,
) -> Result<AggregateRoot<A>, LoadError> {
    let moment = Moment::Version(version);
    let root = load_as_of(backend, decoder, snapshots, id, stream, moment).await?;
    if root.version() != version {
        // It has had that version. Whoever has taken events away has to be told of.
        return Err(LoadError::Store(StoreError::Corrupt {
            what: format!("{stream} ends before version {}", version.get()),
        }));
    }
    Ok(root)
}

/// An aggregate as it was at a moment, which is new when its stream had no events then.
pub(crate) async fn load_as_of<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    snapshots: &SnapshotKeeper,
    id: &A::Id,
    stream: &StreamId,
    moment: Moment,
) -> Result<AggregateRoot<A>, LoadError> {
    let until = match moment {
        Moment::Version(Version::EMPTY) => return Ok(AggregateRoot::new(id.clone())),
        Moment::Version(version) => Until::version(version),
        Moment::Position(position) => Until {
            as_of: Some(AsOf::Position(position)),
            ..Until::NOW
        },
        Moment::Time(time) => Until {
            as_of: Some(AsOf::Time(time)),
            ..Until::NOW
        },
    };
    // A snapshot is of use when it was not made later: the event that it ends with is then among those that are read.
    if A::snapshots().is_some()
        && let Some(snapshot) = find_snapshot(backend, snapshots, stream).await?
        && snapshot.version() <= until.version
        && let Ok(root) = from_snapshot(backend, decoder, id, stream, &snapshot, until).await?
    {
        return Ok(root);
    }
    let mut root = AggregateRoot::new(id.clone());
    let first = Version::EMPTY.next();
    catch_up(backend, decoder, &mut root, stream, first, until).await?;
    Ok(root)
}

/// The root from a snapshot and the events after it; on any doubt about the snapshot, what is doubtful.
async fn from_snapshot<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    id: &A::Id,
    stream: &StreamId,
    snapshot: &Snapshot,
    until: Until,
) -> Result<Result<AggregateRoot<A>, &'static str>, LoadError> {
    let mut root = match AggregateRoot::from_snapshot(id.clone(), snapshot) {
        Ok(root) => root,
        Err(error) => return Ok(Err(doubt(&error))),
    };
    // The event that the snapshot ends with is read too: a snapshot that is ahead of its stream, or beside it,
    // is thus found out without another read.
    let read = until.read(stream, snapshot.version());
    let limit = read.max_events();
    let page = backend.read_stream(read).await?;
    match page.first() {
        Some(first) if first.version() != snapshot.version() => return Ok(Err("no such version")),
        Some(first) if first.id() != snapshot.event_id() => return Ok(Err("another event there")),
        Some(_) => {}
        None => return Ok(Err("ahead of the stream")),
    }
    for record in page.iter().skip(1) {
        root.apply_decoded(&decoder.decode_all(record)?)?;
    }
    if page.len() == limit && root.version() < until.version {
        let next = root.version().next();
        catch_up(backend, decoder, &mut root, stream, next, until).await?;
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

/// Applies the stream's events from a version on.
async fn catch_up<A: Aggregate, B: Backend>(
    backend: &B,
    decoder: &Decoder,
    root: &mut AggregateRoot<A>,
    stream: &StreamId,
    mut from: Version,
    until: Until,
) -> Result<(), LoadError> {
    loop {
        let read = until.read(stream, from);
        let limit = read.max_events();
        let page = backend.read_stream(read).await?;
        for record in &page {
            root.apply_decoded(&decoder.decode_all(record)?)?;
        }
        if page.len() < limit || root.version() >= until.version {
            return Ok(());
        }
        from = root.version().next();
    }
}

/// Where loading ends.
#[derive(Clone, Copy)]
struct Until {
    /// Up to and with this version.
    version: Version,
    /// What was recorded by then.
    as_of: Option<AsOf>,
}

impl Until {
    /// All there is.
    const NOW: Self = Self {
        version: Version::MAX,
        as_of: None,
    };

    fn version(version: Version) -> Self {
        Self {
            version,
            ..Self::NOW
        }
    }

    fn read(self, stream: &StreamId, from: Version) -> ReadStream {
        let read = ReadStream::forward(stream.clone())
            .from(from)
            .to(self.version);
        match self.as_of {
            Some(moment) => read.as_of(moment),
            None => read,
        }
    }
}
