//! [`TrackedState`]: what is kept as a state, lent out by its unit of work.

use std::{
    any::Any,
    fmt,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uno_core::{
    Backend, Decoder, DocumentWrite, EncodeError, Event, ExpectedVersion, Metadata, NewEvent,
    Payload, StreamAppend, StreamId,
};
use uno_domain::StateStored;

use super::{AnySlot, CollectError, Collected, Restore, SlotMark};
use crate::{LoadError, warm::WarmRoot};

/// What is kept as a state, lent out by the unit of work. What is changed on it is collected when the unit of work commits;
/// dropping the guard gives it back.
///
/// It derefs to the state, for reading and for changing it. The commit fails with a conflict if somebody else has
/// changed the state meanwhile, and writes nothing if it is as it was.
pub struct TrackedState<S: StateStored> {
    /// `Some` until it is dropped.
    state: Option<S>,
    touched: bool,
    slot: Arc<StateSlot<S>>,
}

impl<S: StateStored> Deref for TrackedState<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.state
            .as_ref()
            .expect("the state leaves the guard only when the guard is dropped")
    }
}

impl<S: StateStored> DerefMut for TrackedState<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.touched = true;
        self.state
            .as_mut()
            .expect("the state leaves the guard only when the guard is dropped")
    }
}

impl<S: StateStored> TrackedState<S> {
    /// Raises an event: it is appended to the [stream](StateStored::stream_id) of this one in the same commit, so that
    /// subscriptions learn of it. The state is not made of it, and must be changed besides.
    ///
    /// An event that can't be encoded fails the commit.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an event is handed over, as it is where it is recorded"
    )]
    pub fn raise<E: Event>(&mut self, event: E) {
        self.slot.place().raised.push(NewEvent::encode(&event));
    }

    /// Makes the commit fail with a conflict if somebody else has changed the state, even if nothing is changed here: for
    /// a decision that relies on what was only read.
    pub fn assert_unchanged(&self) {
        self.slot.place().assert_unchanged = true;
    }

    /// The revision that was loaded; 0 when it is new.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.slot.revision()
    }

    /// Gives it back as removed.
    pub(crate) fn discard(mut self) {
        self.state = None;
        self.slot.place().content = Content::Absent;
        // What follows is the guard's drop, which finds nothing to give back.
    }
}

impl<S: StateStored> Drop for TrackedState<S> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            let touched = self.touched;
            self.slot.place().content = Content::Here { state, touched };
        }
    }
}

/// Shows where it is from, not what it holds: that is the user's data and stays out of logs.
impl<S: StateStored> fmt::Debug for TrackedState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedState")
            .field("stream", &self.slot.stream)
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}

/// The place of a state in its unit of work. A std mutex: it is only ever held to move the state in or out.
pub(crate) struct StateSlot<S: StateStored> {
    stream: StreamId,
    /// Revision and body as they were loaded; `None` when it is new.
    stored: Option<(u64, Payload)>,
    place: Mutex<Place<S>>,
}

struct Place<S> {
    content: Content<S>,
    raised: Vec<Result<NewEvent, EncodeError>>,
    assert_unchanged: bool,
}

enum Content<S> {
    Lent,
    Here {
        state: S,
        /// Whether it was lent for changing; what was only read need not be compared.
        touched: bool,
    },
    Absent,
}

impl<S: StateStored> StateSlot<S> {
    /// Puts a state into a new slot and lends it out at once.
    pub(crate) fn lend_new(
        stream: StreamId,
        state: S,
        stored: Option<(u64, Payload)>,
    ) -> (Arc<Self>, TrackedState<S>) {
        let slot = Arc::new(Self {
            stream,
            stored,
            place: Mutex::new(Place {
                content: Content::Lent,
                raised: Vec::new(),
                assert_unchanged: false,
            }),
        });
        let touched = slot.stored.is_none();
        let tracked = slot.guard(state, touched);
        (slot, tracked)
    }

    fn guard(self: &Arc<Self>, state: S, touched: bool) -> TrackedState<S> {
        TrackedState {
            state: Some(state),
            touched,
            slot: Arc::clone(self),
        }
    }

    /// Lends the state out again; `None` if it was removed.
    pub(crate) fn lend(self: &Arc<Self>) -> Result<Option<TrackedState<S>>, LoadError> {
        let mut place = self.place();
        match std::mem::replace(&mut place.content, Content::Lent) {
            Content::Here { state, touched } => Ok(Some(self.guard(state, touched))),
            Content::Absent => {
                place.content = Content::Absent;
                Ok(None)
            }
            Content::Lent => Err(LoadError::InUse(self.stream.clone())),
        }
    }

