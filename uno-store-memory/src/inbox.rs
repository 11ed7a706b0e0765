//! Which messages were handled, and what came of each.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use uno_core::{InboxRecord, InboxWrite, Stale};
use uuid::Uuid;

/// What each consumer has handled.
#[derive(Default)]
pub(crate) struct Inbox(HashMap<String, HashMap<Uuid, InboxRecord>>);

impl Inbox {
    /// Whether none of these was handled already.
    pub(crate) fn check(&self, writes: &[InboxWrite]) -> Result<(), Stale> {
        let mut new = HashSet::new();
        for write in writes {
            let (consumer, id) = (write.consumer(), write.id());
            let handled = self
                .0
                .get(consumer)
                .is_some_and(|handled| handled.contains_key(&id));
            if handled || !new.insert((consumer, id)) {
                return Err(Stale::Inbox {
                    consumer: consumer.to_owned(),
                    id,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, write: &InboxWrite, now: DateTime<Utc>) {
        let record = InboxRecord::new(write.id(), write.outputs().clone(), now);
        self.0
            .entry(write.consumer().to_owned())
            .or_default()
            .insert(write.id(), record);
    }

    pub(crate) fn load(&self, consumer: &str, ids: &[Uuid]) -> Vec<InboxRecord> {
        let ids: HashSet<&Uuid> = ids.iter().collect();
        let handled = self.0.get(consumer);
        ids.into_iter()
            .filter_map(|id| handled?.get(id).cloned())
            .collect()
    }

    pub(crate) fn prune(
        &mut self,
        consumer: &str,
        older_than: Duration,
        now: DateTime<Utc>,
    ) -> u64 {
        // Nothing was handled before the first time there is.
        let oldest = chrono::Duration::from_std(older_than)
            .ok()
            .and_then(|age| now.checked_sub_signed(age));
        let (Some(handled), Some(oldest)) = (self.0.get_mut(consumer), oldest) else {
            return 0;
        };
        let before = handled.len();
        handled.retain(|_, record| record.handled_at() >= oldest);
        (before - handled.len()) as u64
    }
}
