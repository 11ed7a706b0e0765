//! [`AggregateRoot`]: an aggregate with its id, its version, and what was recorded on it.

mod error;
mod snapshot;

use std::{borrow::Borrow, fmt, mem};

use uno_core::{Decoded, Envelope, IntoEvents, StreamId, StreamIdError, Version};

use crate::Aggregate;

pub use self::error::{ReplayError, SnapshotError, VersionMismatch};

/// An aggregate as it is loaded, decided about, and stored again: the state, where its stream stands, and the events
/// that were recorded and are not stored yet.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet, Version};
/// # use uno_domain::{Aggregate, AggregateRoot, ensure};
/// # #[derive(Event, Serialize, Deserialize, Debug, PartialEq)] pub struct OrderPlaced {}
/// # #[derive(EventSet, Debug, PartialEq)] pub enum OrderEvent { Placed(OrderPlaced) }
/// # #[derive(Default)] pub struct Order { placed: bool }
/// # impl Aggregate for Order {
/// #     const CATEGORY: &'static str = "order";
/// #     type Id = u32;
/// #     type Event = OrderEvent;
/// #     fn apply(&mut self, _: &OrderEvent) { self.placed = true; }
/// # }
/// # #[derive(Debug, PartialEq)] pub enum OrderError { AlreadyPlaced }
/// # impl Order {
/// #     fn place(&self) -> Result<OrderPlaced, OrderError> { ensure!(!self.placed, OrderError::AlreadyPlaced); Ok(OrderPlaced {}) }
/// # }
/// let mut order = AggregateRoot::<Order>::new(1742);
/// order.decide(Order::place)?;                                   // decides, applies and remembers
/// assert!(order.state().placed);
/// assert_eq!(order.uncommitted(), [OrderEvent::Placed(OrderPlaced {})]);
/// assert_eq!((order.committed_version(), order.version()), (Version::EMPTY, Version::EMPTY.next()));
///
/// assert_eq!(order.decide(Order::place), Err(OrderError::AlreadyPlaced)); // and records nothing
/// assert_eq!(order.uncommitted().len(), 1);
/// # Ok::<(), OrderError>(())
/// ```
///
/// It does not deref to its state, because this would compile, and lose the event:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet};
/// # use uno_domain::{Aggregate, AggregateRoot};
/// # #[derive(Event, Serialize, Deserialize)] pub struct OrderPlaced {}
/// # #[derive(EventSet)] pub enum OrderEvent { Placed(OrderPlaced) }
/// # #[derive(Default)] pub struct Order {}
/// # impl Aggregate for Order {
/// #     const CATEGORY: &'static str = "order";
/// #     type Id = u32;
/// #     type Event = OrderEvent;
/// #     fn apply(&mut self, _: &OrderEvent) {}
/// # }
/// # impl Order { fn place(&self) -> Result<OrderPlaced, ()> { Ok(OrderPlaced {}) } }
/// # let mut order = AggregateRoot::<Order>::new(1742);
/// order.place()?;                                                // wrong: decided, but not recorded
/// # Ok::<(), ()>(())
/// ```
///
/// Right is `order.decide(Order::place)?`, and `order.state()` for reading.
pub struct AggregateRoot<A: Aggregate> {
    id: A::Id,
    /// Made once: every event that is replayed is compared with it.
    stream: Result<StreamId, StreamIdError>,
    state: A,
    committed: Version,
    /// The number of the part that comes next, if the event with the committed version was split and has more; 0 else.
    next_part: u32,
    uncommitted: Vec<A::Event>,
}

impl<A: Aggregate> AggregateRoot<A> {
    /// The highest version that a stream can be at for an aggregate to go on from: 2^32 below [`Version::MAX`].
    ///
    /// Because there is always room, recording can't fail, and the version never runs over: no program holds 2^32
    /// uncommitted events. A stream with a higher version is refused when it is replayed, as
    /// [`ReplayError::NoRoom`] or [`SnapshotError::NoRoom`].
    pub const MAX_VERSION: u64 = Version::MAX.get() - (1 << 32);

