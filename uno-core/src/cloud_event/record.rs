//! From a recorded event, and back.

use std::{collections::BTreeMap, fmt::Display, str::FromStr, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{CloudEvent, CloudEventError, text};
use crate::{
    CorrelationId, EventId, EventName, Metadata, Position, RecordedEvent, RecordedParts,
    SchemaVersion, TraceParent, Version,
};

impl CloudEvent {
    /// A recorded event, of the log that is at `source`: a reference to a URI, which together with the id is an event's alone.
    ///
    /// # Errors
    /// When `source` is not one, or a time is not in the years that CloudEvents can write, 0 to 9999.
    pub fn from_recorded(event: &RecordedEvent, source: &str) -> Result<Self, CloudEventError> {
        let mut attributes = BTreeMap::new();
        let mut set = |name: &str, value: String| {
            attributes.insert(name.to_owned(), Value::String(value));
        };
        set("specversion", "1.0".to_owned());
        set("source", source.to_owned());
        set("id", event.id().to_string());
        set("type", event.name().to_string());
        set("subject", text::encode(&event.stream().to_string()));
        set("datacontenttype", "application/json".to_owned());
        set("time", time("time", event.occurred_at())?);
        set("recordedtime", time("recordedtime", event.recorded_at())?);
        set("sequence", format!("{:019}", event.position().get()));
        set("streamversion", event.version().to_string());
        set("schemaversion", event.schema_version().to_string());
        let metadata = event.metadata();
        if let Some(id) = metadata.correlation_id() {
            set("correlationid", id.to_string());
        }
        if let Some(id) = metadata.causation_id() {
            set("causationid", id.to_string());
        }
        if let Some(id) = metadata.causing_event() {
            set("causingevent", id.to_string());
        }
        if let Some(actor) = metadata.actor() {
            set("actor", text::encode(actor));
        }
        if let Some(tenant) = metadata.tenant() {
            set("tenant", text::encode(tenant));
        }
        if let Some(trace) = metadata.traceparent() {
            set("traceparent", trace.to_string());
        }
        if !metadata.headers().is_empty() {
            set("headers", json("headers", metadata.headers())?);
        }
        if !event.tags().is_empty() {
            let tags: Vec<&str> = event.tags().iter().map(|tag| &**tag).collect();
            set("tags", json("tags", &tags)?);
        }
        Self::new(attributes, Some(event.payload().clone()))
    }

    /// The recorded event that [`from_recorded`](Self::from_recorded) was given.
    ///
    /// # Errors
    /// When an attribute that a recorded event must have is missing, or one is not what it must be: the error names it.
    pub fn to_recorded(&self) -> Result<RecordedEvent, CloudEventError> {
        let mut metadata = Metadata::new();
        if let Some(id) = self.optional::<Uuid>("correlationid")? {
            metadata = metadata.with_correlation_id(CorrelationId::from_uuid(id));
        }
        if let Some(id) = self.optional("causationid")? {
            metadata = metadata.with_causation_id(id);
        }
        if let Some(id) = self.optional::<Uuid>("causingevent")? {
            metadata = metadata.with_causing_event(EventId::from_uuid(id));
        }
        if let Some(actor) = self.decoded("actor")? {
            metadata = metadata.with_actor(actor);
        }
        if let Some(tenant) = self.decoded("tenant")? {
            metadata = metadata.with_tenant(tenant);
        }
        if let Some(trace) = self.optional::<TraceParent>("traceparent")? {
            metadata = metadata.with_traceparent(trace);
        }
        if let Some(headers) = self.in_json("headers")? {
            metadata = metadata.with_headers(headers);
        }
        let tags: Option<Vec<Arc<str>>> = self.in_json("tags")?;
        let subject = self.decoded("subject")?;
        let subject = subject.ok_or(CloudEventError::Missing {
            attribute: "subject",
        })?;
        let name = EventName::new(self.required("type")?)
            .map_err(|error| CloudEventError::invalid("type", error))?;
        let schema_version = self.number("schemaversion")?;
        let payload = self.data().cloned();
        Ok(RecordedEvent::from_parts(RecordedParts {
            id: EventId::from_uuid(self.parsed("id")?),
            stream: parse("subject", &subject)?,
            version: Version::new(self.number("streamversion")?)
                .map_err(|error| CloudEventError::invalid("streamversion", error))?,
            position: Position::new(self.number("sequence")?)
                .map_err(|error| CloudEventError::invalid("sequence", error))?,
            name,
            schema_version: match u32::try_from(schema_version) {
                Ok(version) if version > 0 => SchemaVersion::new(version),
                _ => {
                    let reason = format!("{schema_version} is not a version of a schema");
                    return Err(CloudEventError::invalid("schemaversion", reason));
                }
            },
            payload: payload.ok_or(CloudEventError::Missing { attribute: "data" })?,
            occurred_at: self.instant("time")?,
            recorded_at: self.instant("recordedtime")?,
            metadata,
            tags: tags.unwrap_or_default(),
        }))
    }

    fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, CloudEventError> {
        parse(name, &self.required(name)?)
    }

    fn optional<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, CloudEventError> {
        let value = self.attribute(name);
        value.map(|value| parse(name, &value)).transpose()
    }

    /// A number that is written with digits only.
    fn number(&self, name: &'static str) -> Result<u64, CloudEventError> {
        let value = self.required(name)?;
        if !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CloudEventError::invalid(
                name,
                format!("{value:?} is not a number"),
            ));
        }
        parse(name, &value)
    }

    fn instant(&self, name: &'static str) -> Result<DateTime<Utc>, CloudEventError> {
        let value = self.required(name)?;
        DateTime::parse_from_rfc3339(&value)
            .map(|time| time.to_utc())
            .map_err(|error| CloudEventError::invalid(name, error))
    }

    fn decoded(&self, name: &'static str) -> Result<Option<String>, CloudEventError> {
        let value = self.attribute(name);
        let decoded = value.map(|value| text::percent_decode(&value)).transpose();
        decoded.map_err(|reason| CloudEventError::invalid(name, reason))
    }

    fn in_json<T: DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, CloudEventError> {
        let value = self.attribute(name);
        let value = value.map(|value| serde_json::from_str(&value)).transpose();
        value.map_err(|error| CloudEventError::invalid(name, error))
    }
}

fn parse<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, CloudEventError> {
    value
        .parse()
        .map_err(|error| CloudEventError::invalid(name, error))
}

/// A time as RFC 3339 has it, with as many digits as it needs.
fn time(name: &str, time: DateTime<Utc>) -> Result<String, CloudEventError> {
    let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    // Years that have no four digits are written with a sign, and no reader of RFC 3339 takes them.
    match DateTime::parse_from_rfc3339(&text) {
        Ok(back) if back == time && text.len() <= 30 && !text.starts_with(['+', '-']) => Ok(text),
        _ => Err(CloudEventError::invalid(
            name,
            format!("{text} is not in the years 0 to 9999"),
        )),
    }
}

/// A value as JSON in a text.
fn json<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<String, CloudEventError> {
    let json = serde_json::to_string(value);
    let json = json.map_err(|error| CloudEventError::invalid(name, error))?;
    Ok(text::escape_json(&json))
}
