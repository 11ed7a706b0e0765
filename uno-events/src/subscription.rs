//! [`Subscription`]: what is to be fed, and how.
//!
//! Long because every option of a subscription is a method that is explained where it is.

mod handler_consumer;
mod retry;

use std::{
    borrow::Cow,
    fmt,
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use uno_core::{
    Decoder, EventFilter, EventSet, Lane, RecordedEvent, RegistrationError, SubscriptionName,
    SubscriptionStore,
};

use self::handler_consumer::{HandlerConsumer, RecordedTarget, TypedTarget};
use crate::{Consumer, IntoEventHandler, IntoRecordedHandler, Replay};

pub use self::retry::RetryPolicy;

/// A durable subscription, as it is given to a [`SubscriptionManager`](crate::SubscriptionManager).
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// # use serde::{Deserialize, Serialize};
/// use uno_core::{Envelope, SubscriptionName};
/// use uno_events::{Replay, RetryPolicy, Subscription};
/// # #[derive(uno_core::Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
///
/// let mail = Subscription::handler(
///     SubscriptionName::new("confirmation-mail")?,
///     Replay::LiveOnly,
///     |event: Arc<Envelope<OrderPlaced>>| async move {
///         // … send it
/// #       let _ = event;
///         Ok(())
///     },
/// )
/// .group("notifications")
/// .retry(RetryPolicy::new().retries(5).base(Duration::from_millis(200)));
/// # let _ = mail;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscription {
    name: SubscriptionName,
    group: Group,
    replay: Replay,
    from_head: bool,
    batch_size: usize,
    batch_most: usize,
    retry: RetryPolicy,
    time_limit: Option<Duration>,
    lanes: Option<NonZeroU16>,
    parking: Option<u64>,
    key: Option<KeyOf>,
    rests: Vec<RestOf>,
    feeds: Feeds,
}

/// What an event is about.
type KeyOf = Box<dyn Fn(&RecordedEvent) -> String + Send + Sync>;

/// How long a lane is to rest.
type RestOf = Box<dyn Fn() -> Duration + Send + Sync>;

/// What a subscription feeds. A handler becomes a consumer once the manager gives it a decoder and a checkpoint store.
enum Feeds {
    Consumer(Arc<dyn Consumer>),
    Handler(Box<dyn FnOnce(HandlerNeeds) -> Made + Send + Sync>),
}

/// What becomes of a handler.
type Made = Result<Arc<dyn Consumer>, RegistrationError>;

/// What a handler needs to be a consumer.
struct HandlerNeeds {
    decoder: Decoder,
    checkpoints: Arc<dyn SubscriptionStore>,
    time_limit: Option<Duration>,
}

impl Subscription {
    /// How many events a handler is given before its checkpoint is saved, unless it is said.
    ///
    /// One that is far behind and takes less than a twentieth of a second for a whole batch is given more, and up to
    /// [`CONSUMER_BATCH`](Self::CONSUMER_BATCH): so many events at most are handled again after a crash.
    pub const HANDLER_BATCH: usize = 100;
    /// How many events a consumer is given at a time, unless it is said.
    pub const CONSUMER_BATCH: usize = 500;
    /// How long a handler may take for one event, and a consumer for one batch, unless it is said.
    pub const TIME_LIMIT: Duration = Duration::from_secs(30);

    /// How many events may be parked, unless it is said.
    pub const PARKED_LIMIT: u64 = 10_000;

    /// A subscription that feeds a consumer, such as a projection or a saga.
    #[must_use]
    pub fn new(name: SubscriptionName, replay: Replay, consumer: Arc<dyn Consumer>) -> Self {
        Self::with(
            name,
            replay,
            Self::CONSUMER_BATCH,
            Feeds::Consumer(consumer),
        )
    }

    /// A subscription that calls a handler for the events of its set, one after the other.
    ///
    /// The checkpoint is saved after each batch: every event is handled at least once.
    #[must_use]
    pub fn handler<E: EventSet, Form>(
        name: SubscriptionName,
        replay: Replay,
        handler: impl IntoEventHandler<E, Form>,
    ) -> Self {
        let handler = handler.into_handler();
        let target = |needs: HandlerNeeds| TypedTarget::new(handler, needs.decoder);
        Self::with_target(name, replay, |needs| {
            let (checkpoints, time_limit) = (Arc::clone(&needs.checkpoints), needs.time_limit);
            Ok(HandlerConsumer::new(
                target(needs)?,
                checkpoints,
                time_limit,
            ))
        })
    }

    /// A subscription that calls a handler for recorded events that fit a filter, one after the other.
    ///
    /// The checkpoint is saved after each batch: every event is handled at least once.
    #[must_use]
    pub fn recorded<Form>(
        name: SubscriptionName,
        replay: Replay,
        filter: EventFilter,
        handler: impl IntoRecordedHandler<Form>,
    ) -> Self {
        let target = RecordedTarget::new(handler.into_handler(), filter);
        Self::with_target(name, replay, |needs| {
            Ok(HandlerConsumer::new(
                target,
                needs.checkpoints,
                needs.time_limit,
            ))
        })
    }

