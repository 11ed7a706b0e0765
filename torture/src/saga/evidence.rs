//! [`Evidence`]: everything that is known of a phase when it is over.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::provider::Account;
use crate::tally::Tally;

/// Everything that is known of a phase when it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Of the fates.
    pub(crate) seed: u64,
    /// How many orders there are: 0, 1, 2 …
    pub(crate) orders: u64,
    /// Those whose placing was acknowledged.
    pub(crate) acknowledged: BTreeSet<u64>,
    /// The names of the events of each order, in the order of the log.
    pub(crate) events: BTreeMap<u64, Vec<String>>,
    /// Events that are in another order's stream, or in none's.
    pub(crate) strays: u64,
    /// The status of each instance.
    pub(crate) instances: BTreeMap<u64, String>,
    /// What each instance went through.
    pub(crate) histories: BTreeMap<u64, Vec<Step>>,
    /// What is left in queues, and of timers.
    pub(crate) left: Tally,
    /// How often the provider was called.
    pub(crate) calls: u64,
    /// What the provider took and gave back for each order.
    pub(crate) accounts: BTreeMap<u64, Account>,
}

impl Evidence {
    pub(crate) fn add_event(&mut self, stream: &str, order: &str, name: String) {
        match stream.parse() {
            Ok(number) if stream == order => self.events.entry(number).or_default().push(name),
            _ => self.strays += 1,
        }
    }
}

/// A line in the history of an instance, as far as the judge looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Sent {
        id: String,
        command: String,
    },
    Outcome {
        id: String,
        command: String,
        verdict: String,
        attempts: u64,
    },
    Timeout,
    Status(String),
    Other,
}

impl Step {
    pub(crate) fn read(entry: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(entry).context("an entry is no JSON")?;
        let (kind, body) = match &value {
            Value::Object(object) => object.iter().next().context("an entry says nothing")?,
            _ => return Ok(Self::Other),
        };
        let text = |field: &str| -> Result<String> {
            let text = body[field].as_str();
            Ok(text
                .with_context(|| format!("an entry has no {field}: {entry}"))?
                .to_owned())
        };
        Ok(match kind.as_str() {
            "sent" => Self::Sent {
                id: text("id")?,
                command: text("command")?,
            },
            "outcome" => Self::Outcome {
                id: text("id")?,
                command: text("command")?,
                // Either the verdict itself, or its name with a reason.
                verdict: match &body["verdict"] {
                    Value::String(verdict) => verdict.clone(),
                    Value::Object(object) => object.keys().cloned().collect(),
                    other => format!("{other}"),
                },
                attempts: body["attempts"].as_u64().unwrap_or_default(),
            },
            "timeout" => Self::Timeout,
            "status" => Self::Status(text("to")?),
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_of_a_history_are_read() {
        let check = |entry: &str, expected| assert_eq!(Step::read(entry).unwrap(), expected);
        check(
            r#"{"sent":{"id":"a","command":"ship_order","compensation":false}}"#,
            Step::Sent {
                id: "a".into(),
                command: "ship_order".into(),
            },
        );
        let outcome = |verdict: &str| Step::Outcome {
            id: "a".into(),
            command: "ship_order".into(),
            verdict: verdict.into(),
            attempts: 2,
        };
        let stored = |verdict: &str| {
            format!(
                r#"{{"outcome":{{"id":"a","command":"ship_order","verdict":{verdict},"attempts":2}}}}"#
            )
        };
        check(&stored(r#""succeeded""#), outcome("succeeded"));
        check(&stored(r#"{"rejected":"no"}"#), outcome("rejected"));
        check(r#"{"status":{"to":"stuck"}}"#, Step::Status("stuck".into()));
        check(r#""unparked""#, Step::Other);
        assert!(Step::read(r#"{"sent":{}}"#).is_err());
    }
}
