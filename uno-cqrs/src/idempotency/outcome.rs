//! [`StoredOutcome`]: what is kept under an idempotency key. A stored format: version with care.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uno_core::{
    Backend, BoxError, Commit, ExpectedVersion, Payload, Position, ReadStream, Receipt,
    RecordedEvent, Refusal, StreamAppended, StreamId, Version,
};
use uuid::Uuid;

/// What is kept under an idempotency key.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct StoredOutcome {
    /// The type of the command.
    pub(crate) command: String,
    /// Which command it was.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) outcome: Kept,
}

/// What came of a command.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kept {
    /// It was carried out, and these are its events, by stream in the order of the commit.
    ///
    /// Where they came to stand in the log is known only once they are there; it is read when somebody asks.
    Receipt(Vec<KeptAppend>),
    /// The domain refused it in these words.
    Rejected(String),
}

/// What was appended to one stream.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct KeptAppend {
    stream: String,
    /// The id of the last event, which is stored once.
    last: Uuid,
    events: u32,
    /// The version of the first event; `None` when any would do, so that it was not known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
}

/// Names the content of a command, and shows nothing of it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub(crate) struct Fingerprint(Uuid);

impl Fingerprint {
    /// That of a command's JSON, in whatever order its fields are.
    pub(crate) fn of(json: &Payload) -> Result<Self, serde_json::Error> {
        let mut sorted = String::new();
        write_sorted(&serde_json::from_str(json.as_str())?, &mut sorted)?;
        let name = uno_core::CommandId::stable(["fingerprint", &sorted]);
        Ok(Self(*name.as_uuid()))
    }
}

/// Writes JSON with the fields of objects in order, whatever order a map is kept in.
fn write_sorted(value: &Value, text: &mut String) -> Result<(), serde_json::Error> {
    match value {
        Value::Array(values) => {
            text.push('[');
            for value in values {
                write_sorted(value, text)?;
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in fields {
                text.push_str(&serde_json::to_string(name)?);
                text.push(':');
                write_sorted(value, text)?;
                text.push(',');
            }
            text.push('}');
        }
        plain => text.push_str(&serde_json::to_string(plain)?),
    }
    Ok(())
}

impl StoredOutcome {
    /// As it is stored.
    pub(crate) fn encode(&self) -> Result<Payload, Refusal> {
        Payload::encode(self)
    }

    pub(crate) fn decode(payload: &Payload) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload.as_str())
    }
}

impl Kept {
    /// What a commit is about to append.
    pub(crate) fn of<Tx>(commit: &Commit<Tx>) -> Self {
        let appends = commit.appends.iter().filter_map(|append| {
            Some(KeptAppend {
                stream: append.stream().to_string(),
                last: *append.events().last()?.id().as_uuid(),
                events: u32::try_from(append.events().len()).ok()?,
                first: match append.expected() {
                    ExpectedVersion::Exact(version) => Some(version.next().get()),
                    ExpectedVersion::NoStream => Some(Version::EMPTY.next().get()),
                    _ => None,
                },
            })
        });
        Self::Receipt(appends.collect())
    }
}

/// The receipt of a commit that appended these, as the log has it now.
pub(crate) async fn receipt<B: Backend>(
    backend: &B,
    appends: &[KeptAppend],
) -> Result<Receipt, BoxError> {
    let mut position: Option<Position> = None;
    let mut streams = Vec::with_capacity(appends.len());
    for append in appends {
        let stream: StreamId = append.stream.parse()?;
        let last = find(backend, &stream, append)
            .await?
            .ok_or_else(|| format!("{stream} has lost an event of the command"))?;
        let first = (last.version().get() + 1).saturating_sub(u64::from(append.events));
        let first = Version::new(first)?;
        position = position.max(Some(last.position()));
        streams.push(StreamAppended::new(stream, first, last.version()));
    }
    let epoch = backend.head().await?.epoch();
    Ok(Receipt::new(epoch, position, streams))
}

/// The last event of an append.
async fn find<B: Backend>(
    backend: &B,
    stream: &StreamId,
    append: &KeptAppend,
) -> Result<Option<Arc<RecordedEvent>>, BoxError> {
    let is_it = |event: &Arc<RecordedEvent>| *event.id().as_uuid() == append.last;
    if let Some(first) = append.first {
        let last = first.saturating_add(u64::from(append.events));
        let last = Version::new(last.saturating_sub(1))?;
        let read = ReadStream::forward(stream.clone()).from(last).to(last);
        let found = backend.read_stream(read).await?;
        return Ok(found.into_iter().find(is_it));
    }
    // Backwards, since what is asked for again was written a moment ago, as a rule.
    let mut to = Version::MAX;
    loop {
        let read = ReadStream::backward(stream.clone()).to(to);
        let page = backend.read_stream(read).await?;
        if let Some(event) = page.iter().find(|event| is_it(event)) {
            return Ok(Some(Arc::clone(event)));
        }
        let Some(oldest) = page.last() else {
            return Ok(None);
        };
        if oldest.version() <= Version::EMPTY.next() {
            return Ok(None);
        }
        to = Version::new(oldest.version().get() - 1)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(json: &str) -> Fingerprint {
        Fingerprint::of(&Payload::from_json(json).unwrap()).unwrap()
    }

    #[test]
    fn the_order_of_fields_is_no_difference_and_everything_else_is() {
        let one = fingerprint(r#"{"a":1,"b":[{"x":"1","y":2}]}"#);
        assert_eq!(one, fingerprint(r#"{ "b": [{"y":2,"x":"1"}], "a": 1 }"#));
        for other in [
            r#"{"a":1,"b":[{"x":1,"y":2}]}"#,
            r#"{"a":1,"b":[{"x":"1"},{"y":2}]}"#,
            r#"{"a":1,"b":[]}"#,
            r#"[1]"#,
        ] {
            assert_ne!(one, fingerprint(other), "{other}");
        }
        assert_ne!(fingerprint("[1,[2]]"), fingerprint("[[1],2]"));
        assert_ne!(fingerprint(r#"["a,b"]"#), fingerprint(r#"["a","b"]"#));
    }

    #[test]
    fn stored_outcomes_are_read_as_they_were_written() {
        let golden = include_str!("../../../tests/golden/commands/outcomes.json");
        let stored: Vec<StoredOutcome> = serde_json::from_str(golden).unwrap();
        let kept = |outcome| StoredOutcome {
            command: "deposit".to_owned(),
            fingerprint: fingerprint(r#"{"cents":5}"#),
            outcome,
        };
        let append = |stream: &str, first| KeptAppend {
            stream: stream.to_owned(),
            last: Uuid::from_u128(7),
            events: 2,
            first,
        };
        let appends = vec![append("account-ada", Some(3)), append("customer-ada", None)];
        let expected = [
            kept(Kept::Receipt(appends)),
            kept(Kept::Rejected("there are only 5 cents".to_owned())),
        ];
        assert_eq!(stored, expected);
        let written = serde_json::to_string_pretty(&stored).unwrap();
        assert_eq!(written, golden.trim_end());
    }
}