    fn with_target<C: Consumer>(
        name: SubscriptionName,
        replay: Replay,
        consumer: impl FnOnce(HandlerNeeds) -> Result<C, RegistrationError> + Send + Sync + 'static,
    ) -> Self {
        let feeds = Feeds::Handler(Box::new(move |needs| Ok(Arc::new(consumer(needs)?) as _)));
        Self::with(name, replay, Self::HANDLER_BATCH, feeds)
    }

    fn with(name: SubscriptionName, replay: Replay, batch_size: usize, feeds: Feeds) -> Self {
        Self {
            name,
            group: Group::default(),
            replay,
            from_head: replay == Replay::LiveOnly,
            batch_size,
            batch_most: Self::CONSUMER_BATCH,
            retry: RetryPolicy::new(),
            time_limit: Some(Self::TIME_LIMIT),
            lanes: None,
            parking: Some(Self::PARKED_LIMIT),
            key: None,
            rests: Vec::new(),
            feeds,
        }
    }

    /// The group, such as a bounded context, that it is started, stopped and reported with.
    #[must_use]
    pub fn group(mut self, group: impl Into<Group>) -> Self {
        self.group = group.into();
        self
    }

    /// At most this many events at a time, however quick the consumer is; at least one.
    #[must_use]
    pub fn batch_size(mut self, events: usize) -> Self {
        self.batch_size = events.max(1);
        self.batch_most = self.batch_size;
        self
    }

    /// Starts at the end of the log as it is when the subscription is first started, also when it is replay-safe.
    #[must_use]
    pub fn start_at_head(mut self) -> Self {
        self.from_head = true;
        self
    }

