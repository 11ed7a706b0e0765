//! What an append refuses, because it could not be read back equal: the rules that all stores share.

mod finite;
mod request;

use std::fmt;

use chrono::Datelike as _;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::{Metadata, NewEvent};

pub(crate) use self::finite::finite;

/// How deep a payload may nest. serde_json reads 128 levels; the margin is for what wraps a payload.
const MAX_DEPTH: usize = 64;

/// Why a value can't be stored: what it is about, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Refusal {
    field: String,
    reason: String,
}

impl Refusal {
    /// A refusal of `field`.
    #[must_use]
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The field at fault, as a path such as `payload.items[2].price`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// How large what is appended may be. The same in every store, so that all give the same verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_payload: usize,
}

impl Limits {
    /// The largest payload that can be allowed, in bytes.
    pub const MAX_PAYLOAD: usize = 64 << 20;

    /// The same, with payloads of up to `bytes` bytes (1 MiB unless set; at most 64 MiB).
    #[must_use]
    pub fn with_max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes.min(Self::MAX_PAYLOAD);
        self
    }

    /// Whether a store may keep this event.
    ///
    /// # Errors
    /// When the payload is too large, the time is within a leap second or not in the years 1 to 9999, or a text of its
    /// metadata is too long or has a character that not every store keeps.
    pub fn check(&self, event: &NewEvent) -> Result<(), Refusal> {
        let length = event.payload().len();
        if length > self.max_payload {
            return Err(Refusal::new(
                "payload",
                format!(
                    "has {length} bytes, more than the {} allowed",
                    self.max_payload
                ),
            ));
        }
        if !(1..=9999).contains(&event.occurred_at().year()) {
            return Err(Refusal::new("occurred_at", "is not in the years 1 to 9999"));
        }
        if event.occurred_at().timestamp_subsec_micros() >= 1_000_000 {
            return Err(Refusal::new("occurred_at", "is within a leap second"));
        }
        metadata(event.metadata())?;
        for tag in event.tags() {
            text("tags", tag)?;
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1 << 20,
        }
    }
}

/// The texts of metadata.
fn metadata(metadata: &Metadata) -> Result<(), Refusal> {
    text("metadata.actor", metadata.actor().unwrap_or_default())?;
    text("metadata.tenant", metadata.tenant().unwrap_or_default())?;
    for (name, value) in metadata.headers() {
        text("metadata.headers", name)?;
        text(&format!("metadata.headers.{name}"), value)?;
    }
    Ok(())
}

/// Short texts beside the payload: no NUL, at most 8 KiB.
fn text(field: &str, value: &str) -> Result<(), Refusal> {
    if value.len() > 8192 {
        return Err(Refusal::new(
            field,
            format!("has {} bytes, more than the 8192 allowed", value.len()),
        ));
    }
    if value.contains('\0') {
        return Err(Refusal::new(field, "has a NUL character"));
    }
    Ok(())
}

/// Whether JSON text can be stored and read back equal everywhere.
pub(crate) fn json(text: &str) -> Result<(), Refusal> {
    if walk(
        text,
        &mut Walk {
            depth: 0,
            path: None,
        },
    )
    .is_ok()
    {
        return Ok(());
    }
    // Walk again, remembering the way: the common case pays nothing for the path.
    let mut state = Walk {
        depth: 0,
        path: Some(String::from("payload")),
    };
    match walk(text, &mut state) {
        Ok(()) => Ok(()),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason
                .split(" at line ")
                .next()
                .unwrap_or(&reason)
                .to_owned();
            Err(Refusal::new(state.path.unwrap_or_default(), reason))
        }
    }
}

fn walk(text: &str, state: &mut Walk) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Seed(state).deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Walk {
    depth: usize,
    path: Option<String>,
}

impl Walk {
    /// Goes one step down; on success the path is as before, on failure it stays where the fault is.
    fn descend<E>(
        &mut self,
        step: impl FnOnce(&mut String),
        inner: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = self.path.as_mut().map(|path| {
            let length = path.len();
            step(path);
            length
        });
        inner(self)?;
        if let (Some(path), Some(length)) = (&mut self.path, length) {
            path.truncate(length);
        }
        Ok(())
    }
}

struct Seed<'a>(&'a mut Walk);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(E::custom("has a NUL character"))
        } else {
            Ok(())
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.depth += 1;
        if self.0.depth > MAX_DEPTH {
            return Err(A::Error::custom(format_args!(
                "is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        let mut more = true;
        let mut index = 0;
        while more {
            self.0.descend(
                |path| path.push_str(&format!("[{index}]")),
                |walk| {
                    seq.next_element_seed(Seed(walk))
                        .map(|element| more = element.is_some())
                },
            )?;
            index += 1;
        }
        self.0.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.depth += 1;
        if self.0.depth > MAX_DEPTH {
            return Err(A::Error::custom(format_args!(
                "is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        let remember = self.0.path.is_some();
        while let Some(key) = map.next_key_seed(KeySeed { remember })? {
            self.0.descend(
                |path| {
                    path.push('.');
                    path.push_str(key.as_deref().unwrap_or_default());
                },
                |walk| map.next_value_seed(Seed(walk)),
            )?;
        }
        self.0.depth -= 1;
        Ok(())
    }
}

/// Reads a key without keeping it, unless the path is wanted.
struct KeySeed {
    remember: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Option<String>, E> {
        if key.contains('\0') {
            return Err(E::custom("has a key with a NUL character"));
        }
        Ok(self.remember.then(|| key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_reads_back_equal_is_accepted() {
        let accepted = [
            "null",
            "{}",
            r#"{"a":[1,-2.5,"é\n",true,{"b":null}]}"#,
            "18446744073709551615",
            "1e308",
            "\"\\u0001\"",
            &nested(64),
        ];
        for text in accepted {
            assert_eq!(json(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        let check = |text: &str, field: &str, reason: &str| {
            let refusal = json(text).unwrap_err();
            assert_eq!(refusal.field(), field, "{text}: {refusal}");
            assert!(refusal.reason().contains(reason), "{text}: {refusal}");
        };
        check(r#"{"a":[{"b":"x\u0000y"}]}"#, "payload.a[0].b", "NUL");
        check(r#"{"a\u0000":1}"#, "payload", "NUL");
        check(r#"{"a":{"n":1e400}}"#, "payload.a.n", "out of range");
        check(r#"{"a":"\ud800"}"#, "payload.a", "hex escape");
        check("{", "payload", "EOF");
        check("", "payload", "EOF");
        check("1 2", "payload", "trailing");
        check(
            &nested(65),
            &format!("payload{}", "[0]".repeat(64)),
            "64 levels",
        );
        check(
            &nested(100_000),
            &format!("payload{}", "[0]".repeat(64)),
            "64 levels",
        );
    }
}
