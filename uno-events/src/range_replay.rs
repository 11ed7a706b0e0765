//! [`RangeReplay`]: a stretch of the log once more, into handlers.
//!
//! Long because every end of the stretch and every kind of handler has its method, and what a replay tells is here as well.

mod target;

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uno_core::{
    AsOf, BoxError, DecodeError, Decoder, EventFilter, EventId, EventSet, EventStore,
    EventStoreExt as _, Position, ReadLog, RegistrationError, StoreError,
};

use self::target::{Recorded, Target, Typed};
use crate::{IntoEventHandler, IntoRecordedHandler, Replay, Subscription};

/// Feeds a stretch of the log to handlers once more, outside of any subscription: nothing is stored, no checkpoint moves, nothing is parked.
///
/// Handlers are declared as they are for a [`Subscription`]. Those that are [live-only](Replay::LiveOnly) are never called, so the handlers of
/// an application can be given as they are: what must not happen twice does not. Their names are in the [report](ReplayReport::skipped).
///
/// Each event goes to all handlers that want it, in the order in which they were added, before the next one is looked at.
/// The first failure ends it, with the place in the error. [`run`](Self::run) then goes on with that event, or [`after`](Self::after) it.
///
/// ```
/// use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// use uno_core::{Decoder, Envelope};
/// use uno_events::{RangeReplay, Replay};
/// # #[derive(uno_core::Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
///
/// # async fn example(
/// #     store: Arc<dyn uno_core::EventStore>,
/// #     monday: chrono::DateTime<chrono::Utc>,
/// #     friday: chrono::DateTime<chrono::Utc>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut replay = RangeReplay::new(store, Decoder::new())
///     .from_time(monday)
///     .until_time(friday)
///     .handler("figures", Replay::Safe, |event: Arc<Envelope<OrderPlaced>>| async move {
///         // … add it up
/// #       let _ = event;
///         Ok(())
///     })?
///     .handler("mail", Replay::LiveOnly, |event: Arc<Envelope<OrderPlaced>>| async move {
///         // … send it: not today
/// #       let _ = event;
///         Ok(())
///     })?
///     .on_progress(|progress| println!("{} of {}", progress.position(), progress.last()));
/// let report = replay.run().await?;
/// assert_eq!(report.skipped(), ["mail"]);
/// # Ok(())
/// # }
/// ```
///
/// # What it is not
/// Projections and sagas keep what they have handled in the store, with a checkpoint: a projection is rebuilt instead, and a saga is never
/// fed twice.
pub struct RangeReplay {
    store: Arc<dyn EventStore>,
    decoder: Decoder,
    from: Place,
    until: Option<Place>,
    filter: EventFilter,
    batch_size: usize,
    time_limit: Option<Duration>,
    targets: Vec<Box<dyn Target>>,
    skipped: Vec<String>,
    on_progress: Option<OnProgress>,
    /// The stretch in positions, once it is known; the first moves on.
    stretch: Option<(Position, Position)>,
    handled: u64,
}

/// Told after each page.
type OnProgress = Box<dyn FnMut(&ReplayProgress) + Send>;

/// An end of the stretch, as it was given.
#[derive(Clone, Copy, Debug)]
enum Place {
    Position(Position),
    Time(DateTime<Utc>),
}

