//! [`Verifier`]: works the links out again.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use uno_core::{
    CheckpointStore, DocumentStore, EventFilter, EventStore, Lane, Position, ReadLog, ReadStream,
    RecordedEvent, StoreError, StreamId, Version,
};

use crate::{Breach, BreachKind, ChainKey, ChainName, Link, Verification, segment::Segment};

/// Reads events and links, works the links out again from the first event of each stream on, and names the first that does not fit.
///
/// It may run beside writers and beside the chain itself: it reads how far the chain is, then links, then events, so what is committed meanwhile is never
/// taken for a breach. It changes nothing, and may be dropped at any time.
#[derive(Clone)]
pub struct Verifier {
    parts: Parts,
}

/// What a verifier needs.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) name: ChainName,
    pub(crate) key: Option<ChainKey>,
    pub(crate) filter: EventFilter,
    pub(crate) log: Arc<dyn EventStore>,
    pub(crate) links: Arc<dyn DocumentStore>,
    pub(crate) checkpoints: Arc<dyn CheckpointStore>,
}

/// How many segments are read at a time once a stream has more than one.
const SEGMENTS: u64 = 16;
const PAGE: usize = 1_000;

impl Verifier {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Verifies one stream. A stream that the chain is not about is not looked at.
    ///
    /// # Errors
    /// When the stores can't be read. What does not fit is no error but a [breach](Verification::breaches).
    pub async fn verify_stream(&self, stream: &StreamId) -> Result<Verification, StoreError> {
        let mut verification = Verification::default();
        if self.is_about(stream) {
            let sealed = self.sealed().await?;
            self.stream(stream, sealed, &mut verification).await?;
        }
        Ok(verification)
    }

    /// Verifies every stream that has links, and then looks for events that have none.
    ///
    /// It reads the log twice: by streams, and in its order. Memory does not grow with the log, only with the number of streams that are breached.
    ///
    /// # Errors
    /// When the stores can't be read.
    pub async fn verify_all(&self) -> Result<Verification, StoreError> {
        let mut verification = Verification::default();
        let mut breached = HashSet::new();
        let sealed = self.sealed().await?;
        let collection = self.parts.name.collection();
        let mut after: Option<String> = None;
        loop {
            let links = &self.parts.links;
            let found = links.scan_documents(collection, after.as_deref(), 100);
            let mut last = after.clone();
            for document in found.await? {
                if last.as_deref().is_some_and(|last| document.key() <= last) {
                    continue;
                }
                last = Some(Segment::after_stream(document.key()));
                let stream = Segment::read(&document).and_then(|segment| segment.stream());
                if let Some(stream) = stream.filter(|stream| self.is_about(stream)) {
                    let breaches = verification.breached;
                    self.stream(&stream, sealed, &mut verification).await?;
                    if verification.breached > breaches {
                        breached.insert(stream);
                    }
                }
            }
            if last == after {
                break;
            }
            after = last;
        }
        // Counted by the walk through the log alone, which sees streams without links too.
        verification.waiting = 0;
        self.look_for_strangers(sealed, breached, &mut verification)
            .await?;
        Ok(verification)
    }

