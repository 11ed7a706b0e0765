//! [`GivenProjection`]: given these events, then the read model has these documents.

#[cfg(test)]
mod tests;
mod ways;

use std::{collections::BTreeMap, fmt::Debug};

use uno_core::{Decoder, Envelope, NewMessage, Payload};
use uno_cqrs::DocumentProjection;

use crate::EnvelopeBuilder;

/// Events for a projection, and what its documents are then. Pure: no store, no runtime.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Envelope, Event};
/// # use uno_cqrs::DocumentProjection;
/// # #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)] struct OrderPlaced { customer: u32, cents: i64 }
/// # #[derive(Debug)] struct Spending;
/// # impl DocumentProjection for Spending {
/// #     const NAME: &'static str = "spending";
/// #     type Event = OrderPlaced;
/// #     type Document = i64;
/// #     fn keys(&self, event: &Envelope<OrderPlaced>) -> Vec<String> { vec![event.event().customer.to_string()] }
/// #     fn apply(&self, _: &str, spent: Option<i64>, event: &Envelope<OrderPlaced>) -> Option<i64> { Some(spent.unwrap_or(0) + event.event().cents) }
/// # }
/// use uno_testkit::GivenProjection;
///
/// // #[test] fn spending_is_summed_by_customer()
/// GivenProjection::of(Spending)
///     .event("order-1", OrderPlaced { customer: 7, cents: 500 })
///     .event("order-2", OrderPlaced { customer: 8, cents: 100 })
///     .event("order-3", OrderPlaced { customer: 7, cents: 1499 })
///     .then("7", 1999)
///     .then("8", 100)
///     .then_no("9");
/// ```
///
/// Each event is stored and read back on its way, as in [`Given`](crate::Given). The events are projected in batches of one, of two, of three
/// and all at once, and each batch twice, as after a crash before its commit; documents are stored between batches. Wherever the results
/// differ, by a clock, a counter in the projection, or a document that does not read back equal, the test fails. What a projection
/// [loads](DocumentProjection::enrich) for a batch is not asked for: give it a projection that has it.
///
/// [`then_the_same_live`](Self::then_the_same_live) and [`then_the_same_in_every_way`](Self::then_the_same_in_every_way) run it on a store, in
/// each way that a projection is run, and compare.
#[derive(Debug)]
#[must_use = "nothing is tested before `then`"]
pub struct GivenProjection<P: DocumentProjection> {
    projection: P,
    events: Vec<Envelope<P::Event>>,
    once: bool,
}

impl<P: DocumentProjection> GivenProjection<P> {
    /// Before the first event.
    pub fn of(projection: P) -> Self {
        Self {
            projection,
            events: Vec::new(),
            once: false,
        }
    }

    /// Projects each batch once only: for a projection that can't bear it, and says why.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// After this event in this stream, such as `order-1742`. Versions and positions are counted.
    ///
    /// # Panics
    /// When there can't be such a stream, or the event does not read back.
    #[track_caller]
    pub fn event(self, stream: &str, event: impl Into<P::Event>) -> Self {
        self.with(EnvelopeBuilder::new(event.into()).stream(stream))
    }

    /// After this event, with a time or metadata of your choice. Its version and position are counted.
    ///
    /// # Panics
    /// When the event does not read back.
    #[track_caller]
    pub fn with(mut self, event: EnvelopeBuilder<P::Event>) -> Self {
        let place = self.events.len() as u64 + 1;
        let stream = event.stream_id().clone();
        let before = self.events.iter();
        let version = before.filter(|event| *event.stream() == stream).count() as u64 + 1;
        let there = event.version(version).position(place).build();
        match Decoder::new().decode::<P::Event>(there.record()) {
            Ok(read) => self.events.push(read),
            Err(error) => panic!("event {place} can't be read back: {error}"),
        }
        self
    }

