//! What cases are made of: events, notes, gates and handlers.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::sync::Semaphore;
use uno_core::{
    BoxError, EventName, EventSet, NewEvent, Payload, Position, RecordedEvent, SchemaVersion,
    Version,
};
use uno_events::HandlerResult;

use super::{
    BusHandler, Told,
    events::{OrderEvent, Placed, Shipped},
};

/// Longer than any case: for waits that are to end by themselves.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn recorded<E: EventSet>(stream: &str, n: u32, event: &E) -> Recorded {
    as_recorded(stream, n, &NewEvent::encode(event)?)
}

pub(crate) type Recorded = Result<Arc<RecordedEvent>, BoxError>;

pub(crate) fn placed(n: u32) -> Recorded {
    placed_in("order-1", n)
}

/// At the position with the same number.
pub(crate) fn placed_in(stream: &str, n: u32) -> Recorded {
    recorded(stream, n, &OrderEvent::Placed(Placed { n }))
}

pub(crate) fn shipped(n: u32) -> Recorded {
    recorded("order-1", n, &OrderEvent::Shipped(Shipped { n }))
}

/// Has the name of [`Placed`], and a payload that is none.
pub(crate) fn undecodable() -> Recorded {
    let payload = Payload::from_json(r#"{"n":"many"}"#)?;
    let event = NewEvent::from_payload(EventName::new("placed")?, SchemaVersion::FIRST, payload);
    as_recorded("order-1", 1, &event)
}

fn as_recorded(stream: &str, n: u32, event: &NewEvent) -> Recorded {
    let number = u64::from(n.max(1));
    let (version, position) = (Version::new(number)?, Position::new(number)?);
    let recorded_at = chrono::DateTime::from_timestamp_nanos(0);
    Ok(Arc::new(RecordedEvent::record(
        event,
        stream.parse()?,
        version,
        position,
        recorded_at,
    )))
}

/// The number in an event.
pub(crate) fn number(event: &RecordedEvent) -> u64 {
    event.position().get()
}

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn push(&self, note: impl Into<String>) {
        self.lock().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when there is this note.
    pub(crate) async fn until(&self, note: &str) {
        while !self.lock().iter().any(|other| other == note) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A handler that notes its name.
    pub(crate) fn name(&self, name: &str) -> BusHandler {
        let (notes, name) = (self.clone(), name.to_owned());
        handler(move |_| {
            notes.push(name.clone());
            async { Ok(()) }
        })
    }

    /// A handler that notes the number of each event.
    pub(crate) fn numbers(&self) -> BusHandler {
        let notes = self.clone();
        handler(move |event| {
            notes.push(number(&event).to_string());
            async { Ok(()) }
        })
    }

    /// A handler that notes when it begins and when it ends, and lets others run in between.
    pub(crate) fn course(
        &self,
        name: impl Fn(&RecordedEvent) -> String + Send + Sync + 'static,
    ) -> BusHandler {
        let notes = self.clone();
        handler(move |event| {
            let (notes, name) = (notes.clone(), name(&event));
            async move {
                notes.push(format!("{name} begins"));
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                notes.push(format!("{name} ends"));
                Ok(())
            }
        })
    }
}

/// Handlers wait at it until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn pass(&self) {
        // It is opened by being closed: nobody is ever given a permit.
        let _opened = self.0.acquire().await;
    }

    /// A handler that notes the number of each event, and then waits here.
    pub(crate) fn numbers(&self, notes: &Notes) -> BusHandler {
        let (gate, notes) = (self.clone(), notes.clone());
        handler(move |event| {
            let gate = gate.clone();
            notes.push(number(&event).to_string());
            async move {
                gate.pass().await;
                Ok(())
            }
        })
    }
}

pub(crate) fn handler<F, Fut>(handle: F) -> BusHandler
where
    F: Fn(Arc<RecordedEvent>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    Arc::new(move |event| Box::pin(handle(event)))
}

/// Looks at a future once: what it has come to, if it is done.
pub(crate) async fn look<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Names and results of a report.
pub(crate) fn results(told: Option<Vec<Told>>) -> Vec<(String, HandlerResult)> {
    let told = told.expect("the bus is open");
    told.into_iter()
        .map(|told| (told.name, told.result))
        .collect()
}

/// What a report is to be.
pub(crate) fn expected(
    results: impl IntoIterator<Item = (&'static str, HandlerResult)>,
) -> Vec<(String, HandlerResult)> {
    let named = |(name, result): (&str, HandlerResult)| (name.to_owned(), result);
    results.into_iter().map(named).collect()
}

/// The result of the only handler.
pub(crate) fn only(told: Option<Vec<Told>>) -> HandlerResult {
    let mut results = results(told);
    assert_eq!(results.len(), 1, "one handler is reported: {results:?}");
    results.remove(0).1
}
