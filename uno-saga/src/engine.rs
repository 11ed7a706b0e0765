//! The transitions of instances, as pure functions: input in, outputs and commands out.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
};

use uno_core::{
    BoxError, CommandId, CommandName, CommandSet, EncodedCommand, Envelope, Payload, ProcessStatus,
};
use uno_cqrs::{CommandOutcome, Verdict};

use crate::{
    Input, Output, Outputs, Route, Saga,
    instance::{InFlight, Instance, Undo},
};

/// The instances that a batch of inputs concerns, by key.
pub(crate) type Instances<S> = BTreeMap<String, Loaded<S>>;

/// What transitions start from: an instance and how often it was saved.
#[derive(Clone, Debug)]
pub(crate) struct Loaded<S> {
    pub(crate) revision: u64,
    pub(crate) instance: Instance<S>,
    /// Whether it differs from what is stored.
    pub(crate) changed: bool,
}

impl<S> Loaded<S> {
    pub(crate) fn stored(revision: u64, instance: Instance<S>) -> Self {
        Self {
            revision,
            instance,
            changed: false,
        }
    }
}

/// What came of one input.
#[derive(Debug)]
pub(crate) struct Transition<C> {
    /// What the saga said; `None` when it was not asked.
    pub(crate) outputs: Option<Outputs<C>>,
    /// The commands to be sent.
    pub(crate) sent: Vec<Sent>,
}

impl<C> Transition<C> {
    /// The input is of no interest.
    pub(crate) const fn ignored() -> Self {
        Self {
            outputs: None,
            sent: Vec::new(),
        }
    }
}

/// A command to be sent, under its stable id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: CommandId,
    pub(crate) command: EncodedCommand,
}

/// Why an input can't be handled. Nothing of it takes effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// An event that starts an instance strictly came for one that is there.
    #[error("instance {0} has started already")]
    AlreadyStarted(String),
    /// An event that goes on with an instance strictly came where there is none.
    #[error("there is no instance {0}")]
    NotStarted(String),
    /// A command that the saga sends can't be encoded.
    #[error("a command of instance {key} can't be encoded")]
    Encode {
        /// The instance.
        key: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The saga panicked when it was asked what instance an event belongs to.
    #[error("the saga panicked while routing")]
    RoutePanicked,
    /// The saga panicked when it reacted.
    #[error("the saga panicked in instance {0}")]
    Panicked(String),
}

/// Which instance an event belongs to.
pub(crate) fn route<S: Saga>(event: &Envelope<S::Event>) -> Result<Route, TransitionError> {
    catch_unwind(AssertUnwindSafe(|| S::route(event))).map_err(|_| TransitionError::RoutePanicked)
}

/// What an event means for the instance it is routed to. After an error the instance may be half changed: drop it.
pub(crate) fn on_event<S: Saga>(
    instances: &mut Instances<S>,
    route: &Route,
    event: &Envelope<S::Event>,
) -> Result<Transition<S::Command>, TransitionError> {
    let (key, starts, strict) = match route {
        Route::Ignore => return Ok(Transition::ignored()),
        Route::Start(key) => (key, true, false),
        Route::StartStrict(key) => (key, true, true),
        Route::Continue(key) | Route::Stop(key) => (key, false, false),
        Route::ContinueStrict(key) => (key, false, true),
    };
    let loaded = match instances.entry(key.clone()) {
        Entry::Occupied(_) if starts && strict => {
            return Err(TransitionError::AlreadyStarted(key.clone()));
        }
        Entry::Occupied(there) => there.into_mut(),
        Entry::Vacant(place) if starts => place.insert(Loaded::stored(0, Instance::new())),
        Entry::Vacant(_) if strict => return Err(TransitionError::NotStarted(key.clone())),
        Entry::Vacant(_) => return Ok(Transition::ignored()),
    };
    // An instance that compensates has decided; what comes now is undone or ignored. One that is stuck or ended is
    // beyond events, and one that has said that it is complete has ended, but for the outcomes it awaits: what an event
    // finds must not depend on how soon those come.
    if loaded.instance.status != ProcessStatus::Running || loaded.instance.completing {
        return Ok(Transition::ignored());
    }
    loaded.changed = true;
    let mut step = Step::new(key, &mut loaded.instance);
    let outputs = step.react(Input::Event(event))?;
    if matches!(route, Route::Stop(_)) {
        step.instance.completing = true;
    }
    step.advance()?;
    Ok(Transition {
        outputs: Some(outputs),
        sent: step.sent,
    })
}

/// What the outcome of a command means for the instance that sent it; `None` when there is no such instance. After an error the
/// instance may be half changed: drop it.
pub(crate) fn on_outcome<S: Saga>(
    instances: &mut Instances<S>,
    key: &str,
    outcome: &CommandOutcome,
) -> Result<Option<Transition<S::Command>>, TransitionError> {
    let Some(loaded) = instances.get_mut(key) else {
        return Ok(None);
    };
    let mut step = Step::new(key, &mut loaded.instance);
    let known = step.take_off(outcome);
    if known == Known::Never {
        // Told twice: the first time counted.
        return Ok(Some(Transition::ignored()));
    }
    loaded.changed = true;
    let mut outputs = None;
    if known == Known::Action && step.instance.status == ProcessStatus::Running {
        outputs = Some(step.react(Input::Outcome(outcome))?);
    }
    step.advance()?;
    Ok(Some(Transition {
        outputs,
        sent: step.sent,
    }))
}

