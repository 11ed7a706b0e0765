//! [`Stepwise`]: steps as a saga. Stored format: version with care.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uno_core::{BoxError, Envelope};
use uno_cqrs::{CommandOutcome, Verdict};

use super::{
    Answer, StepSaga, Steps,
    node::Task,
    walk::{Ending, Walk},
};
use crate::{DefinitionError, Input, Outputs, Route, Saga, engine};

/// An instance of a [`StepSaga`]: its data, and where it is. This is what runs:
/// `SagaRunner::<Stepwise<Fulfilment>, _>`, `GivenSaga::<Stepwise<Fulfilment>>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "Stored<S>",
    bound(serialize = "S: StepSaga", deserialize = "S: StepSaga")
)]
pub struct Stepwise<S> {
    key: String,
    data: Option<S>,
    at: Vec<At>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    heard: BTreeMap<String, Heard>,
    sent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// A timeout of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a step has these timeouts, and a third kind would be a new type"
)]
pub enum StepTimeout {
    /// The step of this name is to be escalated.
    Escalate(String),
    /// The time of the step of this name is up.
    Deadline(String),
}

/// A step that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) step: String,
    /// The how-manieth command of the instance it has sent; `None` when it waits for an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<u64>,
    /// How often it was escalated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) escalated: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a wait does not listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Heard {
    Accepted,
    Refused,
    /// Its time was up.
    Missed,
}

/// The same as it is stored, of which it is not known whether the definition fits it.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: StepSaga"))]
struct Stored<S> {
    key: String,
    data: Option<S>,
    at: Vec<At>,
    #[serde(default)]
    heard: BTreeMap<String, Heard>,
    sent: u64,
    #[serde(default)]
    failure: Option<String>,
}

/// An instance is at a step that the definition does not have.
#[derive(Debug, thiserror::Error)]
#[error("it is at the step {0}, which version {1} of the definition does not have as it was")]
struct UnknownStep(String, u32);

impl<S: StepSaga> TryFrom<Stored<S>> for Stepwise<S> {
    type Error = UnknownStep;

    fn try_from(stored: Stored<S>) -> Result<Self, UnknownStep> {
        let steps = S::steps();
        let fits = |at: &At| {
            let step = steps.find(&at.step);
            step.is_some_and(|step| step.is_wait() == at.command.is_none())
        };
        // Without its step it would wait for ever.
        if let Some(at) = stored.at.iter().find(|at| !fits(at)) {
            return Err(UnknownStep(at.step.clone(), S::VERSION));
        }
        Ok(Self {
            key: stored.key,
            data: stored.data,
            at: stored.at,
            heard: stored.heard,
            sent: stored.sent,
            failure: stored.failure,
        })
    }
}

impl<S> Default for Stepwise<S> {
    fn default() -> Self {
        Self {
            key: String::new(),
            data: None,
            at: Vec::new(),
            heard: BTreeMap::new(),
            sent: 0,
            failure: None,
        }
    }
}

impl<S: StepSaga> Stepwise<S> {
    /// The data; `None` before the start.
    #[must_use]
    pub fn data(&self) -> Option<&S> {
        self.data.as_ref()
    }

    /// The names of the steps that are under way, in the order in which they began.
    pub fn at(&self) -> impl Iterator<Item = &str> {
        self.at.iter().map(|at| &*at.step)
    }