    /// Divides the subscription into so many lanes, 1 to [`Lane::MOST`](uno_core::Lane::MOST): they are run side by side, and shared by all
    /// processes that run the subscription. Events of one key are in one lane, and so in order.
    ///
    /// It has one, unless somebody says otherwise; whoever says nothing takes as many as there are. Another number than there are is
    /// come to when every lane has been brought to one common place, and holds for all processes.
    #[must_use]
    pub fn lanes(mut self, lanes: NonZeroU16) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// Takes this for the key of an event, instead of what the consumer says, which is the stream's id for a handler: events of one key
    /// are handled in order, and parked together. It must depend on the event alone, and never change while the subscription is
    /// there. An event for which it panics, or whose key is not 1 to 1,024 bytes without control characters, can't be parked.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use uno_core::{EventFilter, RecordedEvent, SubscriptionName};
    /// # use uno_events::{Replay, Subscription};
    /// # let handler = |_: Arc<RecordedEvent>| async { Ok(()) };
    /// let name = SubscriptionName::new("partner-feed")?;
    /// let by_tenant = Subscription::recorded(name, Replay::Safe, EventFilter::all(), handler)
    ///     .key(|event| event.stream().category().to_string());
    /// # let _ = by_tenant;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn key(mut self, key: impl Fn(&RecordedEvent) -> String + Send + Sync + 'static) -> Self {
        self.key = Some(Box::new(key));
        self
    }

    /// Parks at most so many events: when one has had its last attempt, it is set aside with its key, later events of the key
    /// are put behind it, and all others go on. Beyond that the subscription stops.
    ///
    /// It is on, with [`PARKED_LIMIT`](Self::PARKED_LIMIT), unless it is said. Lanes and processes that park at the same time may
    /// each come over the limit by a batch.
    #[must_use]
    pub fn park(mut self, at_most: u64) -> Self {
        self.parking = Some(at_most);
        self
    }

    /// Stops before an event that has had its last attempt, instead of parking its key.
    #[must_use]
    pub fn no_parking(mut self) -> Self {
        self.parking = None;
        self
    }

    /// Has each lane rest for as long as this says, after every batch that it has handled; not at all while it says zero. Said more than once,
    /// the longest rest counts. A lane that rests holds nothing but its lease, and is woken when it is to stop or to pause.
    ///
    /// It is what gives way to something more urgent. An event that is being retried by itself waits as its [policy](Self::retry) says.
    #[must_use]
    pub fn rest(mut self, rest: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.rests.push(Box::new(rest));
        self
    }

    /// How often, and after which waits, an event that could not be handled is tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long a handler may take for one event, and a consumer for one batch. Then it is dropped, which counts as a failure.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// A handler and a consumer may take as long as they like.
    #[must_use]
    pub fn no_time_limit(mut self) -> Self {
        self.time_limit = None;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// The lane, of so many, that an event belongs to. One whose key can't be known belongs to that of its stream.
    ///
    /// ```
    /// # use std::{num::NonZeroU16, sync::Arc};
    /// # use uno_core::{EventFilter, Lane, RecordedEvent, SubscriptionName};
    /// # use uno_events::{Replay, Subscription};
    /// # let handler = |_: Arc<RecordedEvent>| async { Ok(()) };
    /// # let lanes = NonZeroU16::MIN.saturating_add(3);
    /// let name = SubscriptionName::new("partner-feed")?;
    /// let by_stream = Subscription::recorded(name, Replay::Safe, EventFilter::all(), handler);
    /// let is_where_its_stream_is = |event: &Arc<RecordedEvent>| {
    ///     by_stream.lane_of(event, lanes) == Lane::of(&event.stream().to_string(), lanes)
    /// };
    /// # let _ = is_where_its_stream_is;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lane_of(&self, event: &Arc<RecordedEvent>, lanes: NonZeroU16) -> Lane {
        let consumer = match &self.feeds {
            Feeds::Consumer(consumer) => Some(&**consumer),
            // A handler says nothing of keys.
            Feeds::Handler(_) => None,
        };
        match key_of(self.key.as_ref(), consumer, event) {
            Some(key) => Lane::of(&key, lanes),
            None => Lane::of(&event.stream().to_string(), lanes),
        }
    }

    /// The description that the manager keeps.
    pub(crate) fn prepare(
        self,
        decoder: &Decoder,
        store: &Arc<dyn SubscriptionStore>,
    ) -> Result<Prepared, RegistrationError> {
        let (consumer, time_limit) = match self.feeds {
            Feeds::Consumer(consumer) => (consumer, self.time_limit),
            // The limit of a handler is for one event, and its consumer enforces it.
            Feeds::Handler(consumer) => {
                let (decoder, checkpoints) = (decoder.clone(), Arc::clone(store));
                (
                    consumer(HandlerNeeds {
                        decoder,
                        checkpoints,
                        time_limit: self.time_limit,
                    })?,
                    None,
                )
            }
        };
        Ok(Prepared {
            name: self.name,
            group: self.group,
            replay: self.replay,
            from_head: self.from_head,
            batch_size: self.batch_size,
            batch_most: self.batch_most,
            retry: self.retry,
            time_limit,
            lanes: self.lanes,
            parking: self.parking,
            key: self.key,
            rests: self.rests,
            consumer,
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .field("group", &self.group)
            .field("replay", &self.replay)
            .field("from_head", &self.from_head)
            .field("batch_size", &self.batch_size)
            .field("retry", &self.retry)
            .field("time_limit", &self.time_limit)
            .field("lanes", &self.lanes)
            .field("parking", &self.parking)
            .finish_non_exhaustive()
    }
}

/// A subscription that is ready to run.
pub(crate) struct Prepared {
    pub(crate) name: SubscriptionName,
    pub(crate) group: Group,
    pub(crate) replay: Replay,
    pub(crate) from_head: bool,
    pub(crate) batch_size: usize,
    /// How many events a consumer that is quick is given at a time, at most.
    pub(crate) batch_most: usize,
    pub(crate) retry: RetryPolicy,
    /// For one call of the consumer.
    pub(crate) time_limit: Option<Duration>,
    /// How many lanes it wants there to be.
    pub(crate) lanes: Option<NonZeroU16>,
    /// How many events may be parked; `None`: it stops instead.
    pub(crate) parking: Option<u64>,
    key: Option<KeyOf>,
    rests: Vec<RestOf>,
    pub(crate) consumer: Arc<dyn Consumer>,
}

impl Prepared {
    /// The key of an event, if it can be known. One that can't be is found again when the event is handled, and told then.
    pub(crate) fn key<'e>(&self, event: &'e Arc<RecordedEvent>) -> Option<Cow<'e, str>> {
        key_of(self.key.as_ref(), Some(&*self.consumer), event)
    }

    /// For how long a lane is to rest now.
    pub(crate) fn rest(&self) -> Duration {
        let rests = self.rests.iter().map(|rest| rest());
        rests.max().unwrap_or(Duration::ZERO)
    }
}

fn key_of<'e>(
    own: Option<&KeyOf>,
    consumer: Option<&dyn Consumer>,
    event: &'e Arc<RecordedEvent>,
) -> Option<Cow<'e, str>> {
    let key = || match (own, consumer) {
        (Some(key), _) => Ok(Cow::Owned(key(event))),
        (None, Some(consumer)) => consumer.key(event),
        (None, None) => Ok(Cow::Owned(event.stream().to_string())),
    };
    let key = catch_unwind(AssertUnwindSafe(key)).ok()?.ok()?;
    let fits = !key.is_empty() && key.len() <= 1_024 && !key.chars().any(char::is_control);
    fits.then_some(key)
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("name", &self.name)
            .field("lanes", &self.lanes)
            .field("parking", &self.parking)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}

/// Names the subscriptions that are started, stopped and reported together, such as those of one bounded context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Arc<str>);

impl Group {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Group {
    /// The group of subscriptions that name none.
    fn default() -> Self {
        Self("default".into())
    }
}

impl From<&str> for Group {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Group {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