    /// Lends out a new state in the place of one that was removed; `None` if there is one.
    pub(crate) fn lend_anew(self: &Arc<Self>, state: S) -> Option<TrackedState<S>> {
        let mut place = self.place();
        if !matches!(place.content, Content::Absent) {
            return None;
        }
        place.content = Content::Lent;
        Some(self.guard(state, true))
    }

    pub(crate) fn exists(&self) -> bool {
        !matches!(self.place().content, Content::Absent)
    }

    fn revision(&self) -> u64 {
        self.stored.as_ref().map_or(0, |(revision, _)| *revision)
    }

    fn place(&self) -> MutexGuard<'_, Place<S>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to become of the document; `None` if nothing is.
    fn write(&self, place: &Place<S>) -> Result<Option<DocumentWrite>, CollectError> {
        let (collection, key) = (S::CATEGORY, self.stream.key());
        let changed = match &place.content {
            Content::Lent => return Err(CollectError::StillLent(self.stream.clone())),
            Content::Absent => {
                let stored = self.stored.as_ref();
                stored.map(|_| DocumentWrite::remove(collection, key))
            }
            Content::Here { state, touched } if *touched || self.stored.is_none() => {
                let body = Payload::encode(state).map_err(CollectError::Refused)?;
                let same = self
                    .stored
                    .as_ref()
                    .is_some_and(|(_, stored)| *stored == body);
                (!same).then(|| DocumentWrite::put(collection, key, body))
            }
            Content::Here { .. } => None,
        };
        // Events were decided on this state, so it must still be the same.
        let guarded = place.assert_unchanged || !place.raised.is_empty();
        let kept = || DocumentWrite::keep(collection, key, self.revision());
        let write = changed.map(|write| write.expecting(self.revision()));
        Ok(write.or_else(|| guarded.then(kept)))
    }
}

impl<S: StateStored, B: Backend> AnySlot<B> for StateSlot<S> {
    fn collect(&self, metadata: &Metadata) -> Result<Collected, CollectError> {
        let mut place = self.place();
        let document = self.write(&place)?;
        let events = std::mem::take(&mut place.raised)
            .into_iter()
            .map(|event| Ok(event?.with_metadata(metadata.clone())))
            .collect::<Result<Vec<_>, EncodeError>>()
            .map_err(CollectError::Encode)?;
        // Any version: the revision of the document decides who was faster.
        let append = (!events.is_empty())
            .then(|| StreamAppend::new(self.stream.clone(), ExpectedVersion::Any, events));
        Ok(Collected {
            append,
            document,
            ..Collected::default()
        })
    }

    fn mark(&self) -> Result<SlotMark, CollectError> {
        let place = self.place();
        let (state, touched) = match &place.content {
            Content::Lent => return Err(CollectError::StillLent(self.stream.clone())),
            Content::Absent => (None, false),
            Content::Here { state, touched } => {
                let body = Payload::encode(state).map_err(CollectError::Refused)?;
                (Some(body), *touched)
            }
        };
        Ok(SlotMark {
            events: place.raised.len(),
            assert_unchanged: place.assert_unchanged,
            state,
            touched,
        })
    }

    fn check(&self, _: Option<&SlotMark>) -> Result<(), CollectError> {
        match self.place().content {
            Content::Lent => Err(CollectError::StillLent(self.stream.clone())),
            _ => Ok(()),
        }
    }

    fn prepare<'s>(
        self: Arc<Self>,
        mark: &'s SlotMark,
        _: &'s B,
        _: &'s Decoder,
    ) -> Pin<Box<dyn Future<Output = Result<Restore, LoadError>> + Send + 's>> {
        Box::pin(async move {
            let state = match &mark.state {
                Some(body) => Some(decode(&self.stream, body)?),
                None => None,
            };
            let (keep, assert_unchanged) = (mark.events, mark.assert_unchanged);
            let touched = mark.touched;
            let restore: Restore = Box::new(move || {
                let mut place = self.place();
                place.raised.truncate(keep);
                place.assert_unchanged = assert_unchanged;
                place.content = match state {
                    Some(state) => Content::Here { state, touched },
                    None => Content::Absent,
                };
            });
            Ok(restore)
        })
    }

    fn keep_warm(&self, _: &[StreamId]) -> Option<(StreamId, WarmRoot)> {
        // Which revision the commit has given it only the store knows.
        None
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// A state from what is stored of it.
pub(crate) fn decode<S: StateStored>(stream: &StreamId, body: &Payload) -> Result<S, LoadError> {
    serde_json::from_str(body.as_str()).map_err(|source| LoadError::State {
        stream: stream.clone(),
        source,
    })
}
