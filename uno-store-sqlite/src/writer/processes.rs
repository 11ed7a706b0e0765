//! [`ProcessWrites`]: what a group of commits writes for processes: instances with their histories, timers, and the inbox.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uno_core::{InboxWrite, NewTimer, ProcessWrite, TimerWrite};
use uuid::Uuid;

use super::{facts::Facts, job::Plain, sql, writes::write};
use crate::script::Script;

/// What is to be written. Of several writes to the same record only the last one is left.
#[derive(Default)]
pub(crate) struct ProcessWrites<'c> {
    saves: HashMap<(&'c str, &'c str), &'c ProcessWrite>,
    /// Every save that adds to a history, in order.
    histories: Vec<&'c ProcessWrite>,
    /// `None` for one that is taken off.
    timers: HashMap<(&'c str, Uuid), Option<&'c NewTimer>>,
    inbox: Vec<&'c InboxWrite>,
}

impl<'c> ProcessWrites<'c> {
    /// Takes up a commit that can be carried out, and notes in the facts what it changes for those behind it.
    pub(crate) fn take(&mut self, commit: &'c Plain, facts: &mut Facts<'c>) {
        for write in &commit.processes {
            let instance = (write.process(), write.key());
            facts
                .processes
                .insert(instance, write.expected_revision() + 1);
            self.saves.insert(instance, write);
            if !write.history().is_empty() {
                self.histories.push(write);
            }
        }
        for write in &commit.timers {
            let name = (write.process(), write.id());
            let timer = match write {
                TimerWrite::Set(timer) => {
                    facts.timers.insert(name);
                    Some(timer)
                }
                TimerWrite::Cancel { .. } | TimerWrite::Fire { .. } => {
                    facts.timers.remove(&name);
                    None
                }
            };
            self.timers.insert(name, timer);
        }
        for handled in &commit.inbox {
            facts.inbox.insert((handled.consumer(), handled.id()));
            self.inbox.push(handled);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.saves.is_empty() && self.timers.is_empty() && self.inbox.is_empty()
    }

    /// Adds the statements. `now` is the time by the store's clock, and not that of the events, which never falls: after the
    /// clock has gone back a timer would be late by as much.
    pub(crate) fn write(&self, now: DateTime<Utc>, script: &mut Script) {
        let saves = self.saves.iter().map(|((process, key), write)| {
            (
                process,
                key,
                write.expected_revision() + 1,
                write.status().as_str(),
                write.body().as_str(),
            )
        });
        write(sql::PROCESSES, saves, script);

        let recorded_at = now.timestamp_micros();
        let entries = self.histories.iter().flat_map(|write| {
            let numbered = (write.first_entry()..).zip(write.history());
            numbered.map(|(number, entry)| {
                (
                    write.process(),
                    write.key(),
                    number,
                    recorded_at,
                    entry.as_str(),
                )
            })
        });
        write(sql::HISTORY, entries, script);

        // Those that are set as well, for each may be there with another time, by which rows are kept.
        let removed = self.timers.keys().map(|(process, id)| (process, hex(*id)));
        write(sql::REMOVE_TIMERS, removed, script);
        let set = self.timers.values().flatten().map(|timer| {
            (
                timer.process(),
                timer.due().time(now).timestamp_micros(),
                hex(timer.id()),
                timer.key(),
                timer.payload().as_str(),
                serde_json::to_string(timer.metadata()).ok(),
            )
        });
        write(sql::SET_TIMERS, set, script);

        let handled = self.inbox.iter().map(|handled| {
            (
                handled.consumer(),
                hex(handled.id()),
                recorded_at,
                handled.outputs().as_str(),
            )
        });
        write(sql::INBOX, handled, script);
    }
}

fn hex(id: Uuid) -> String {
    id.simple().to_string()
}
