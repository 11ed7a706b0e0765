//! [`HashChain`]: the consumer that gives each event its link.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroU16,
    sync::Arc,
};

use async_trait::async_trait;
use uno_core::{
    Backend, Category, Commit, Document, DocumentWrite, EventFilter, EventStore, Position,
    RecordedEvent, StreamId, Version,
};
use uno_events::{Batch, ConsumeError, Consumer, Replay, Subscription};

use crate::{
    Breach, BreachKind, ChainKey, ChainName, Link, Verifier, segment::Segment, verifier::Parts,
};

/// Gives each event of the log, or of some categories, a [`Link`], in the order of each stream.
///
/// It is fed by a [durable subscription](Self::subscription) of one lane. The links are documents of the backend that it is given, and are committed together
/// with the subscription's checkpoint, so each event has one link, whatever dies. An append costs nothing for it. The backend need not be the
/// store of the log: the manager that the subscription is given to keeps its checkpoints in the backend too, then.
///
/// An event that comes again, after a reset, is held against the link that it has. If they do not fit, or a link before it is missing, the
/// subscription stops there, and says so; nothing is written over.
pub struct HashChain<B> {
    name: ChainName,
    key: Option<ChainKey>,
    filter: EventFilter,
    backend: Arc<B>,
}

impl<B: Backend> HashChain<B> {
    /// A chain over all events, with its links in this backend.
    #[must_use]
    pub fn new(name: ChainName, backend: Arc<B>) -> Self {
        Self {
            name,
            key: None,
            filter: EventFilter::all(),
            backend,
        }
    }

    /// The same, with a secret in every link. The links of another key do not fit: another key takes another chain.
    #[must_use]
    pub fn keyed(mut self, key: ChainKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The same, over the streams of these categories only. Those of others have no links. To have more categories later takes another chain, since a chain does not go back.
    #[must_use]
    pub fn categories(mut self, categories: impl IntoIterator<Item = Category>) -> Self {
        self.filter = EventFilter::all().categories(categories);
        self
    }

    /// The subscription that feeds it, named `uno.chain.` and the name. It is for good: events that were passed over have no link.
    #[must_use]
    pub fn subscription(self) -> Subscription {
        Subscription::new(
            self.name.subscription().clone(),
            Replay::Safe,
            Arc::new(self),
        )
        .lanes(NonZeroU16::MIN)
        .no_parking()
    }

    /// What works the links out again for the events of `log`.
    #[must_use]
    pub fn verifier(&self, log: Arc<dyn EventStore>) -> Verifier {
        Verifier::new(Parts {
            name: self.name.clone(),
            key: self.key.clone(),
            filter: self.filter.clone(),
            log,
            links: self.backend.clone(),
            checkpoints: self.backend.clone(),
        })
    }

    /// The documents in which the events have their links, and those in which the events before them have.
    async fn load(&self, events: &[Arc<RecordedEvent>]) -> Result<Slots, ConsumeError> {
        let mut slots = Slots::new();
        for event in events {
            let (stream, version) = (event.stream(), event.version());
            for version in [version.previous(), version] {
                slots
                    .entry((stream.clone(), Segment::number(version)))
                    .or_insert_with(|| Slot::new(stream, version));
            }
        }
        let keys: Vec<String> = slots.values().map(|slot| slot.key.clone()).collect();
        let collection = self.name.collection();
        let found = self.backend.load_documents(collection, &keys).await?;
        let found: HashMap<&str, &Document> = found.iter().map(|one| (one.key(), one)).collect();
        for slot in slots.values_mut() {
            if let Some(document) = found.get(&*slot.key) {
                slot.revision = document.revision();
                if let Some(segment) = Segment::read(document) {
                    slot.segment = segment;
                }
            }
        }
        Ok(slots)
    }

    /// Adds the link of an event, or compares it with the one that is there.
    fn link(&self, event: &RecordedEvent, slots: &mut Slots) -> Result<(), BreachKind> {
        let (stream, version) = (event.stream(), event.version());
        let place = |version| (stream.clone(), Segment::number(version));
        let link_of = |slots: &Slots, version| slots.get(&place(version))?.segment.link(version);
        let before = version.previous();
        let previous = match before.get() {
            0 => None,
            _ => Some(link_of(slots, before).ok_or(BreachKind::NotLinked)?),
        };
        let link = Link::of(event, previous, self.key.as_ref());
        if let Some(stored) = link_of(slots, version) {
            return if stored == link {
                Ok(())
            } else {
                Err(BreachKind::Altered)
            };
        }
        let slot = slots
            .get_mut(&place(version))
            .ok_or(BreachKind::NotLinked)?;
        if !slot.segment.push(version, link) {
            return Err(BreachKind::NotLinked);
        }
        slot.changed = true;
        Ok(())
    }

    async fn chain(&self, batch: Batch) -> Result<(), ConsumeError> {
        let lanes = batch.lanes();
        let (events, checkpoint) = batch.into_parts();
        let first = events
            .first()
            .map_or(Position::START, |event| event.position());
        if lanes > NonZeroU16::MIN {
            // The verifier goes by one checkpoint.
            let source = Box::new(ChainError::SeveralLanes(lanes));
            return Err(ConsumeError::Stop {
                position: first,
                source,
            });
        }
        let mut slots = self.load(&events).await?;
        for event in &events {
            self.link(event, &mut slots)
                .map_err(|kind| ConsumeError::Stop {
                    position: event.position(),
                    source: Box::new(ChainError::Breach(Breach::at(event, kind))),
                })?;
        }
        let mut commit = Commit::new();
        commit.checkpoints.push(checkpoint);
        for slot in slots.into_values().filter(|slot| slot.changed) {
            let body = slot
                .segment
                .to_payload()
                .map_err(|error| ConsumeError::Stop {
                    position: first,
                    source: error.into(),
                })?;
            let write = DocumentWrite::put(self.name.collection(), slot.key, body);
            // Whoever else has changed it is not this chain.
            commit.documents.push(write.expecting(slot.revision));
        }
        self.backend.commit(commit).await?;
        Ok(())
    }
}

/// By stream and number of the segment.
type Slots = BTreeMap<(StreamId, u64), Slot>;

/// A document that a batch reads or changes.
struct Slot {
    key: String,
    segment: Segment,
    /// Its revision in the store; 0 when it is not there.
    revision: u64,
    changed: bool,
}

impl Slot {
    fn new(stream: &StreamId, version: Version) -> Self {
        Self {
            key: Segment::key(stream, version),
            segment: Segment::new(stream),
            revision: 0,
            changed: false,
        }
    }
}

#[async_trait]
impl<B: Backend> Consumer for HashChain<B> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        self.chain(batch).await
    }
}

impl<B> fmt::Debug for HashChain<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashChain")
            .field("name", &self.name)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why a chain stops: the source of the [`ConsumeError::Stop`] that the subscription's status tells of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// An event does not fit what the chain has of it, or of the one before it.
    #[error(transparent)]
    Breach(Breach),
    /// The subscription was given several lanes.
    #[error("a hash chain has one lane, not {0}")]
    SeveralLanes(NonZeroU16),
}