    /// The aggregate with this id, before its first event.
    #[must_use]
    pub fn new(id: A::Id) -> Self {
        let stream = A::stream_id(&id);
        Self {
            id,
            stream,
            state: A::default(),
            committed: Version::EMPTY,
            next_part: 0,
            uncommitted: Vec::new(),
        }
    }

    /// The aggregate with this id, from all events of its stream.
    ///
    /// # Errors
    /// When an event is from another stream, or the events do not have the versions 1, 2, 3, ….
    pub fn from_events<I>(id: A::Id, events: I) -> Result<Self, ReplayError>
    where
        I: IntoIterator<Item: Borrow<Envelope<A::Event>>>,
    {
        let mut root = Self::new(id);
        for event in events {
            root.apply_recorded(event.borrow())?;
        }
        Ok(root)
    }

    /// Takes in the next event of the stream, which is stored already, or the next part of one that is read as several.
    ///
    /// Events that a decoder drops leave holes; [`apply_decoded`](Self::apply_decoded) knows of them.
    ///
    /// # Errors
    /// When it is from another stream, not the next one, or there are uncommitted events, which it would come before;
    /// the aggregate is then as it was.
    pub fn apply_recorded(&mut self, event: &Envelope<A::Event>) -> Result<(), ReplayError> {
        let (version, part) = (event.version(), event.part());
        if part.index() > 0 && version == self.committed && part.index() == self.next_part {
            self.check_place(event.stream(), version, version)?;
        } else if part.index() == 0 && self.next_part == 0 {
            self.check_place(event.stream(), self.committed.next(), version)?;
        } else {
            return Err(ReplayError::Part {
                stream: event.stream().clone(),
                version,
                part: part.index(),
            });
        }
        self.state.apply(event.event());
        self.committed = version;
        self.next_part = match part.index() + 1 {
            next if next < part.count() => next,
            _ => 0,
        };
        Ok(())
    }

    /// Takes in the next event of the stream with all that it is read as: one event, several, or none.
    ///
    /// # Errors
    /// As [`apply_recorded`](Self::apply_recorded).
    pub fn apply_decoded(&mut self, decoded: &Decoded<A::Event>) -> Result<(), ReplayError> {
        let record = decoded.record();
        if self.next_part != 0 {
            return Err(ReplayError::Part {
                stream: record.stream().clone(),
                version: record.version(),
                part: 0,
            });
        }
        self.check_place(record.stream(), self.committed.next(), record.version())?;
        for event in decoded.events() {
            self.state.apply(event.event());
        }
        self.committed = record.version();
        Ok(())
    }

    /// Whether an event of this stream and version can be taken in, where `expected` would be.
    fn check_place(
        &self,
        of: &StreamId,
        expected: Version,
        version: Version,
    ) -> Result<(), ReplayError> {
        let stream = self
            .stream
            .as_ref()
            .map_err(|error| ReplayError::Id(error.clone()))?;
        if of != stream {
            return Err(ReplayError::WrongStream {
                expected: stream.clone(),
                actual: of.clone(),
            });
        }
        if !self.uncommitted.is_empty() {
            return Err(ReplayError::Uncommitted {
                stream: stream.clone(),
                count: self.uncommitted.len(),
            });
        }
        if version != expected {
            return Err(ReplayError::Hole {
                stream: stream.clone(),
                expected,
                actual: version,
            });
        }
        if version.get() > Self::MAX_VERSION {
            return Err(ReplayError::NoRoom {
                stream: stream.clone(),
                version,
            });
        }
        Ok(())
    }

    /// Records what a decision that can't be refused returns: one event, several, or none.
    ///
    /// `payment.record_with(Payment::refund)`, where `refund` looks at the state and returns an `Option` of an event.
    pub fn record_with<D, R>(&mut self, decision: D)
    where
        D: FnOnce(&A) -> R,
        R: IntoEvents<A::Event>,
    {
        let events = decision(&self.state);
        self.record(events);
    }

    /// Records what a decision returns: applies it to the state, and remembers it until it is stored.
    ///
    /// # Errors
    /// Those of the decision; then nothing is recorded.
    pub fn decide<D, R, E>(&mut self, decision: D) -> Result<(), E>
    where
        D: FnOnce(&A) -> Result<R, E>,
        R: IntoEvents<A::Event>,
    {
        let events = decision(&self.state)?;
        self.record(events);
        Ok(())
    }

