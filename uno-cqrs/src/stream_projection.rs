//! [`StreamProjection`]: a read model with one document for each stream, which can be kept in the commit of the events themselves.

mod stored;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use uno_core::{Envelope, EventId, EventSet, Metadata, Part, StreamId, Version};

use crate::{AnyField, DocumentProjection};

pub(crate) use self::stored::{decode, encode};

/// A read model with one document for each stream of a category, under the key of the stream: a fold of the stream's events.
///
/// Each is a [`DocumentProjection`] too, so one definition is run in whichever way is wanted, with the same documents:
///
/// * **asynchronously**, by a subscription that follows the log ([`ReadModel::documents`](crate::ReadModel::documents));
/// * **inline**, in the commit of the events themselves ([`InlineDocuments`](crate::InlineDocuments));
/// * **live**, folded when it is asked for, with nothing stored ([`LiveDocuments`](crate::LiveDocuments)).
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::Event;
/// use uno_cqrs::{Fact, StreamProjection};
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct ItemAdded { cents: i64 }
///
/// /// What is in an order, and what it comes to.
/// #[derive(Debug)]
/// struct OrderTotals;
///
/// #[derive(Serialize, Deserialize, Default)]
/// struct OrderTotal { items: u32, cents: i64 }
///
/// impl StreamProjection for OrderTotals {
///     const NAME: &'static str = "order_totals";
///     const CATEGORY: &'static str = "order";
///     type Event = ItemAdded;
///     type Document = OrderTotal;
///
///     fn fold(&self, total: Option<OrderTotal>, event: &Fact<'_, ItemAdded>) -> Option<OrderTotal> {
///         let total = total.unwrap_or_default();
///         Some(OrderTotal { items: total.items + 1, cents: total.cents + event.event().cents })
///     }
/// }
/// ```
///
/// What is to be put together of several streams, or spread over several documents, is a [`DocumentProjection`], which can be run
/// asynchronously and live.
///
/// # Contract
/// 1. `fold` depends on its arguments alone.
/// 2. `NAME` and `CATEGORY` do not change while the read model is to be kept.
/// 3. Nobody else writes to the collection.
pub trait StreamProjection: fmt::Debug + Send + Sync + 'static {
    /// The name of the projection: of its subscription and of its collection.
    const NAME: &'static str;
    /// The version of the code, as in [`DocumentProjection::VERSION`].
    const VERSION: u32 = 1;
    /// What its documents are found by, as in [`DocumentProjection::FIELDS`].
    const FIELDS: &'static [&'static dyn AnyField<Self::Document>] = &[];
    /// The category of the streams. Events of other streams are passed over.
    const CATEGORY: &'static str;
    /// The events it reads.
    type Event: EventSet;
    /// What it keeps of each stream.
    type Document: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The document after the event; `None` removes it.
    fn fold(
        &self,
        document: Option<Self::Document>,
        event: &Fact<'_, Self::Event>,
    ) -> Option<Self::Document>;
}

impl<P: StreamProjection> DocumentProjection for P {
    const NAME: &'static str = <P as StreamProjection>::NAME;
    const VERSION: u32 = <P as StreamProjection>::VERSION;
    const FIELDS: &'static [&'static dyn AnyField<Self::Document>] =
        <P as StreamProjection>::FIELDS;
    const OF_STREAMS: Option<&'static str> = Some(<P as StreamProjection>::CATEGORY);
    type Event = <P as StreamProjection>::Event;
    type Document = <P as StreamProjection>::Document;

    fn keys(&self, event: &Envelope<Self::Event>) -> Vec<String> {
        let stream = event.stream();
        if stream.category().as_str() == P::CATEGORY {
            vec![stream.key().to_owned()]
        } else {
            Vec::new()
        }
    }

    fn apply(
        &self,
        _: &str,
        document: Option<Self::Document>,
        event: &Envelope<Self::Event>,
    ) -> Option<Self::Document> {
        self.fold(document, &Fact { envelope: event })
    }
}

/// An event as it is known to whoever commits it: everything that an [`Envelope`] has but its place in the log and the time by the store's
/// clock, which are known only when it is committed. So what is made of facts is the same before and after.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'e, E> {
    envelope: &'e Envelope<E>,
}

impl<E> Fact<'_, E> {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &E {
        self.envelope.event()
    }

    /// The event's id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.envelope.id()
    }

    /// The stream it is in.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        self.envelope.stream()
    }

    /// Its place in the stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.envelope.version()
    }

    /// Which of the events that the record is read as.
    #[must_use]
    pub fn part(&self) -> Part {
        self.envelope.part()
    }

    /// When it happened, by the clock of who said so.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.envelope.occurred_at()
    }

    /// Who and what it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.envelope.metadata()
    }
}