    /// Then the document with this key is this.
    ///
    /// # Panics
    /// When it is not, or it is not the same in batches of every size.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it reads as a sentence: then(\"7\", 1999)"
    )]
    pub fn then(&self, key: &str, expected: P::Document) -> &Self
    where
        P::Document: Debug + PartialEq,
    {
        let documents = self.documents();
        match documents.get(key) {
            Some(found) if *found == expected => self,
            Some(found) => {
                panic!("expected document {key} to be {expected:#?}, and it is {found:#?}")
            }
            None => panic!(
                "expected document {key} to be {expected:#?}, and there is none, but {:?}",
                documents.keys().collect::<Vec<_>>()
            ),
        }
    }

    /// Then there is no document with this key.
    ///
    /// # Panics
    /// When there is one, or the documents are not the same in batches of every size.
    #[track_caller]
    pub fn then_no(&self, key: &str) -> &Self
    where
        P::Document: Debug,
    {
        let documents = self.documents();
        if let Some(found) = documents.get(key) {
            panic!("expected no document {key}, and there is {found:#?}");
        }
        self
    }

    /// Then these are the messages that went out, in this order, as queue, name and payload.
    ///
    /// # Panics
    /// When they are not, or they are not the same the second time.
    #[track_caller]
    pub fn then_sent(&self, expected: &[(&str, &str, &str)]) -> &Self {
        assert!(
            P::SENDS || expected.is_empty(),
            "projection {} does not say that it SENDS, so it is not asked for messages",
            P::NAME
        );
        let sent = || -> Vec<NewMessage> {
            let events = self.events.iter().filter(|_| P::SENDS);
            events
                .flat_map(|event| self.projection.messages(event))
                .collect()
        };
        let told = |messages: &[NewMessage]| -> Vec<(String, String, String)> {
            let parts = |message: &NewMessage| {
                let payload = message.payload().as_str().to_owned();
                (
                    message.queue().to_owned(),
                    message.name().to_owned(),
                    payload,
                )
            };
            messages.iter().map(parts).collect()
        };
        let (first, again) = (told(&sent()), told(&sent()));
        assert_eq!(first, again, "the messages are others the second time");
        let expected: Vec<_> = expected
            .iter()
            .map(|(queue, name, payload)| {
                (
                    (*queue).to_owned(),
                    (*name).to_owned(),
                    (*payload).to_owned(),
                )
            })
            .collect();
        assert_eq!(first, expected, "other messages were sent than expected");
        self
    }

    /// All documents, by their keys.
    ///
    /// # Panics
    /// When they are not the same in batches of every size, or can't be stored.
    #[track_caller]
    #[must_use]
    pub fn documents(&self) -> BTreeMap<String, P::Document> {
        let whole = self.projected(self.events.len().max(1));
        for size in [1, 2, 3] {
            let other = self.projected(size);
            assert!(
                other == whole,
                "in batches of {size} the documents are {other:#?}, and all at once they are {whole:#?}"
            );
        }
        whole
            .iter()
            .map(|(key, stored)| (key.clone(), read(key, stored)))
            .collect()
    }

    /// What is stored after batches of this size.
    #[track_caller]
    fn projected(&self, size: usize) -> BTreeMap<String, String> {
        let mut stored = BTreeMap::new();
        for batch in self.events.chunks(size) {
            let after = self.batch(&stored, batch);
            if !self.once {
                let again = self.batch(&stored, batch);
                assert!(
                    after == again,
                    "the same events make {after:#?} the first time, and {again:#?} the second"
                );
            }
            stored = after;
        }
        stored
    }

    #[track_caller]
    fn batch(
        &self,
        before: &BTreeMap<String, String>,
        events: &[Envelope<P::Event>],
    ) -> BTreeMap<String, String> {
        let mut loaded: BTreeMap<String, Option<P::Document>> = BTreeMap::new();
        for event in events {
            let mut keys = self.projection.keys(event);
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let stored = || before.get(&key).map(|stored| read(&key, stored));
                let document = loaded.remove(&key).unwrap_or_else(stored);
                let document = self.projection.apply(&key, document, event);
                loaded.insert(key, document);
            }
        }
        let mut after = before.clone();
        for (key, document) in loaded {
            match document {
                None => after.remove(&key),
                Some(document) => match Payload::encode(&document) {
                    Ok(body) => after.insert(key, body.as_str().to_owned()),
                    Err(error) => panic!("document {key} can't be stored: {error}"),
                },
            };
        }
        after
    }
}

#[track_caller]
fn read<D: serde::de::DeserializeOwned>(key: &str, stored: &str) -> D {
    match serde_json::from_str(stored) {
        Ok(document) => document,
        Err(error) => {
            panic!("document {key} is stored as {stored}, which can't be read back: {error}")
        }
    }
}