/// What an outcome is the outcome of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Action,
    Compensation,
    /// Of no command that is under way.
    Never,
}

/// One step of one instance.
struct Step<'a, S> {
    key: &'a str,
    instance: &'a mut Instance<S>,
    sent: Vec<Sent>,
}

impl<'a, S> Step<'a, S> {
    fn new(key: &'a str, instance: &'a mut Instance<S>) -> Self {
        Self {
            key,
            instance,
            sent: Vec::new(),
        }
    }

    /// Notes that a command is not under way any more.
    fn take_off(&mut self, outcome: &CommandOutcome) -> Known {
        let id = outcome.command_id();
        if self.instance.undoing == Some(id) {
            self.instance.undoing = None;
            self.undone(outcome);
            return Known::Compensation;
        }
        let in_flight = &mut self.instance.in_flight;
        let Some(place) = in_flight.iter().position(|command| command.id == id) else {
            return Known::Never;
        };
        in_flight.remove(place);
        if matches!(outcome.verdict(), Verdict::Rejected(_)) {
            // The one case in which the action is known not to have run.
            self.instance.undo.retain(|undo| undo.action != Some(id));
        }
        Known::Action
    }

    /// The compensation that was under way has ended.
    fn undone(&mut self, outcome: &CommandOutcome) {
        match outcome.verdict() {
            Verdict::Succeeded => {
                self.instance.undo.pop();
            }
            // It stays registered: what is stuck can be seen, and undone by a person.
            Verdict::Rejected(reason) | Verdict::GaveUp(reason) => {
                let command = outcome.command();
                self.instance.status = ProcessStatus::Stuck;
                self.instance.stuck = Some(format!("compensation {command} failed: {reason}"));
            }
            other => {
                self.instance.status = ProcessStatus::Stuck;
                self.instance.stuck = Some(format!("an outcome of unknown kind: {other:?}"));
            }
        }
    }
}

impl<S: Saga> Step<'_, S> {
    /// Asks the saga, and takes down what it wants done.
    fn react(
        &mut self,
        input: Input<'_, S::Event>,
    ) -> Result<Outputs<S::Command>, TransitionError> {
        let state = &mut self.instance.state;
        // What a panic leaves half changed is dropped with the instance.
        let reacted = catch_unwind(AssertUnwindSafe(|| state.react(input)));
        let outputs = reacted.map_err(|_| TransitionError::Panicked(self.key.to_owned()))?;
        for output in outputs.as_slice() {
            match output {
                Output::Send { command, undo } => {
                    let command = self.encode(command)?;
                    let id = self.next_id();
                    self.instance.in_flight.push(InFlight {
                        id,
                        command: command.name().to_string(),
                    });
                    for undo in undo {
                        self.register(Some(id), undo)?;
                    }
                    self.sent.push(Sent { id, command });
                }
                Output::OnUndo(undo) => self.register(None, undo)?,
                Output::Compensate => self.instance.status = ProcessStatus::Compensating,
                Output::Complete => self.instance.completing = true,
            }
        }
        Ok(outputs)
    }

    fn register(
        &mut self,
        action: Option<CommandId>,
        undo: &S::Command,
    ) -> Result<(), TransitionError> {
        let undo = self.encode(undo)?;
        self.instance.undo.push(Undo {
            action,
            command: undo.name().to_string(),
            payload: undo.payload().as_str().to_owned(),
        });
        Ok(())
    }

    /// Goes on by itself: to the next compensation when everything is settled, or to the end.
    fn advance(&mut self) -> Result<(), TransitionError> {
        let instance = &mut *self.instance;
        if !instance.in_flight.is_empty() || instance.undoing.is_some() {
            return Ok(());
        }
        match instance.status {
            ProcessStatus::Running if instance.completing => {
                instance.status = ProcessStatus::Completed;
            }
            ProcessStatus::Compensating => match instance.undo.last().cloned() {
                None => instance.status = ProcessStatus::Compensated,
                Some(undo) => {
                    let name = CommandName::new(undo.command);
                    let name = name.map_err(|error| self.encode_error(error.into()))?;
                    let payload = Payload::from_stored(undo.payload);
                    let id = self.next_id();
                    self.instance.undoing = Some(id);
                    let command = EncodedCommand::from_parts(name, payload);
                    self.sent.push(Sent { id, command });
                }
            },
            _ => {}
        }
        Ok(())
    }

    fn encode(&self, command: &S::Command) -> Result<EncodedCommand, TransitionError> {
        command.encode().map_err(|error| self.encode_error(error))
    }

    fn encode_error(&self, source: BoxError) -> TransitionError {
        TransitionError::Encode {
            key: self.key.to_owned(),
            source,
        }
    }

    /// The next command's id: the same for the same step of the same instance, however often it is worked out.
    fn next_id(&mut self) -> CommandId {
        self.instance.sent += 1;
        CommandId::stable([S::NAME, self.key, &self.instance.sent.to_string()])
    }
}
