//! Aggregates as they were: at a version, at a position of the log, at a time; and what has changed between two moments.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uno_core::{Backend, Envelope, EventStoreExt as _, Position, Version};
use uno_domain::{Aggregate, AggregateRoot};

use crate::{LoadError, Runner, load::load_as_of};

/// A moment in the life of an aggregate. What happened at it is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks for a moment may look at what was asked"
)]
pub enum Moment {
    /// When its stream was at this version; [`Version::EMPTY`] is before its first event.
    Version(Version),
    /// When the log had come to this position.
    Position(Position),
    /// By the time of recording, which is that of the store's clock.
    Time(DateTime<Utc>),
}

impl From<Version> for Moment {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

impl From<Position> for Moment {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
}

impl From<DateTime<Utc>> for Moment {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(time)
    }
}

impl<B: Backend> Runner<B> {
    /// An aggregate as it was at a moment, to be looked at: what is recorded on it goes nowhere.
    ///
    /// Before its first event it is as every aggregate begins. Old events are read as they are today, through their upcasters.
    ///
    /// # Errors
    /// [`NeverThere`](LoadError::NeverThere) for a version that its stream has not come to yet; and when the store or an event
    /// can't be read.
    pub async fn load_as_of<A: Aggregate>(
        &self,
        id: &A::Id,
        moment: impl Into<Moment>,
    ) -> Result<AggregateRoot<A>, LoadError> {
        let (stream, moment) = (A::stream_id(id)?, moment.into());
        let (backend, decoder) = (&**self.backend(), self.decoder());
        let root = load_as_of(backend, decoder, self.keeper(), id, &stream, moment).await?;
        match moment {
            Moment::Version(version) if root.version() < version => Err(LoadError::NeverThere {
                stream,
                version,
                head: root.version(),
            }),
            _ => Ok(root),
        }
    }

    /// An aggregate at two moments, and what happened to it in between: after the first, up to and with the second.
    ///
    /// # Errors
    /// As [`load_as_of`](Self::load_as_of).
    pub async fn diff<A: Aggregate>(
        &self,
        id: &A::Id,
        before: impl Into<Moment>,
        after: impl Into<Moment>,
    ) -> Result<AggregateDiff<A>, LoadError> {
        let before = self.load_as_of::<A>(id, before).await?;
        let after = self.load_as_of::<A>(id, after).await?;
        let stream = A::stream_id(id)?;
        let events = self
            .backend()
            .read_events::<A::Event>(&stream, self.decoder())
            .await;
        let events = events.map_err(|error| match error {
            uno_core::ReadEventsError::Store(error) => LoadError::Store(error),
            uno_core::ReadEventsError::Decode(error) => LoadError::Decode(error),
            other => LoadError::Store(uno_core::StoreError::Backend(other.into())),
        })?;
        let between = |event: &Envelope<A::Event>| {
            event.version() > before.version() && event.version() <= after.version()
        };
        Ok(AggregateDiff {
            events: events.into_iter().filter(between).collect(),
            before,
            after,
        })
    }
}

/// An aggregate at two moments.
#[derive(Debug)]
pub struct AggregateDiff<A: Aggregate> {
    before: AggregateRoot<A>,
    after: AggregateRoot<A>,
    events: Vec<Envelope<A::Event>>,
}

impl<A: Aggregate> AggregateDiff<A> {
    /// As it was at the first moment.
    #[must_use]
    pub fn before(&self) -> &AggregateRoot<A> {
        &self.before
    }

    /// As it was at the second.
    #[must_use]
    pub fn after(&self) -> &AggregateRoot<A> {
        &self.after
    }

    /// What happened after the first, up to and with the second; nothing when the second is the earlier one.
    #[must_use]
    pub fn events(&self) -> &[Envelope<A::Event>] {
        &self.events
    }

    /// The fields of the state that differ, by their paths, in order.
    ///
    /// # Errors
    /// When serde can't serialize the state.
    pub fn changes(&self) -> Result<Vec<FieldChange>, serde_json::Error>
    where
        A: Serialize,
    {
        let before = serde_json::to_value(self.before.state())?;
        let after = serde_json::to_value(self.after.state())?;
        let mut changes = Vec::new();
        compare(String::new(), Some(before), Some(after), &mut changes);
        Ok(changes)
    }
}

/// A field of a state that differs between two moments.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is no more to a difference"
)]
pub struct FieldChange {
    /// Where it is, such as `lines[2].amount`; empty for the state as a whole.
    pub path: String,
    /// What it was; `None` when it was not there.
    pub before: Option<Value>,
    /// What it is; `None` when it is not there.
    pub after: Option<Value>,
}

fn compare(
    path: String,
    before: Option<Value>,
    after: Option<Value>,
    changes: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(mut before)), Some(Value::Object(mut after))) => {
            let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = match path.as_str() {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                compare(path, before.remove(&name), after.remove(&name), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            let length = before.len().max(after.len());
            let (mut before, mut after) = (before.into_iter(), after.into_iter());
            for n in 0..length {
                compare(format!("{path}[{n}]"), before.next(), after.next(), changes);
            }
        }
        (before, after) => changes.push(FieldChange {
            path,
            before,
            after,
        }),
    }
}

#[cfg(test)]
mod tests;
