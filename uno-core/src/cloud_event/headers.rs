//! Binary mode: attributes as headers, and the data as the body. Source: CloudEvents 1.0.2, "HTTP Protocol Binding".

use std::collections::BTreeMap;

use serde_json::Value;

use super::{CloudEvent, CloudEventError, text};
use crate::Payload;

const CONTENT_TYPE: &str = "content-type";
const PREFIX: &str = "ce-";

impl CloudEvent {
    /// As the headers of an HTTP message, in binary mode; the body is [the data](Self::data).
    #[must_use]
    pub fn to_headers(&self) -> Vec<(String, String)> {
        let headers = self.attributes.keys().map(|name| {
            let value = self.attribute(name).unwrap_or_default();
            match name.as_str() {
                "datacontenttype" => (CONTENT_TYPE.to_owned(), value),
                name => (format!("{PREFIX}{name}"), header(&value)),
            }
        });
        headers.collect()
    }

    /// From the headers of an HTTP message in binary mode, and its body; without a body, there are no data. Headers that are not about
    /// the event are passed over.
    ///
    /// # Errors
    /// When an attribute is missing, given twice or not what it must be, or the body is not JSON.
    pub fn from_headers<N: AsRef<str>, V: AsRef<str>>(
        headers: impl IntoIterator<Item = (N, V)>,
        body: &str,
    ) -> Result<Self, CloudEventError> {
        let mut attributes = BTreeMap::new();
        for (name, value) in headers {
            let (name, value) = (name.as_ref().to_ascii_lowercase(), value.as_ref());
            let (name, value) = if name == CONTENT_TYPE {
                ("datacontenttype".to_owned(), value.to_owned())
            } else if let Some(name) = name.strip_prefix(PREFIX) {
                if name == "datacontenttype" {
                    let reason = "is the header content-type in binary mode";
                    return Err(CloudEventError::invalid(name, reason));
                }
                let value = text::percent_decode(&unquoted(value))
                    .map_err(|reason| CloudEventError::invalid(name, reason))?;
                (name.to_owned(), value)
            } else {
                continue;
            };
            if attributes.contains_key(&name) {
                return Err(CloudEventError::Duplicate { attribute: name });
            }
            attributes.insert(name, Value::String(value));
        }
        let data = match body {
            "" => None,
            body => Some(
                Payload::from_json(body)
                    .map_err(|refusal| CloudEventError::invalid("data", refusal))?,
            ),
        };
        Self::new(attributes, data)
    }
}

/// A value as a header: what is not a printable character of ASCII is percent-encoded, and so are `"`, `%` and spaces.
fn header(value: &str) -> String {
    text::percent_encode(value, |c| !c.is_ascii_graphic() || c == '"' || c == '%')
}

/// The text in a quoted string of HTTP; anything else, itself.
fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.extend(characters.next()),
            c => text.push(c),
        }
    }
    text
}