impl RangeReplay {
    /// All of the log, as long as it is when the replay [begins](Self::run), and no handler yet.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, decoder: Decoder) -> Self {
        Self {
            store,
            decoder,
            from: Place::Position(Position::START),
            until: None,
            filter: EventFilter::all(),
            batch_size: ReadLog::DEFAULT_LIMIT,
            time_limit: Some(Subscription::TIME_LIMIT),
            targets: Vec::new(),
            skipped: Vec::new(),
            on_progress: None,
            stretch: None,
            handled: 0,
        }
    }

    /// Begins behind this position. Of a replay that has begun, goes on behind it: it was run elsewhere, or an event that fails is passed over.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.from = Place::Position(position);
        if let Some((after, _)) = &mut self.stretch {
            *after = position;
        }
        self
    }

    /// Begins with the first event that was recorded at or after this time.
    #[must_use]
    pub fn from_time(mut self, time: DateTime<Utc>) -> Self {
        self.from = Place::Time(time);
        self.stretch = None;
        self
    }

    /// Ends with this position, itself included.
    #[must_use]
    pub fn until(mut self, position: Position) -> Self {
        self.until = Some(Place::Position(position));
        self.stretch = None;
        self
    }

    /// Ends with the last event that was recorded up to and with this time.
    #[must_use]
    pub fn until_time(mut self, time: DateTime<Utc>) -> Self {
        self.until = Some(Place::Time(time));
        self.stretch = None;
        self
    }

    /// Only these events, of those that the handlers want.
    #[must_use]
    pub fn filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// How many events are read at a time, and after how many progress is told; at least one.
    #[must_use]
    pub fn batch_size(mut self, events: usize) -> Self {
        self.batch_size = events.max(1);
        self
    }

    /// How long a handler may take for one event, [`Subscription::TIME_LIMIT`] unless it is said. Then it is dropped, which counts as a failure.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// A handler may take as long as it likes.
    #[must_use]
    pub fn no_time_limit(mut self) -> Self {
        self.time_limit = None;
        self
    }

    /// Feeds a handler of the events of a set, unless it is live-only.
    ///
    /// # Errors
    /// When the decoder can't read the set.
    pub fn handler<E: EventSet, Form>(
        mut self,
        name: impl Into<String>,
        replay: Replay,
        handler: impl IntoEventHandler<E, Form>,
    ) -> Result<Self, RegistrationError> {
        let name = name.into();
        match replay {
            Replay::LiveOnly => self.skipped.push(name),
            Replay::Safe => {
                let (handler, decoder) = (handler.into_handler(), self.decoder.clone());
                let target = Typed::new(name, handler, decoder)?;
                self.targets.push(Box::new(target));
            }
        }
        Ok(self)
    }

    /// Feeds a handler of recorded events that fit a filter, unless it is live-only.
    #[must_use]
    pub fn recorded<Form>(
        mut self,
        name: impl Into<String>,
        replay: Replay,
        filter: EventFilter,
        handler: impl IntoRecordedHandler<Form>,
    ) -> Self {
        let name = name.into();
        match replay {
            Replay::LiveOnly => self.skipped.push(name),
            Replay::Safe => {
                let target = Recorded::new(name, handler.into_handler(), filter);
                self.targets.push(Box::new(target));
            }
        }
        self
    }

    /// Tells how far it has come, after each batch.
    #[must_use]
    pub fn on_progress(mut self, tell: impl FnMut(&ReplayProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(tell));
        self
    }

    /// Feeds the stretch, or what is left of it: where it ends is decided by the first call.
    ///
    /// # Errors
    /// When a handler failed, an event can't be decoded, or the store can't be read. Called again, it goes on with the event that failed, or
    /// where the store was read last.
    ///
    /// # Cancellation
    /// When it is dropped, [`position`](Self::position) is behind the last event that all handlers are done with; called again, it goes on
    /// with the next one, which some may have handled before.
    pub async fn run(&mut self) -> Result<ReplayReport, RangeReplayError> {
        let (mut after, last) = match self.stretch {
            Some(stretch) => stretch,
            None => *self
                .stretch
                .insert(find_stretch(&*self.store, self.from, self.until).await?),
        };
        let filter = self.pushed_down();
        while after < last && !self.targets.is_empty() {
            let read = ReadLog::after(after)
                .as_of(AsOf::Position(last))
                .filter(filter.clone())
                .limit(self.batch_size);
            let page = self.store.read_log(read).await?;
            let scanned = page.scanned().map_or(last, |(position, _)| position);
            for event in page.events() {
                if self.filter.matches(event) {
                    let mut wanted = false;
                    for target in &self.targets {
                        if target.filter().matches(event) {
                            wanted = true;
                            target.feed(event, self.time_limit).await?;
                        }
                    }
                    self.handled += u64::from(wanted);
                }
                self.stretch = Some((event.position(), last));
            }
            after = scanned;
            self.stretch = Some((after, last));
            let progress = self.progress(after, last);
            if let Some(tell) = &mut self.on_progress {
                tell(&progress);
            }
        }
        Ok(ReplayReport {
            progress: self.progress(after, last),
            skipped: self.skipped.clone(),
        })
    }

    /// Behind the last event that all handlers are done with; where it begins, as far as that is known, before it has begun.
    #[must_use]
    pub fn position(&self) -> Position {
        match (self.stretch, self.from) {
            (Some((after, _)), _) | (None, Place::Position(after)) => after,
            (None, Place::Time(_)) => Position::START,
        }
    }

    fn progress(&self, position: Position, last: Position) -> ReplayProgress {
        ReplayProgress {
            position,
            last,
            handled: self.handled,
        }
    }

    /// What the store is asked for: the filter, and if it says nothing of names, those that the handlers want.
    fn pushed_down(&self) -> EventFilter {
        if self.filter.wanted_names().is_some() {
            return self.filter.clone();
        }
        let mut names = Vec::new();
        for target in &self.targets {
            match target.filter().wanted_names() {
                Some(wanted) => names.extend_from_slice(wanted),
                None => return self.filter.clone(),
            }
        }
        self.filter.clone().names(names)
    }
}