    /// Records events: applies them to the state, and remembers them until they are stored.
    pub fn record(&mut self, events: impl IntoEvents<A::Event>) {
        self.record_all(events.into_events());
    }

    /// The one place where new events are applied; `apply_recorded` is the one for old events.
    pub(crate) fn record_all(&mut self, events: Vec<A::Event>) {
        for event in events {
            self.state.apply(&event);
            self.uncommitted.push(event);
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> &A::Id {
        &self.id
    }

    /// The stream of its events.
    ///
    /// # Errors
    /// When the id can't be the key of a stream.
    pub fn stream_id(&self) -> Result<&StreamId, StreamIdError> {
        self.stream.as_ref().map_err(Clone::clone)
    }

    /// The state, with everything that was recorded.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The state alone.
    #[must_use]
    pub fn into_state(self) -> A {
        self.state
    }

    /// The version that the stream has once everything that was recorded is stored.
    #[must_use]
    pub fn version(&self) -> Version {
        // There is room for 2^32 events: see `MAX_VERSION`.
        self.committed
            .checked_add(self.uncommitted.len() as u64)
            .unwrap_or(Version::MAX)
    }

    /// The version of the stream as far as it is stored: what an append expects.
    #[must_use]
    pub fn committed_version(&self) -> Version {
        self.committed
    }

    /// The events that were recorded and are not stored yet.
    #[must_use]
    pub fn uncommitted(&self) -> &[A::Event] {
        &self.uncommitted
    }

    /// Notes that everything that was recorded is stored, and that the stream is at this version.
    ///
    /// # Errors
    /// When that is not the version that the aggregate has: somebody else has appended, and the state is not that of
    /// the stream. The aggregate is then as it was; drop it and load it again.
    pub fn mark_committed(&mut self, version: Version) -> Result<(), VersionMismatch> {
        if version != self.version() {
            return Err(VersionMismatch {
                expected: self.version(),
                actual: version,
            });
        }
        self.clear_uncommitted();
        Ok(())
    }

    /// Hands out what was recorded, and from then on takes it as stored.
    ///
    /// For those who append by themselves. If the append fails, drop the aggregate and load it again.
    #[must_use = "events that nobody stores are lost"]
    pub fn take_uncommitted(&mut self) -> Vec<A::Event> {
        self.committed = self.version();
        mem::take(&mut self.uncommitted)
    }

    /// Takes back everything that was recorded after the first `keep` events. `stored` is the same aggregate as it is
    /// stored, since a state can't be folded backwards.
    ///
    /// # Errors
    /// When `stored` is not what this aggregate was before its first uncommitted event; it is then as it was.
    pub fn take_back(&mut self, stored: Self, keep: usize) -> Result<(), VersionMismatch> {
        let same = stored.stream == self.stream && stored.uncommitted.is_empty();
        if !same || stored.committed != self.committed {
            return Err(VersionMismatch {
                expected: self.committed,
                actual: stored.version(),
            });
        }
        let mut events = mem::take(&mut self.uncommitted);
        events.truncate(keep);
        *self = stored;
        self.record_all(events);
        Ok(())
    }

    /// Takes everything that was recorded as stored. The state stays as it is.
    pub fn clear_uncommitted(&mut self) {
        self.committed = self.version();
        self.uncommitted.clear();
    }
}

/// Shows where the aggregate stands, not what it holds: that is the user's data and stays out of logs.
impl<A: Aggregate> fmt::Debug for AggregateRoot<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateRoot")
            .field("category", &A::CATEGORY)
            .field("id", &format_args!("{}", self.id))
            .field("committed", &self.committed)
            .field("uncommitted", &self.uncommitted.len())
            .finish_non_exhaustive()
    }
}

impl<A: Aggregate + Clone> Clone for AggregateRoot<A>
where
    A::Event: Clone,
{
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            stream: self.stream.clone(),
            state: self.state.clone(),
            committed: self.committed,
            next_part: self.next_part,
            uncommitted: self.uncommitted.clone(),
        }
    }
}
