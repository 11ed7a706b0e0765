//! [`Part`]: what one instance adds to a commit.

use std::collections::BTreeMap;

use uno_core::{
    Acknowledgement, Backend, Commit, Envelope, Metadata, NewMessage, Payload, Position,
    ProcessRecord, ProcessWrite,
};

use super::{SagaError, SagaRunner};
use crate::{
    Saga,
    engine::{Instances, Loaded, Sent},
    instance::Instance,
};

/// What one instance adds to a commit.
#[derive(Clone, Default)]
pub(super) struct Part {
    pub(super) acknowledgements: Vec<Acknowledgement>,
    pub(super) messages: Vec<NewMessage>,
    pub(super) write: Option<ProcessWrite>,
}

impl Part {
    pub(super) fn add_to<Tx>(self, commit: &mut Commit<Tx>) {
        commit.acknowledgements.extend(self.acknowledgements);
        commit.messages.extend(self.messages);
        commit.processes.extend(self.write);
    }
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// The stored instances with these keys; those that can't be read apart.
    pub(super) async fn load(
        &self,
        keys: Vec<String>,
    ) -> Result<(Instances<S>, BTreeMap<String, SagaError>), SagaError> {
        let records = self.inner.backend.load_processes(S::NAME, &keys).await?;
        let (mut instances, mut unreadable) = (Instances::<S>::new(), BTreeMap::new());
        for record in records {
            let key = record.key().to_owned();
            match decode::<S>(&record) {
                Ok(instance) => {
                    instances.insert(key, Loaded::stored(record.revision(), instance));
                }
                Err(error) => {
                    unreadable.insert(key, error);
                }
            }
        }
        Ok((instances, unreadable))
    }

    /// Commands as messages.
    pub(super) fn messages<'a>(
        &'a self,
        key: &'a str,
        sent: Vec<Sent>,
        metadata: &'a Metadata,
    ) -> impl Iterator<Item = NewMessage> + 'a {
        sent.into_iter().map(move |Sent { id, command }| {
            let (name, payload) = (command.name().as_str(), command.payload().clone());
            let queue = &*self.inner.commands;
            NewMessage::new(queue, *id.as_uuid(), key, name, payload, metadata.clone())
        })
    }
}

/// The save of an instance, if it has changed.
pub(super) fn write<S: Saga>(
    key: &str,
    loaded: &Loaded<S>,
) -> Result<Option<ProcessWrite>, SagaError> {
    if !loaded.changed {
        return Ok(None);
    }
    let Loaded {
        revision, instance, ..
    } = loaded;
    let body = Payload::encode(instance).map_err(|source| SagaError::Unstorable {
        key: key.to_owned(),
        source,
    })?;
    let write = ProcessWrite::new(S::NAME, key, *revision, instance.status, body);
    Ok(Some(write))
}

pub(super) fn decode<S: Saga>(record: &ProcessRecord) -> Result<Instance<S>, SagaError> {
    let mut instance: Instance<S> =
        serde_json::from_str(record.body().as_str()).map_err(|error| SagaError::Unreadable {
            key: record.key().to_owned(),
            source: error.into(),
        })?;
    instance.status = record.status();
    Ok(instance)
}

/// The position of the first, or the last, event that is routed to an instance.
pub(super) fn position_of<'e, E: 'e>(
    mut events: impl Iterator<Item = (&'e Envelope<E>, Option<&'e str>)>,
    key: &str,
) -> Position {
    events
        .find(|(_, routed)| *routed == Some(key))
        .map(|(event, _)| event.position())
        .unwrap_or_default()
}