impl fmt::Debug for RangeReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReplay")
            .field("from", &self.from)
            .field("until", &self.until)
            .field("stretch", &self.stretch)
            .field("handled", &self.handled)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

async fn find_stretch(
    store: &dyn EventStore,
    from: Place,
    until: Option<Place>,
) -> Result<(Position, Position), StoreError> {
    let after = match from {
        Place::Position(position) => position,
        Place::Time(time) => last_before(store, time).await?,
    };
    let last = match until {
        None => store.head().await?.position(),
        Some(Place::Position(position)) => position.min(store.head().await?.position()),
        Some(Place::Time(time)) => store.log_at(time).await?.position(),
    };
    Ok((after, last))
}

/// The position of the last event that was recorded before a time; [`Position::START`] when there is none.
pub(crate) async fn last_before(
    store: &dyn EventStore,
    time: DateTime<Utc>,
) -> Result<Position, StoreError> {
    let earlier = EventFilter::all().recorded_before(time);
    let read = ReadLog::before(Position::MAX).filter(earlier).limit(1);
    let page = store.read_log(read).await?;
    let last = page.events().first();
    Ok(last.map_or(Position::START, |event| event.position()))
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    position: Position,
    last: Position,
    handled: u64,
}

impl ReplayProgress {
    /// Up to which position everything is handled.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The position that it ends with.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// How many events were handled, each counted once, whatever number of handlers it went to.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.handled
    }
}

/// What became of a replay that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    progress: ReplayProgress,
    skipped: Vec<String>,
}

impl ReplayReport {
    /// How many events were handled, each counted once, whatever number of handlers it went to.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.progress.handled
    }

    /// Up to which position everything is handled.
    #[must_use]
    pub fn position(&self) -> Position {
        self.progress.position
    }

    /// The handlers that were not called, since they are live-only.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

/// Why a replay did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RangeReplayError {
    /// A handler failed, panicked, or took too long.
    #[error("handler {handler} could not handle the event at position {position}")]
    Handler {
        /// Which handler.
        handler: String,
        /// Where the event is.
        position: Position,
        /// Which event.
        event: EventId,
        /// What the handler said.
        source: BoxError,
    },
    /// An event can't be decoded for a handler.
    #[error("the event at position {position} can't be decoded for handler {handler}")]
    Decode {
        /// Which handler.
        handler: String,
        /// Where the event is.
        position: Position,
        /// Why.
        source: DecodeError,
    },
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RangeReplayError {
    /// Where the event is that was not handled.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Handler { position, .. } | Self::Decode { position, .. } => Some(*position),
            Self::Store(_) => None,
        }
    }
}
