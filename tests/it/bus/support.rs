//! Events, and handlers that note their calls.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use uno_core::{
    BoxError, Clock as _, Event, EventName, EventSet, NewEvent, Payload, Position, RecordedEvent,
    SchemaVersion, SystemClock, Version,
};
use uno_events::{HandlerResult, Published};

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) n: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Shipped {
    pub(crate) n: u32,
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum OrderEvent {
    Placed(Placed),
    Shipped(Shipped),
}

/// An event as if it were stored in this stream.
pub(crate) fn recorded_in<E: EventSet>(stream: &str, event: &E) -> Arc<RecordedEvent> {
    let event = NewEvent::encode(event).unwrap();
    let (version, position) = (Version::new(1).unwrap(), Position::new(1).unwrap());
    let now = SystemClock::new().now();
    Arc::new(RecordedEvent::record(
        &event,
        stream.parse().unwrap(),
        version,
        position,
        now,
    ))
}

pub(crate) fn recorded<E: EventSet>(event: &E) -> Arc<RecordedEvent> {
    recorded_in("order-1", event)
}

pub(crate) fn placed(n: u32) -> Arc<RecordedEvent> {
    recorded(&Placed { n })
}

pub(crate) fn shipped(n: u32) -> Arc<RecordedEvent> {
    recorded(&Shipped { n })
}

/// An event as if it were stored at this position.
pub(crate) fn at(position: u32, n: u32) -> Arc<RecordedEvent> {
    let event = NewEvent::encode(&Placed { n }).unwrap();
    let position = u64::from(position);
    Arc::new(RecordedEvent::record(
        &event,
        "order-1".parse().unwrap(),
        Version::new(position).unwrap(),
        Position::new(position).unwrap(),
        SystemClock::new().now(),
    ))
}

/// An event with the name of [`Placed`] and a payload that is none.
pub(crate) fn undecodable() -> Arc<RecordedEvent> {
    let payload = Payload::from_json(r#"{"n":"many"}"#).unwrap();
    let event = NewEvent::from_payload(
        EventName::new("placed").unwrap(),
        SchemaVersion::FIRST,
        payload,
    );
    let (version, position) = (Version::new(1).unwrap(), Position::new(1).unwrap());
    let stream = "order-1".parse().unwrap();
    Arc::new(RecordedEvent::record(
        &event,
        stream,
        version,
        position,
        SystemClock::new().now(),
    ))
}

/// Who was called, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    pub(crate) fn push(&self, call: impl Into<String>) {
        self.0.lock().unwrap().push(call.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// A handler that notes its name.
    pub(crate) fn noter<T: Send + Sync + 'static>(
        &self,
        name: &str,
    ) -> impl Fn(Arc<T>) -> std::future::Ready<Result<(), BoxError>> + Send + Sync + 'static + use<T>
    {
        let (calls, name) = (self.clone(), name.to_owned());
        move |_| {
            calls.push(name.clone());
            std::future::ready(Ok(()))
        }
    }
}

/// Names and results of a report.
pub(crate) fn results(published: &Published) -> Vec<(&str, HandlerResult)> {
    published
        .outcomes()
        .map(|outcome| (outcome.name(), outcome.result().clone()))
        .collect()
}
