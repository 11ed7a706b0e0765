//! Structured mode: all of an event as one JSON object. Source: CloudEvents 1.0.2, "JSON Event Format".

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
    ser::{Error as _, SerializeMap as _, Serializer as _},
};
use serde_json::{Value, value::RawValue};

use super::{CloudEvent, CloudEventError, text};
use crate::Payload;

impl CloudEvent {
    /// The media type of what [`to_json`](Self::to_json) gives.
    pub const MEDIA_TYPE: &'static str = "application/cloudevents+json; charset=utf-8";

    /// As one JSON object, in structured mode. The data are in it as they were stored, byte for byte.
    ///
    /// # Errors
    /// Never, as long as the data are JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut json);
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.attributes {
            map.serialize_entry(name, value)?;
        }
        if let Some(data) = &self.data {
            if let Some(padding) = padding(data.as_str()) {
                map.serialize_entry(PADDING, &padding)?;
            }
            let raw: &RawValue = serde_json::from_str(data.as_str())?;
            map.serialize_entry("data", raw)?;
        }
        map.end()?;
        String::from_utf8(json).map_err(serde_json::Error::custom)
    }

    /// From one JSON object. An attribute that is `null` is not set.
    ///
    /// # Errors
    /// When it is not a JSON object, an attribute is missing, given twice or not what it must be, or the data are not JSON.
    pub fn from_json(json: &str) -> Result<Self, CloudEventError> {
        let Members(members) = serde_json::from_str(json).map_err(CloudEventError::Json)?;
        let mut attributes = BTreeMap::new();
        let mut data = None;
        for (name, raw) in members {
            if name == "data" {
                let payload = Payload::from_json(raw.get())
                    .map_err(|refusal| CloudEventError::invalid("data", refusal))?;
                if data.replace(payload).is_some() {
                    return Err(CloudEventError::Duplicate { attribute: name });
                }
                continue;
            }
            if name == "data_base64" {
                let reason = "data are bytes, and payloads are JSON";
                return Err(CloudEventError::invalid(&name, reason));
            }
            let value: Value = serde_json::from_str(raw.get()).map_err(CloudEventError::Json)?;
            if attributes.contains_key(&name) {
                return Err(CloudEventError::Duplicate { attribute: name });
            }
            attributes.insert(name, value);
        }
        attributes.retain(|_, value| !value.is_null());
        if let Some(padding) = attributes.remove(PADDING) {
            data = Some(padded(data.as_ref(), &padding)?);
        }
        Self::new(attributes, data)
    }
}

/// The attribute that has the white space around the data, which is no part of a JSON value and would be lost. Only payloads that were written by
/// hand have any.
const PADDING: &str = "datapadding";

const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The white space before and after a value, percent-encoded; `None` when there is none.
fn padding(json: &str) -> Option<String> {
    let encoded = |white: &str| text::percent_encode(white, |_| true);
    let rest = json.trim_start_matches(WHITE);
    let (before, _) = json.split_at(json.len() - rest.len());
    let (_, after) = rest.split_at(rest.trim_end_matches(WHITE).len());
    let padding = format!("{}|{}", encoded(before), encoded(after));
    (padding != "|").then_some(padding)
}

/// The data with the white space that was around them.
fn padded(data: Option<&Payload>, padding: &Value) -> Result<Payload, CloudEventError> {
    let invalid = || CloudEventError::invalid(PADDING, "is not the white space around data");
    let (before, after) = padding
        .as_str()
        .and_then(|padding| padding.split_once('|'))
        .ok_or_else(invalid)?;
    let before = text::percent_decode(before).map_err(|_| invalid())?;
    let after = text::percent_decode(after).map_err(|_| invalid())?;
    let data = data.ok_or_else(invalid)?;
    if !before
        .chars()
        .chain(after.chars())
        .all(|c| WHITE.contains(&c))
    {
        return Err(invalid());
    }
    Payload::from_json(format!("{before}{}{after}", data.as_str())).map_err(|_| invalid())
}

/// The members of an object in their order, with the text of each value; a name may come twice.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