    /// Why everything is undone, if it is.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whatever `go` does from where the instance is.
    fn walk(
        &mut self,
        go: impl FnOnce(&mut Walk<'_, S>, &Steps<S>) -> Option<Result<bool, String>>,
    ) -> Outputs<S::Command, StepTimeout> {
        let Some(data) = &self.data else {
            return Outputs::none();
        };
        let mut walk = Walk {
            data,
            at: self.at.clone(),
            heard: &mut self.heard,
            sent: self.sent,
            outputs: Outputs::none(),
        };
        match go(&mut walk, &S::steps()) {
            // What this very input would have begun is not begun.
            Some(Err(why)) => {
                self.at.clear();
                self.failure = Some(why);
                Outputs::compensate()
            }
            arrived => {
                self.sent = walk.sent;
                self.at = walk.at;
                match arrived {
                    Some(Ok(true)) => walk.outputs.and_complete(),
                    _ => walk.outputs,
                }
            }
        }
    }

    fn on_event(&mut self, event: &Envelope<S::Event>) -> Outputs<S::Command, StepTimeout> {
        let Some(data) = &mut self.data else {
            self.data = S::start(event);
            self.key = S::key(event).unwrap_or_default();
            return self.walk(|walk, steps| Some(walk.run(steps.nodes())));
        };
        let steps = S::steps();
        let mut answered = Vec::new();
        for step in steps.all() {
            if let Task::Wait(hear) = &step.task
                && !self.heard.contains_key(step.name)
                && let Some(answer) = hear(data, event)
            {
                let heard = match answer {
                    Answer::Accepted => Heard::Accepted,
                    Answer::Refused => Heard::Refused,
                };
                self.heard.insert(step.name.to_owned(), heard);
                answered.push((step.name, answer));
            }
        }
        let mut outputs = Outputs::none();
        for (name, answer) in answered {
            let ending = match answer {
                Answer::Accepted => Ending::Done,
                Answer::Refused => Ending::Rejected("the answer was no".to_owned()),
            };
            // One that the process is not at yet finds its answer when it comes there.
            if self.at().any(|at| at == name) {
                outputs = outputs.and_all(self.walk(|walk, steps| walk.end(steps, name, &ending)));
            }
            if self.failure.is_some() {
                return Outputs::compensate();
            }
        }
        outputs
    }

    fn on_outcome(&mut self, outcome: &CommandOutcome) -> Outputs<S::Command, StepTimeout> {
        let id = outcome.command_id();
        let mut under_way = self.at.iter();
        let at = under_way.find(|at| {
            at.command
                .is_some_and(|number| engine::command_id(S::NAME, &self.key, number) == id)
        });
        let Some(name) = at.map(|at| at.step.clone()) else {
            // Of an escalation, or of a step that was left when its time was up.
            return Outputs::none();
        };
        let ending = match outcome.verdict() {
            Verdict::Succeeded => Ending::Done,
            Verdict::Rejected(reason) => Ending::Rejected(reason.clone()),
            Verdict::GaveUp(reason) => Ending::GaveUp(reason.clone()),
            // What is not known may have had any effect.
            other => Ending::GaveUp(format!("{other:?}")),
        };
        self.walk(|walk, steps| walk.end(steps, &name, &ending))
    }

    fn on_timeout(&mut self, timeout: &StepTimeout) -> Outputs<S::Command, StepTimeout> {
        self.walk(|walk, steps| match timeout {
            StepTimeout::Escalate(name) => {
                walk.escalate(steps, name);
                None
            }
            StepTimeout::Deadline(name) => walk.end(steps, name, &Ending::TimeIsUp),
        })
    }
}

impl<S: StepSaga> Saga for Stepwise<S> {
    const NAME: &'static str = S::NAME;
    const VERSION: u32 = S::VERSION;
    const OLDEST: u32 = S::OLDEST;
    type Event = S::Event;
    type Command = S::Command;
    type Timeout = StepTimeout;

    fn check() -> Result<(), DefinitionError> {
        Ok(S::steps().check()?)
    }

    fn route(event: &Envelope<S::Event>) -> Route {
        match S::key(event) {
            None => Route::Ignore,
            Some(key) if S::start(event).is_some() => Route::Start(key),
            Some(key) => Route::Continue(key),
        }
    }

    fn react(
        &mut self,
        input: Input<'_, S::Event, StepTimeout>,
    ) -> Outputs<S::Command, StepTimeout> {
        match input {
            Input::Event(event) => self.on_event(event),
            Input::Outcome(outcome) => self.on_outcome(outcome),
            Input::Timeout(timeout) => self.on_timeout(timeout),
        }
    }

    fn upgrade(from: u32, state: Value) -> Result<Value, BoxError> {
        S::upgrade(from, state)
    }
}
