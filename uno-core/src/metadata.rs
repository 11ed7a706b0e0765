//! [`Metadata`]: what is handed on from a command to its events, and to whatever those cause.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CorrelationId, EventId, RecordedEvent};

/// Who and what an event or a command goes back to.
///
/// The framework hands metadata on by itself: the events of a command carry the command's, and a
/// command that is sent because of an event carries that event's ([`Metadata::caused_by`]). All of it stays the same
/// on the way, but for the causation id, which is the id of the direct cause, and the causing event, which is the last event on the way:
/// commands and timers in between leave it as it is, so that the log can be followed from event to event.
///
/// Stored format: version with care (messages keep it as JSON).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<CorrelationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causing_event: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<TraceParent>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

impl Metadata {
    /// Metadata that says nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Metadata for what `event` sets off: the same correlation, actor, tenant, trace and headers, with
    /// the event as the cause. An event without a correlation id starts one with its own id.
    #[must_use]
    pub fn caused_by(event: &RecordedEvent) -> Self {
        let mut metadata = event.metadata().clone();
        metadata
            .correlation_id
            .get_or_insert_with(|| CorrelationId::from_uuid(*event.id().as_uuid()));
        metadata.causation_id = Some(*event.id().as_uuid());
        metadata.causing_event = Some(event.id());
        metadata
    }

    /// The same, with this correlation id.
    #[must_use]
    pub fn with_correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// The same, with the id of the event or command that was the cause.
    #[must_use]
    pub fn with_causation_id(mut self, id: Uuid) -> Self {
        self.causation_id = Some(id);
        self
    }

    /// The same, with the last event on the way here: see [`causing_event`](Self::causing_event).
    #[must_use]
    pub fn with_causing_event(mut self, id: EventId) -> Self {
        self.causing_event = Some(id);
        self
    }

    /// The same, with the person or service on whose behalf it happens.
    #[must_use]
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// The same, with a tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The same, within a distributed trace. It is handed on as it is: only a tracing layer knows when another span begins, and
    /// sets it anew.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: TraceParent) -> Self {
        self.traceparent = Some(traceparent);
        self
    }

    /// The same, with one more free header; a header of that name is replaced.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The same, with all of these free headers instead of its own.
    #[must_use]
    pub fn with_headers(mut self, headers: BTreeMap<String, String>) -> Self {
        self.headers = headers;
        self
    }

    /// What set it all off.
    #[must_use]
    pub fn correlation_id(&self) -> Option<CorrelationId> {
        self.correlation_id
    }

    /// The id of the event or command that was the direct cause.
    #[must_use]
    pub fn causation_id(&self) -> Option<Uuid> {
        self.causation_id
    }

    /// The event that was the direct cause, or else the one because of which the command or timer that was it came to be, however many
    /// commands, outcomes and timers are in between. `None` when it began with no event.
    #[must_use]
    pub fn causing_event(&self) -> Option<EventId> {
        self.causing_event
    }

    /// Whether `event` was the direct cause.
    #[must_use]
    pub fn is_caused_by(&self, event: EventId) -> bool {
        self.causation_id == Some(*event.as_uuid())
    }

    /// On whose behalf it happened.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The W3C trace context.
    #[must_use]
    pub fn traceparent(&self) -> Option<&TraceParent> {
        self.traceparent.as_ref()
    }

    /// The free headers, by name.
    #[must_use]
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }
}

/// A W3C `traceparent` header, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
///
/// Source: W3C Trace Context, section 3.2.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(String);

impl TraceParent {
    /// The header's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let hex = |part: &str, length: usize| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let mut parts = text.split('-');
        let mut next = |length| parts.next().filter(|part| hex(part, length));
        let valid = matches!(
            (next(2), next(32), next(16), next(2)),
            (Some(version), Some(trace), Some(span), Some(_))
                if version != "ff" && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0')
        );
        if valid && parts.next().is_none() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTraceParent)
        }
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;
    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(traceparent: TraceParent) -> Self {
        traceparent.0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceParent({})", self.0)
    }
}

/// The text is not a W3C `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent: expected version-traceid-parentid-flags in lower-case hexadecimal")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct InvalidTraceParent;