    /// The link of an event, as it is stored: to be kept elsewhere, and compared later. It stands for all events of the stream up to this one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn link(
        &self,
        stream: &StreamId,
        version: Version,
    ) -> Result<Option<Link>, StoreError> {
        let key = Segment::key(stream, version);
        let collection = self.parts.name.collection();
        let found = self.parts.links.load_documents(collection, &[key]).await?;
        let segment = found.first().and_then(Segment::read);
        Ok(segment.and_then(|segment| segment.link(version)))
    }

    fn is_about(&self, stream: &StreamId) -> bool {
        let categories = self.parts.filter.wanted_categories();
        categories.is_none_or(|categories| categories.contains(stream.category()))
    }

    /// Up to where events have links.
    async fn sealed(&self) -> Result<Position, StoreError> {
        let name = self.parts.name.subscription();
        let checkpoint = self.parts.checkpoints.load_checkpoint(name, Lane::FIRST);
        let checkpoint = checkpoint.await?;
        Ok(checkpoint.map_or(Position::START, |checkpoint| checkpoint.position()))
    }

    /// Verifies a stream, up to the first event that does not fit.
    async fn stream(
        &self,
        stream: &StreamId,
        sealed: Position,
        verification: &mut Verification,
    ) -> Result<(), StoreError> {
        verification.streams += 1;
        let mut walk = Walk {
            stream,
            sealed,
            key: self.parts.key.as_ref(),
            previous: None,
            is_waiting: false,
            verification,
        };
        // A stream is short, or it is read in large pages.
        let mut segments = 1;
        let mut first = Version::EMPTY.next();
        loop {
            let page = self.page(stream, first, segments).await?;
            match walk.page(first, &page) {
                Some(next) => (first, segments) = (next, SEGMENTS),
                None => return Ok(()),
            }
        }
    }

    /// Links from a version on, and then the events.
    async fn page(
        &self,
        stream: &StreamId,
        first: Version,
        most: u64,
    ) -> Result<StreamPage, StoreError> {
        let prefix = Segment::stream_key(stream);
        let after = match first.previous() {
            Version::EMPTY => prefix.clone(),
            before => Segment::key(stream, before),
        };
        let (links, collection) = (&self.parts.links, self.parts.name.collection());
        // One more than is needed tells whether the stream has links beyond.
        let found = links
            .scan_documents(collection, Some(&after), most as usize + 1)
            .await?;
        let segments: BTreeMap<u64, Segment> = found
            .iter()
            .filter(|document| document.key().starts_with(&prefix))
            .filter_map(|document| {
                let segment = Segment::read(document)?;
                let is_its_own = segment.stream().as_ref() == Some(stream);
                let number = Segment::number_of(document.key())?;
                Some((number, segment)).filter(|_| is_its_own)
            })
            .collect();
        let count = most * Segment::LINKS;
        let last = first.checked_add(count - 1).unwrap_or(Version::MAX);
        let read = ReadStream::forward(stream.clone())
            .from(first)
            .to(last)
            .limit(count as usize);
        Ok(StreamPage {
            events: self.parts.log.read_stream(read).await?,
            segments,
            last,
        })
    }

    /// Looks for events of streams that have no links at all, though the chain is past them.
    async fn look_for_strangers(
        &self,
        sealed: Position,
        mut breached: HashSet<StreamId>,
        verification: &mut Verification,
    ) -> Result<(), StoreError> {
        let (mut after, collection) = (Position::START, self.parts.name.collection());
        loop {
            let read = ReadLog::after(after)
                .filter(self.parts.filter.clone())
                .limit(PAGE);
            let page = self.parts.log.read_log(read).await?;
            let key = |event: &RecordedEvent| Segment::key(event.stream(), event.version());
            let (old, new): (Vec<_>, Vec<_>) = page
                .events()
                .iter()
                .partition(|event| event.position() <= sealed);
            verification.waiting += new.len() as u64;
            let keys: HashSet<String> = old.iter().map(|event| key(event)).collect();
            let keys: Vec<String> = keys.into_iter().collect();
            let found = match keys.len() {
                0 => Vec::new(),
                _ => self.parts.links.load_documents(collection, &keys).await?,
            };
            let segments: BTreeMap<&str, Segment> = found
                .iter()
                .filter_map(|document| Some((document.key(), Segment::read(document)?)))
                .collect();
            for event in old {
                let segment = segments.get(key(event).as_str());
                let link = segment.and_then(|segment| segment.link(event.version()));
                if link.is_none() && breached.insert(event.stream().clone()) {
                    verification.streams += 1;
                    verification.add(Breach::at(event, BreachKind::NotLinked));
                }
            }
            match page.scanned() {
                Some((position, _)) if position > after => after = position,
                _ => return Ok(()),
            }
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("name", &self.parts.name)
            .field("key", &self.parts.key)
            .finish_non_exhaustive()
    }
}

/// A stretch of a stream and what the chain has of it.
struct StreamPage {
    events: Vec<Arc<RecordedEvent>>,
    /// By their numbers.
    segments: BTreeMap<u64, Segment>,
    /// The last version that it may have.
    last: Version,
}

/// The way through a stream.
struct Walk<'w> {
    stream: &'w StreamId,
    sealed: Position,
    key: Option<&'w ChainKey>,
    previous: Option<Link>,
    /// Whether it has met an event that the chain had not come to.
    is_waiting: bool,
    verification: &'w mut Verification,
}

impl Walk<'_> {
    /// Verifies a page, and gives the version that the next one begins with; `None` at the end, and after a breach.
    fn page(&mut self, first: Version, page: &StreamPage) -> Option<Version> {
        let mut events = page.events.iter().peekable();
        let mut version = first;
        while version <= page.last {
            let number = Segment::number(version);
            let segment = page.segments.get(&number);
            let link = segment.and_then(|segment| segment.link(version));
            let event = events.next_if(|event| event.version() == version);
            let breach = match (event, link) {
                // Its link may be there by now, but the one before it was not when it was looked for.
                (Some(event), _) if self.is_waiting && event.position() > self.sealed => {
                    self.verification.waiting += 1;
                    version = version.next();
                    continue;
                }
                (Some(event), Some(link)) => {
                    let expected = Link::of(event, self.previous, self.key);
                    self.previous = Some(link);
                    (expected != link).then(|| Breach::at(event, BreachKind::Altered))
                }
                // The chain has not come to it, nor to any that is after it.
                (Some(event), None) if event.position() > self.sealed => {
                    self.is_waiting = true;
                    self.verification.waiting += 1;
                    version = version.next();
                    continue;
                }
                (Some(event), None) => Some(Breach::at(event, BreachKind::NotLinked)),
                (None, Some(_)) => Some(Breach::missing(self.stream, version)),
                (None, None) => {
                    let later = page
                        .segments
                        .range(number..)
                        .any(|(later, segment)| *later > number || segment.has_after(version));
                    if later || events.peek().is_some() {
                        self.verification.add(Breach::missing(self.stream, version));
                    }
                    return None;
                }
            };
            if let Some(breach) = breach {
                self.verification.add(breach);
                return None;
            }
            self.verification.verified += 1;
            version = version.next();
        }
        Some(version)
    }
}
