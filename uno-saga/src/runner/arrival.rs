//! [`Arrival`]: an input on its way to an instance, and where it is taken off.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uno_core::{
    Acknowledgement, Envelope, EventId, Metadata, NewMessage, Payload, Position, Timer, TimerWrite,
};
use uno_cqrs::CommandOutcome;
use uuid::Uuid;

use super::part::Part;
use crate::{Route, Saga, TransitionError, engine::Incoming};

/// An input on its way to an instance.
pub(super) struct Arrival<S: Saga> {
    what: What<S>,
    /// What whatever comes of it goes back to.
    metadata: Metadata,
    source: Source,
}

enum What<S: Saga> {
    Event {
        route: Route,
        event: Box<Envelope<S::Event>>,
    },
    Outcome {
        message: Box<NewMessage>,
        outcome: Option<CommandOutcome>,
        fault: String,
    },
    Timeout {
        id: Uuid,
        due_at: DateTime<Utc>,
        payload: Payload,
    },
    /// It was parked, and can't be read any more.
    Unreadable { name: String, fault: String },
    /// An event that was parked for this instance, and is routed elsewhere now.
    Rerouted { position: Position },
}

/// Where it comes from, and so how it is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The log: the checkpoint takes it off.
    Log,
    /// The queue of outcomes.
    Outcomes,
    Timer,
    /// The queue of what is parked, under this id.
    Parked(Uuid),
}

/// The queues that arrivals come from and go to.
pub(super) struct Queues<'a> {
    pub(super) outcomes: &'a str,
    pub(super) parked: &'a str,
}

/// An event that is parked: where it is in the log. Stored format: version with care.
#[derive(Serialize, Deserialize)]
pub(super) struct ParkedEvent {
    pub(super) position: Position,
    pub(super) id: EventId,
    /// Which of the events that it is read as; left out for the first, which nearly always is the only one.
    #[serde(default, skip_serializing_if = "is_first")]
    pub(super) part: u32,
}

fn is_first(part: &u32) -> bool {
    *part == 0
}

/// A timeout that is parked. Stored format: version with care.
#[derive(Serialize, Deserialize)]
struct ParkedTimeout {
    due_at: DateTime<Utc>,
    timeout: String,
}

/// The names of parked messages. An outcome keeps the one that it has.
pub(super) const PARKED_EVENT: &str = "uno.parked_event";
const PARKED_TIMEOUT: &str = "uno.parked_timeout";

impl<S: Saga> Arrival<S> {
    pub(super) fn event(route: Route, event: Envelope<S::Event>) -> Self {
        Self {
            metadata: Metadata::caused_by(event.record()),
            what: What::Event {
                route,
                event: Box::new(event),
            },
            source: Source::Log,
        }
    }

    pub(super) fn outcome(message: &NewMessage) -> Self {
        let (outcome, fault) = match serde_json::from_str(message.payload().as_str()) {
            Ok(outcome) => (Some(outcome), String::new()),
            Err(error) => (None, error.to_string()),
        };
        Self {
            metadata: message.metadata().clone(),
            what: What::Outcome {
                message: Box::new(message.clone()),
                outcome,
                fault,
            },
            source: Source::Outcomes,
        }
    }

    pub(super) fn timer(timer: &Timer) -> Self {
        Self {
            metadata: timer.metadata().clone().with_causation_id(timer.id()),
            what: What::Timeout {
                id: timer.id(),
                due_at: timer.due_at(),
                payload: timer.payload().clone(),
            },
            source: Source::Timer,
        }
    }

    /// One that was parked and is no event.
    pub(super) fn parked(message: &NewMessage) -> Self {
        let mut arrival = if message.name() == PARKED_TIMEOUT {
            match serde_json::from_str::<ParkedTimeout>(message.payload().as_str()) {
                Ok(timeout) => Self {
                    metadata: message.metadata().clone(),
                    what: What::Timeout {
                        id: message.id(),
                        due_at: timeout.due_at,
                        payload: Payload::from_stored(timeout.timeout),
                    },
                    source: Source::Timer,
                },
                Err(error) => Self::unreadable(message, error.to_string()),
            }
        } else {
            Self::outcome(message)
        };
        arrival.source = Source::Parked(message.id());
        arrival
    }

