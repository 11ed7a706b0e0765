//! [`Decoded`]: what one stored event is read as.

use std::sync::Arc;

use crate::{Envelope, RecordedEvent};

/// What one stored event is read as: one event as a rule, several when it was split, none when it was dropped.
///
/// It stays one event of the log: all of it is handled, or none of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<S> {
    record: Arc<RecordedEvent>,
    events: Events<S>,
}

/// Nearly always there is one, which needs no list.
#[derive(Clone, Debug, PartialEq)]
enum Events<S> {
    One([Envelope<S>; 1]),
    Some(Vec<Envelope<S>>),
}

impl<S> Decoded<S> {
    pub(super) fn one(event: S, record: &Arc<RecordedEvent>) -> Self {
        Self {
            record: Arc::clone(record),
            events: Events::One([Envelope::new(event, Arc::clone(record))]),
        }
    }

    pub(super) fn some(record: &Arc<RecordedEvent>, events: Vec<Envelope<S>>) -> Self {
        Self {
            record: Arc::clone(record),
            events: Events::Some(events),
        }
    }

    /// The stored event.
    #[must_use]
    pub fn record(&self) -> &Arc<RecordedEvent> {
        &self.record
    }

    /// What it is read as, in order.
    #[must_use]
    pub fn events(&self) -> &[Envelope<S>] {
        match &self.events {
            Events::One(event) => event,
            Events::Some(events) => events,
        }
    }

    /// What it is read as, if that is one event.
    pub(super) fn into_one(self) -> Result<Envelope<S>, usize> {
        match self.events {
            Events::One([event]) => Ok(event),
            Events::Some(mut events) => match (events.pop(), events.len()) {
                (Some(event), 0) => Ok(event),
                (event, before) => Err(before + usize::from(event.is_some())),
            },
        }
    }
}

impl<S> IntoIterator for Decoded<S> {
    type Item = Envelope<S>;
    type IntoIter = DecodedIter<S>;

    fn into_iter(self) -> DecodedIter<S> {
        match self.events {
            Events::One([event]) => DecodedIter {
                one: Some(event),
                more: Vec::new().into_iter(),
            },
            Events::Some(events) => DecodedIter {
                one: None,
                more: events.into_iter(),
            },
        }
    }
}

/// The events of a [`Decoded`], by value.
#[derive(Debug)]
pub struct DecodedIter<S> {
    one: Option<Envelope<S>>,
    more: std::vec::IntoIter<Envelope<S>>,
}

impl<S> Iterator for DecodedIter<S> {
    type Item = Envelope<S>;

    fn next(&mut self) -> Option<Envelope<S>> {
        self.one.take().or_else(|| self.more.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.one.is_some()) + self.more.len();
        (left, Some(left))
    }
}

impl<S> ExactSizeIterator for DecodedIter<S> {}
