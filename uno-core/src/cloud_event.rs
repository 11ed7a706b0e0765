//! [`CloudEvent`]: a recorded event as one of CloudEvents 1.0, there and back without loss.

mod error;
mod headers;
mod json;
mod record;
mod text;

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::Payload;

pub use self::error::CloudEventError;

/// An event as [CloudEvents 1.0](https://github.com/cloudevents/spec) has it: attributes with names, and data.
///
/// ```
/// use uno_core::{CloudEvent, RecordedEvent};
/// # use uno_core::{EventName, NewEvent, Payload, Position, SchemaVersion, Version};
/// # let event = NewEvent::from_payload(EventName::new("order_placed")?, SchemaVersion::FIRST, Payload::from_json(r#"{"total":1999}"#)?);
/// # let at = "2026-01-31T12:00:00Z".parse()?;
/// # let recorded = RecordedEvent::record(&event, "order-1742".parse()?, Version::EMPTY.next(), Position::new(7)?, at);
///
/// let out = CloudEvent::from_recorded(&recorded, "https://shop.example/orders")?;
/// assert_eq!(out.attribute("type").unwrap(), "order_placed");
/// assert_eq!(out.attribute("subject").unwrap(), "order-1742");
///
/// let json = out.to_json()?;                        // structured mode; `to_headers` is the binary one
/// let back = CloudEvent::from_json(&json)?;
/// assert_eq!(back.to_recorded()?, recorded);
///
/// let broken = json.replace(r#""sequence":"0"#, r#""sequence":"x"#);
/// let error = CloudEvent::from_json(&broken)?.to_recorded().unwrap_err();
/// assert_eq!(error.attribute(), Some("sequence"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Attributes
///
/// | of a recorded event | attribute | |
/// |---|---|---|
/// | id | `id` | a UUID |
/// | stream | `subject` | `order-1742` |
/// | name | `type` | |
/// | payload | the data, with `datacontenttype` `application/json` | the text as it was stored |
/// | occurred at | `time` | |
/// | recorded at | `recordedtime` | an extension of CloudEvents |
/// | position | `sequence` | an extension of CloudEvents: 19 digits, so that texts sort as positions do |
/// | version | `streamversion` | a number, as a text |
/// | schema version | `schemaversion` | a number, as a text |
/// | correlation and causation id | `correlationid`, `causationid` | UUIDs |
/// | causing event | `causingevent` | a UUID |
/// | actor, tenant, trace | `actor`, `tenant`, `traceparent` | |
/// | headers | `headers` | a JSON object, as a text; missing if there are none |
/// | tags | `tags` | a JSON list, as a text; missing if there are none |
///
/// `source` is where the log is, and not part of an event. Numbers are texts because an integer has 32 bits in CloudEvents. Texts of CloudEvents
/// can't have control characters and a few others; in `subject`, `actor` and `tenant` these are percent-encoded, and so is `%`.
///
/// # What it does not do
/// An event of somebody else has no stream, no position and no versions, so it is no recorded event; [`attribute`](Self::attribute) and
/// [`data`](Self::data) have what it is made of. Attributes that are not in the table are not handed on by [`to_recorded`](Self::to_recorded).
#[derive(Clone, PartialEq)]
pub struct CloudEvent {
    /// All but the data: texts, whole numbers of 32 bits, `true` and `false`. The names are valid, and `specversion`, `id`, `source` and `type`
    /// are there.
    attributes: BTreeMap<String, Value>,
    data: Option<Payload>,
}

impl CloudEvent {
    /// An attribute, as a text; `None` when it is not set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.get(name).map(canonical)
    }

    /// The names of the attributes that are set, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.keys().map(String::as_str)
    }

    /// The data, if there is any.
    #[must_use]
    pub fn data(&self) -> Option<&Payload> {
        self.data.as_ref()
    }

    /// Checks what holds for every event.
    fn new(
        attributes: BTreeMap<String, Value>,
        data: Option<Payload>,
    ) -> Result<Self, CloudEventError> {
        let event = Self { attributes, data };
        for (name, value) in &event.attributes {
            check(name, value)?;
        }
        let version = event.required("specversion")?;
        if version != "1.0" {
            let reason = format!("{version:?} is not a version that is known here: 1.0");
            return Err(CloudEventError::invalid("specversion", reason));
        }
        for name in ["id", "type"] {
            if event.required(name)?.is_empty() {
                return Err(CloudEventError::invalid(name, "is empty"));
            }
        }
        text::check_source(&event.required("source")?)
            .map_err(|reason| CloudEventError::invalid("source", reason))?;
        if let Some(kind) = event.attribute("datacontenttype")
            && !is_json(&kind)
        {
            let reason = format!("{kind:?} is not JSON, which all payloads are");
            return Err(CloudEventError::invalid("datacontenttype", reason));
        }
        Ok(event)
    }

    fn required(&self, name: &'static str) -> Result<String, CloudEventError> {
        self.attribute(name)
            .ok_or(CloudEventError::Missing { attribute: name })
    }
}

/// Shows attributes only: data are the user's, and stay out of logs.
impl fmt::Debug for CloudEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudEvent")
            .field("attributes", &self.attributes)
            .field("data", &self.data)
            .finish()
    }
}

/// Whether this can be an attribute of any event.
fn check(name: &str, value: &Value) -> Result<(), CloudEventError> {
    if !text::is_attribute_name(name) {
        let reason = "the name of an attribute has lower-case letters and digits only";
        return Err(CloudEventError::invalid(name, reason));
    }
    match value {
        Value::Bool(_) => Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
            Ok(())
        }
        Value::String(value) => match value.chars().find(|&c| text::is_forbidden(c)) {
            Some(c) => Err(CloudEventError::invalid(
                name,
                format!("has the character {c:?}, which no text of CloudEvents can have"),
            )),
            None => Ok(()),
        },
        _ => Err(CloudEventError::invalid(
            name,
            "is neither a text, nor a whole number of 32 bits, nor true or false",
        )),
    }
}

/// A value as the text that CloudEvents has for it.
fn canonical(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `application/json`, `text/json` or `…+json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind.split_once('/')
        .is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests;
