//! What a whole append or commit is refused for, before a store looks at anything that it holds.

use std::collections::HashSet;

use super::{Limits, Refusal, metadata, text};
use crate::{
    CheckpointWrite, Commit, DocumentWrite, FieldValue, Payload, ProcessWrite, StreamAppend,
    TimerWrite,
};

/// The longest name or key of a document, a process or a message, in bytes: what every database can index.
const MAX_NAME: usize = 512;

/// The longest key that is parked, in bytes: the id of any stream, and what every database can index.
const MAX_PARKED: usize = 1_024;

impl Limits {
    /// Whether a store may carry out this append: every stream once and with at least one event, and every
    /// event as [`check`](Self::check) wants it.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn check_appends(&self, appends: &[StreamAppend]) -> Result<(), Refusal> {
        let mut streams = HashSet::with_capacity(appends.len());
        for append in appends {
            if !streams.insert(append.stream()) {
                return Err(Refusal::new(
                    "streams",
                    format!("has {} more than once", append.stream()),
                ));
            }
            if append.events().is_empty() {
                return Err(Refusal::new(
                    "events",
                    format!("is empty for {}", append.stream()),
                ));
            }
            for event in append.events() {
                self.check(event)?;
            }
        }
        Ok(())
    }

    /// Whether a store may carry out this commit: its appends by [`check_appends`](Self::check_appends), names
    /// and keys of everything else with 1 to 512 bytes and no NUL, every timer once, and histories numbered from 1 on.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn check_commit<Tx>(&self, commit: &Commit<Tx>) -> Result<(), Refusal> {
        self.check_appends(&commit.appends)?;
        for snapshot in &commit.snapshots {
            text("snapshot.shape", snapshot.shape())?;
            body("snapshot.body", snapshot.body())?;
        }
        for document in &commit.documents {
            name("document.collection", document.collection())?;
            name("document.key", document.key())?;
            document
                .body()
                .map_or(Ok(()), |content| body("document.body", content))?;
            fields(document)?;
        }
        for checkpoint in &commit.checkpoints {
            self.check_checkpoint(checkpoint)?;
        }
        for process in &commit.processes {
            name("process.process", process.process())?;
            name("process.key", process.key())?;
            body("process.body", process.body())?;
            numbers("process.history", process)?;
            for entry in process.history() {
                body("process.history", entry)?;
            }
        }
        for message in &commit.messages {
            name("message.queue", message.queue())?;
            name("message.key", message.key())?;
            name("message.name", message.name())?;
            body("message.payload", message.payload())?;
            metadata(message.metadata())?;
        }
        for acknowledgement in &commit.acknowledgements {
            name("acknowledgement.queue", acknowledgement.queue())?;
        }
        let mut timers = HashSet::with_capacity(commit.timers.len());
        for timer in &commit.timers {
            name("timer.process", timer.process())?;
            if !timers.insert((timer.process(), timer.id())) {
                let reason = format!("has {} of {} more than once", timer.id(), timer.process());
                return Err(Refusal::new("timers", reason));
            }
            if let TimerWrite::Set(timer) = timer {
                name("timer.key", timer.key())?;
                body("timer.payload", timer.payload())?;
                metadata(timer.metadata())?;
            }
        }
        for handled in &commit.inbox {
            name("inbox.consumer", handled.consumer())?;
            body("inbox.outputs", handled.outputs())?;
        }
        Ok(())
    }

    /// Whether the move of a checkpoint can be kept.
    ///
    /// # Errors
    /// When a key that it parks does not have 1 to 1,024 bytes, or has a NUL.
    pub fn check_checkpoint(&self, write: &CheckpointWrite) -> Result<(), Refusal> {
        write
            .parked()
            .iter()
            .try_for_each(|parked| bounded("parking.key", parked.key(), MAX_PARKED))
    }
}

fn fields(document: &DocumentWrite) -> Result<(), Refusal> {
    if document.body().is_none() && !document.fields().is_empty() {
        return Err(Refusal::new("document.fields", "belong to a put only"));
    }
    for (field, value) in document.fields() {
        name("document.fields", field)?;
        let (length, longest) = (value.as_bytes().len(), FieldValue::MAX_BYTES);
        if length > longest {
            return Err(Refusal::new(
                format!("document.fields.{field}"),
                format!("has {length} bytes, and up to {longest} are allowed"),
            ));
        }
    }
    Ok(())
}

fn name(field: &str, value: &str) -> Result<(), Refusal> {
    bounded(field, value, MAX_NAME)
}