    /// One that was parked as an event.
    pub(super) fn parked_event(
        message: &NewMessage,
        route: Route,
        event: Envelope<S::Event>,
    ) -> Self {
        let here = route.key().is_none_or(|key| key == message.key());
        let position = event.position();
        let mut arrival = Self::event(route, event);
        if !here {
            arrival.what = What::Rerouted { position };
        }
        arrival.source = Source::Parked(message.id());
        arrival
    }

    /// One that was parked, and can't be read any more.
    pub(super) fn unreadable(message: &NewMessage, fault: String) -> Self {
        Self {
            what: What::Unreadable {
                name: message.name().to_owned(),
                fault,
            },
            metadata: message.metadata().clone(),
            source: Source::Parked(message.id()),
        }
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Where it is in the log, if it is an event.
    pub(super) fn position(&self) -> Option<Position> {
        match &self.what {
            What::Event { event, .. } => Some(event.position()),
            _ => None,
        }
    }

    /// The input as the engine takes it.
    pub(super) fn incoming(&self, key: &str) -> Result<Incoming<'_, S>, TransitionError> {
        let malformed = |input, fault: &str| TransitionError::Malformed {
            key: key.to_owned(),
            input,
            source: fault.into(),
        };
        match &self.what {
            What::Event { route, event } => Ok(Incoming::Event { route, event }),
            What::Outcome {
                outcome: Some(outcome),
                ..
            } => Ok(Incoming::Outcome(outcome)),
            What::Outcome { fault, .. } => Err(malformed("an outcome", fault)),
            What::Timeout {
                id,
                due_at,
                payload,
            } => Ok(Incoming::Timeout {
                id: *id,
                due_at: *due_at,
                payload,
            }),
            What::Unreadable { fault, .. } => Err(malformed("a parked input", fault)),
            What::Rerouted { .. } => Err(TransitionError::Rerouted(key.to_owned())),
        }
    }

    /// The input in words.
    pub(super) fn in_words(&self) -> String {
        match &self.what {
            What::Event { event, .. } => {
                format!("event {} at {}", event.record().name(), event.position())
            }
            What::Outcome {
                outcome: Some(outcome),
                ..
            } => format!("outcome of {} {}", outcome.command(), outcome.command_id()),
            What::Outcome { message, .. } => format!("malformed outcome {}", message.id()),
            What::Timeout { id, payload, .. } => format!("timeout {} {id}", payload.as_str()),
            What::Unreadable { name, .. } => format!("{name} that can't be read"),
            What::Rerouted { position } => format!("event at {position}"),
        }
    }

    /// Takes it off where it comes from, in the commit of its effects.
    pub(super) fn take_off(&self, process: &str, queues: &Queues<'_>, part: &mut Part) {
        match (self.source, &self.what) {
            (Source::Outcomes, What::Outcome { message, .. }) => {
                let taken = Acknowledgement::new(queues.outcomes, message.id());
                part.acknowledgements.push(taken);
            }
            (Source::Timer, What::Timeout { id, .. }) => {
                let (process, id) = (process.to_owned(), *id);
                part.timers.push(TimerWrite::Fire { process, id });
            }
            (Source::Parked(id), _) => {
                let taken = Acknowledgement::new(queues.parked, id);
                part.acknowledgements.push(taken);
            }
            (Source::Log | Source::Outcomes | Source::Timer, _) => {}
        }
    }

    /// The message that it is while it is parked; `None` if it can't be one, or is one already.
    pub(super) fn to_parked(&self, queue: &str, key: &str) -> Option<NewMessage> {
        let (id, name, payload) = match &self.what {
            What::Event { event, .. } => {
                let parked = ParkedEvent {
                    position: event.position(),
                    id: event.id(),
                    part: event.part().index(),
                };
                let payload = Payload::encode(&parked).ok()?;
                (event.part_id(), PARKED_EVENT, payload)
            }
            What::Outcome { message, .. } => {
                (message.id(), message.name(), message.payload().clone())
            }
            What::Timeout {
                id,
                due_at,
                payload,
            } => {
                let (due_at, timeout) = (*due_at, payload.as_str().to_owned());
                let payload = Payload::encode(&ParkedTimeout { due_at, timeout }).ok()?;
                (*id, PARKED_TIMEOUT, payload)
            }
            What::Unreadable { .. } | What::Rerouted { .. } => return None,
        };
        let metadata = self.metadata.clone();
        Some(NewMessage::new(queue, id, key, name, payload, metadata))
    }
}
