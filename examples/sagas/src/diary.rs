//! [`Diary`]: what has happened to the instances and outside, line by line.

use std::{cell::RefCell, collections::BTreeMap};

use uno::{
    core::{Clock as _, ProcessStatus},
    prelude::*,
    saga::{HistoryEntry, Saga, SagaRunner},
};

use crate::world::World;

/// How far it was read out.
#[derive(Debug, Default)]
pub struct Diary(RefCell<Read>);

#[derive(Clone, Debug, Default)]
struct Read {
    /// The last entry of each instance's history.
    histories: BTreeMap<String, u64>,
    /// How many entries of the ledger.
    ledger: usize,
}

impl Diary {
    /// The line above an act.
    pub fn heading(&self, world: &World, what: &str) -> String {
        let time = world.clock.now();
        format!("\n{} {what}", time.format("%a %H:%M"))
    }

    /// What has happened since it was read out last.
    ///
    /// # Errors
    /// When a history can't be read.
    pub async fn news<S: Saga, B: Backend>(
        &self,
        saga: &SagaRunner<S, B>,
        world: &World,
    ) -> anyhow::Result<Vec<String>> {
        let mut read = self.0.borrow().clone();
        let mut lines = Vec::new();
        for instance in saga.list(&[], None, 1000).await? {
            let last = read.histories.entry(instance.key.clone()).or_default();
            for item in saga.history(&instance.key, *last, 1000).await? {
                *last = item.number();
                let words = words(item.entry()).into_iter();
                lines.extend(words.map(|words| format!("  {}: {words}", instance.key)));
            }
        }
        let entries = world.ledger.entries();
        let new = entries.iter().skip(read.ledger);
        lines.extend(new.map(|entry| format!("  outside: {entry}")));
        read.ledger = entries.len();
        self.0.replace(read);
        Ok(lines)
    }
}

/// What an entry of a history says. Ids are left out, and what the lines before have said already.
fn words(entry: &HistoryEntry) -> Vec<String> {
    let line = match entry {
        HistoryEntry::Event { name, .. } => format!("event {name}"),
        HistoryEntry::Outcome {
            command,
            verdict,
            attempts,
            ..
        } => match verdict {
            Verdict::Succeeded => format!("{command} succeeded"),
            Verdict::Rejected(why) => format!("{command} was rejected: {why}"),
            Verdict::GaveUp(why) => format!("{command} gave up after {attempts} attempts: {why}"),
            other => format!("{command}: {other:?}"),
        },
        HistoryEntry::Timeout { timeout, .. } => format!("timeout {timeout}"),
        HistoryEntry::Verb { verb, by, reason } => format!("{verb:?} by {by}: {reason}"),
        HistoryEntry::Decided { outputs } => {
            return outputs.iter().map(|output| format!("  {output}")).collect();
        }
        HistoryEntry::Sent {
            command,
            compensation: true,
            ..
        } => format!("  undo: {command}"),
        HistoryEntry::PassedOver { why } => format!("  passed over: {why}"),
        HistoryEntry::Status { to } if to == ProcessStatus::Running.as_str() => return Vec::new(),
        HistoryEntry::Status { to } => format!("=> {to}"),
        HistoryEntry::Sent { .. }
        | HistoryEntry::TimeoutSet { .. }
        | HistoryEntry::TimeoutCancelled { .. } => return Vec::new(),
        other => format!("{other:?}"),
    };
    vec![line]
}