fn bounded(field: &str, value: &str, longest: usize) -> Result<(), Refusal> {
    if value.is_empty() || value.len() > longest {
        return Err(Refusal::new(
            field,
            format!("has {} bytes, and 1 to {longest} are allowed", value.len()),
        ));
    }
    text(field, value)
}

/// Entries are read by a number that they come after, so one with the number 0 would never be seen.
fn numbers(field: &str, write: &ProcessWrite) -> Result<(), Refusal> {
    let (first, count) = (write.first_entry(), write.history().len() as u64);
    let end = first.checked_add(count);
    if count == 0 || (first > 0 && end.is_some_and(|end| i64::try_from(end).is_ok())) {
        return Ok(());
    }
    let reason = format!(
        "is numbered from {first} on, and 1 to {} are allowed",
        i64::MAX - 1
    );
    Err(Refusal::new(field, reason))
}

fn body(field: &str, value: &Payload) -> Result<(), Refusal> {
    if value.len() > Limits::MAX_PAYLOAD {
        let length = value.len();
        return Err(Refusal::new(
            field,
            format!(
                "has {length} bytes, more than the {} allowed",
                Limits::MAX_PAYLOAD
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DocumentWrite, EventName, ExpectedVersion, NewEvent, ProcessStatus, SchemaVersion, StreamId,
    };

    fn event() -> NewEvent {
        let payload = Payload::from_json("{}").unwrap();
        NewEvent::from_payload(
            EventName::new("noted").unwrap(),
            SchemaVersion::FIRST,
            payload,
        )
    }

    fn append(key: &str, events: Vec<NewEvent>) -> StreamAppend {
        StreamAppend::new(
            StreamId::new("note", key).unwrap(),
            ExpectedVersion::Any,
            events,
        )
    }

    #[test]
    fn a_stream_occurs_once_and_has_events() {
        let check = |appends: &[StreamAppend]| Limits::default().check_appends(appends);
        assert_eq!(
            check(&[append("a", vec![event()]), append("b", vec![event()])]),
            Ok(())
        );
        assert_eq!(check(&[append("a", vec![])]).unwrap_err().field(), "events");
        assert_eq!(
            check(&[append("a", vec![event()]), append("a", vec![event()])])
                .unwrap_err()
                .field(),
            "streams"
        );
    }

    #[test]
    fn names_are_what_every_database_can_index() {
        let check = |key: &str| {
            let mut commit = Commit::<()>::new();
            commit.documents.push(DocumentWrite::remove("notes", key));
            Limits::default().check_commit(&commit)
        };
        for good in ["a", "é", "'; drop", &"x".repeat(512)] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for bad in ["", "\0", &"x".repeat(513)] {
            assert_eq!(check(bad).unwrap_err().field(), "document.key", "{bad:?}");
        }
    }

    #[test]
    fn entries_of_a_history_have_numbers_that_every_store_keeps() {
        let check = |first: u64| {
            let body = || Payload::from_json("{}").unwrap();
            let write = ProcessWrite::new("order", "1", 0, ProcessStatus::Running, body());
            let mut commit = Commit::<()>::new();
            let entries = vec![body(), body()];
            commit.processes.push(write.with_history(first, entries));
            Limits::default().check_commit(&commit)
        };
        let last = i64::MAX as u64 - 2;
        for good in [1, 2, last] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [0, last + 1, u64::MAX] {
            let refusal = check(bad).unwrap_err();
            assert_eq!(refusal.field(), "process.history", "{bad}");
        }
    }

    #[test]
    fn a_timer_occurs_once() {
        let id = uuid::Uuid::from_u128(7);
        let cancel = |process: &str| TimerWrite::Cancel {
            process: process.to_owned(),
            id,
        };
        let check = |timers: Vec<TimerWrite>| {
            let mut commit = Commit::<()>::new();
            commit.timers = timers;
            Limits::default().check_commit(&commit)
        };
        assert_eq!(check(vec![cancel("a"), cancel("b")]), Ok(()));
        let fire = TimerWrite::Fire {
            process: "a".to_owned(),
            id,
        };
        let refusal = check(vec![cancel("a"), fire]).unwrap_err();
        assert_eq!(refusal.field(), "timers");
    }

    #[test]
    fn a_time_that_not_every_store_keeps_is_refused() {
        let check =
            |time: &str| Limits::default().check(&event().with_occurred_at(time.parse().unwrap()));
        for good in [
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "0000-12-31T23:59:59Z",
            "+10000-01-01T00:00:00Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert_eq!(check(bad).unwrap_err().field(), "occurred_at", "{bad}");
        }
    }
}
