//! The transitions of instances, as pure functions: input in, outputs and commands out.
//!
//! Long because a transition is one thing: what an input finds, what the saga says to it, and what follows by itself.

mod error;
#[cfg(test)]
mod tests;
mod verbs;

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uno_core::{
    BoxError, CommandId, CommandName, CommandSet, Due, EncodedCommand, Envelope, Metadata, Payload,
    ProcessStatus,
};
use uno_cqrs::{CommandOutcome, Verdict};
use uuid::Uuid;

use self::error::MAX_KEY;
use crate::{
    Input, Missing, Output, Outputs, Route, Saga,
    history::{DueText, HistoryEntry},
    instance::{InFlight, Instance, Pending, Stuck, Undo},
};

pub use self::error::TransitionError;
pub(crate) use self::verbs::{Unfit, Wish, carry_out};

/// Something that comes to an instance.
#[derive(Debug)]
pub(crate) enum Incoming<'a, S: Saga> {
    Event {
        route: &'a Route,
        event: &'a Envelope<S::Event>,
    },
    Outcome(&'a CommandOutcome),
    Timeout {
        id: Uuid,
        due_at: DateTime<Utc>,
        payload: &'a Payload,
    },
}

/// What came of one input.
#[derive(Debug)]
pub(crate) struct Transition<S: Saga> {
    /// What the saga said; `None` when it was not asked.
    pub(crate) outputs: Option<Outputs<S::Command, S::Timeout>>,
    /// The commands to be sent.
    pub(crate) sent: Vec<Sent>,
    /// The messages to be put into outboxes.
    pub(crate) messages: Vec<SentMessage>,
    /// The timeouts to be set and cancelled, in this order.
    pub(crate) timers: Vec<TimerChange>,
    /// What is to be told of it. Without any, the instance is as it was.
    pub(crate) history: Vec<HistoryEntry>,
    /// Why it had no effect, when that is worth a word.
    pub(crate) lost: Option<Lost>,
}

/// An input that had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// There is no instance, and the saga discards events for those.
    Discarded,
    /// It is an outcome, and there is no instance.
    Orphan,
}

impl<S: Saga> Transition<S> {
    /// The input is of no interest.
    pub(crate) const fn ignored() -> Self {
        Self {
            outputs: None,
            sent: Vec::new(),
            messages: Vec::new(),
            timers: Vec::new(),
            history: Vec::new(),
            lost: None,
        }
    }

    const fn lost(why: Lost) -> Self {
        let mut transition = Self::ignored();
        transition.lost = Some(why);
        transition
    }
}

/// A command to be sent, under its stable id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: CommandId,
    pub(crate) command: EncodedCommand,
}

/// A message to be put into an outbox, under its stable id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentMessage {
    pub(crate) id: Uuid,
    pub(crate) queue: String,
    pub(crate) name: String,
    pub(crate) payload: Payload,
}

/// What is to be done to a timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimerChange {
    Set { id: Uuid, timeout: String, due: Due },
    Cancel { id: Uuid },
}

/// Which instance an event belongs to.
pub(crate) fn route<S: Saga>(event: &Envelope<S::Event>) -> Result<Route, TransitionError> {
    let route = catch_unwind(AssertUnwindSafe(|| S::route(event)))
        .map_err(|_| TransitionError::RoutePanicked)?;
    if let Some(key) = route.key()
        && (key.is_empty() || key.len() > MAX_KEY || key.contains('\0'))
    {
        return Err(TransitionError::BadKey {
            name: event.record().name().to_string(),
            position: event.position(),
            length: key.len(),
        });
    }
    Ok(route)
}

/// What an input means for an instance. After an error the instance may be half changed: drop it.
pub(crate) fn step<S: Saga>(
    key: &str,
    instance: &mut Option<Instance<S>>,
    input: &Incoming<'_, S>,
    metadata: &Metadata,
) -> Result<Transition<S>, TransitionError> {
    match input {
        Incoming::Event { route, event } => on_event(key, instance, route, event),
        Incoming::Outcome(outcome) => on_outcome(key, instance, outcome, metadata),
        Incoming::Timeout {
            id,
            due_at,
            payload,
        } => on_timeout(key, instance, *id, *due_at, payload),
    }
}

/// Leaves an input out: the saga is not asked, and what only the engine knows is settled all the same, so that the instance
/// does not wait for what has come.
pub(crate) fn skip<S: Saga>(
    key: &str,
    instance: &mut Instance<S>,
    input: &Incoming<'_, S>,
    metadata: &Metadata,
) -> Result<Transition<S>, TransitionError> {
    let mut step = Step::new(key, instance);
    match input {
        Incoming::Event { .. } => {}
        Incoming::Outcome(outcome) => {
            step.take_off(outcome, metadata);
        }
        Incoming::Timeout { id, .. } => step.instance.timers.retain(|timer| timer.id != *id),
    }
    step.finish()
}

fn on_event<S: Saga>(
    key: &str,
    place: &mut Option<Instance<S>>,
    route: &Route,
    event: &Envelope<S::Event>,
) -> Result<Transition<S>, TransitionError> {
    let (starts, strict) = match route {
        Route::Ignore => return Ok(Transition::ignored()),
        Route::Start(_) => (true, false),
        Route::StartStrict(_) => (true, true),
        Route::Continue(_) | Route::Stop(_) => (false, false),
        Route::ContinueStrict(_) => (false, true),
    };
    let started = place.is_none();
    let instance = match place {
        Some(_) if starts && strict => {
            return Err(TransitionError::AlreadyStarted(key.to_owned()));
        }
        Some(instance) => instance,
        None if starts => place.insert(Instance::new()),
        None if strict && S::MISSING == Missing::Discard => {
            return Ok(Transition::lost(Lost::Discarded));
        }
        None if strict => return Err(TransitionError::NotStarted(key.to_owned())),
        None => return Ok(Transition::ignored()),
    };
    let mut step = Step::new(key, instance);
    step.note(HistoryEntry::Event {
        position: event.position(),
        id: event.id(),
        name: event.record().name().to_string(),
        occurred_at: event.occurred_at(),
    });
    if started {
        step.note(HistoryEntry::status(ProcessStatus::Running));
    }
    // An instance that compensates has decided; what comes now is undone or ignored. One that is stuck is beyond events, and
    // one that has said that it is complete has ended, but for the outcomes it awaits: what an event finds must not depend
    // on how soon those come.
    if step.instance.is_open() {
        step.react(Input::Event(event))?;
        step.instance.completing |= matches!(route, Route::Stop(_));
    } else if step.instance.status.is_ended() {
        step.react_late(Input::Event(event))?;
    } else {
        step.pass_over();
    }
    step.finish()
}

fn on_outcome<S: Saga>(
    key: &str,
    instance: &mut Option<Instance<S>>,
    outcome: &CommandOutcome,
    metadata: &Metadata,
) -> Result<Transition<S>, TransitionError> {
    let Some(instance) = instance else {
        return Ok(Transition::lost(Lost::Orphan));
    };
    let mut step = Step::new(key, instance);
    step.note(HistoryEntry::outcome(outcome));
    match step.take_off(outcome, metadata) {
        // Told twice, and the first time counted; or a person has ended the instance meanwhile.
        Known::Never => step.note(HistoryEntry::passed_over("its command is not under way")),
        Known::Compensation => {}
        Known::Action if step.instance.status == ProcessStatus::Running => {
            step.react(Input::Outcome(outcome))?;
        }
        Known::Action if step.instance.status.is_ended() => {
            step.react_late(Input::Outcome(outcome))?;
        }
        Known::Action => step.pass_over(),
    }
    step.finish()
}

fn on_timeout<S: Saga>(
    key: &str,
    instance: &mut Option<Instance<S>>,
    id: Uuid,
    due_at: DateTime<Utc>,
    payload: &Payload,
) -> Result<Transition<S>, TransitionError> {
    let Some(instance) = instance else {
        return Ok(Transition::ignored());
    };
    let Some(place) = instance.timers.iter().position(|timer| timer.id == id) else {
        // It was cancelled or moved, and read before that.
        return Ok(Transition::ignored());
    };
    instance.timers.remove(place);
    let timeout: S::Timeout =
        serde_json::from_str(payload.as_str()).map_err(|error| TransitionError::Malformed {
            key: key.to_owned(),
            input: "a timeout",
            source: error.into(),
        })?;
    let mut step = Step::new(key, instance);
    step.note(HistoryEntry::Timeout {
        id,
        timeout: payload.as_str().to_owned(),
        due_at,
    });
    if step.instance.is_open() {
        step.react(Input::Timeout(&timeout))?;
    } else {
        step.pass_over();
    }
    step.finish()
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
struct Step<'a, S: Saga> {
    key: &'a str,
    instance: &'a mut Instance<S>,
    /// How it stood before.
    before: ProcessStatus,
    transition: Transition<S>,
}

impl<'a, S: Saga> Step<'a, S> {
    fn new(key: &'a str, instance: &'a mut Instance<S>) -> Self {
        instance.version = S::VERSION;
        Self {
            key,
            before: instance.status,
            instance,
            transition: Transition::ignored(),
        }
    }

    fn note(&mut self, entry: HistoryEntry) {
        self.transition.history.push(entry);
    }

    fn pass_over(&mut self) {
        let why = match self.instance.status {
            ProcessStatus::Running => "the saga has said that it is complete".to_owned(),
            status => format!("it is {status}"),
        };
        self.note(HistoryEntry::passed_over(why));
    }

    /// Notes that a command is not under way any more.
    fn take_off(&mut self, outcome: &CommandOutcome, metadata: &Metadata) -> Known {
        let id = outcome.command_id();
        if self.instance.undoing == Some(id) {
            self.instance.undoing = None;
            self.undone(outcome, metadata);
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
    fn undone(&mut self, outcome: &CommandOutcome, metadata: &Metadata) {
        let why = match outcome.verdict() {
            Verdict::Succeeded => {
                self.instance.undo.pop();
                return;
            }
            // It stays registered: what is stuck can be seen, and undone by a person.
            Verdict::Rejected(reason) | Verdict::GaveUp(reason) => {
                format!("compensation {} failed: {reason}", outcome.command())
            }
            other => format!("an outcome of unknown kind: {other:?}"),
        };
        self.instance.status = ProcessStatus::Stuck;
        let metadata = metadata.clone();
        self.instance.stuck = Some(Stuck { why, metadata });
    }

    /// Asks the saga, and takes down what it wants done.
    fn react(&mut self, input: Input<'_, S::Event, S::Timeout>) -> Result<(), TransitionError> {
        let outputs = self.ask(|state| state.react(input))?;
        for output in outputs.as_slice() {
            match output {
                Output::Send { command, undo } => {
                    let id = self.send(command)?;
                    for undo in undo {
                        self.register(Some(id), undo)?;
                    }
                }
                Output::OnUndo(undo) => self.register(None, undo)?,
                Output::Message(message) => self.send_message(message)?,
                Output::After(wait, timeout) => {
                    self.set(timeout, Due::After(*wait), DueText::after(*wait))?;
                }
                Output::At(time, timeout) => {
                    self.set(timeout, Due::At(*time), DueText::At(*time))?;
                }
                Output::Cancel(timeout) => {
                    let timeout = self.timeout(timeout)?;
                    self.cancel(&timeout);
                }
                Output::Compensate => self.instance.status = ProcessStatus::Compensating,
                Output::Complete => self.instance.completing = true,
            }
        }
        self.transition.outputs = Some(outputs);
        Ok(())
    }

    /// Asks the saga of an instance that has ended.
    fn react_late(
        &mut self,
        input: Input<'_, S::Event, S::Timeout>,
    ) -> Result<(), TransitionError> {
        let ended = self.instance.status;
        let outputs = self.ask(|state| state.on_late(input, ended))?;
        for output in outputs.as_slice() {
            match output {
                Output::Send { command, undo } if undo.is_empty() => {
                    self.send(command)?;
                }
                Output::Message(message) => self.send_message(message)?,
                // What could not be carried out must not be lost silently.
                _ => return Err(TransitionError::NotAfterEnd(self.key.to_owned())),
            }
        }
        self.transition.outputs = Some(outputs);
        Ok(())
    }

    fn ask(
        &mut self,
        ask: impl FnOnce(&mut S) -> Outputs<S::Command, S::Timeout>,
    ) -> Result<Outputs<S::Command, S::Timeout>, TransitionError> {
        let state = &mut self.instance.state;
        // What a panic leaves half changed is dropped with the instance.
        let outputs = catch_unwind(AssertUnwindSafe(|| ask(state)))
            .map_err(|_| TransitionError::Panicked(self.key.to_owned()))?;
        let said = outputs.as_slice().iter().map(in_words).collect();
        self.note(HistoryEntry::Decided { outputs: said });
        Ok(outputs)
    }

    fn send(&mut self, command: &S::Command) -> Result<CommandId, TransitionError> {
        let command = self.encode(command)?;
        let id = self.next_id();
        self.instance.in_flight.push(InFlight {
            id,
            command: command.name().to_string(),
        });
        self.note_sent(id, &command, false);
        self.transition.sent.push(Sent { id, command });
        Ok(id)
    }

    fn note_sent(&mut self, id: CommandId, command: &EncodedCommand, compensation: bool) {
        self.note(HistoryEntry::Sent {
            id,
            command: command.name().to_string(),
            compensation,
        });
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

    fn send_message(&mut self, message: &crate::OutboxMessage) -> Result<(), TransitionError> {
        let payload = message.payload();
        let payload = payload.map_err(|refusal| self.encode_error(refusal.clone().into()))?;
        self.instance.messages += 1;
        let id = self.stable_id("message", self.instance.messages);
        let (queue, name) = (message.queue().to_owned(), message.name().to_owned());
        self.note(HistoryEntry::Message {
            id,
            queue: queue.clone(),
            name: name.clone(),
        });
        self.transition.messages.push(SentMessage {
            id,
            queue,
            name,
            payload: payload.clone(),
        });
        Ok(())
    }

    /// Sets a timeout, in place of an equal one.
    fn set(
        &mut self,
        timeout: &S::Timeout,
        due: Due,
        due_text: DueText,
    ) -> Result<(), TransitionError> {
        let timeout = self.timeout(timeout)?;
        self.cancel(&timeout);
        self.instance.timers_set += 1;
        // An id of its own, also for one that is moved: what was read as due before must not fire for its successor.
        let id = self.stable_id("timeout", self.instance.timers_set);
        self.note(HistoryEntry::TimeoutSet {
            id,
            timeout: timeout.clone(),
            due: due_text,
        });
        self.instance.timers.push(Pending {
            id,
            timeout: timeout.clone(),
        });
        self.transition
            .timers
            .push(TimerChange::Set { id, timeout, due });
        Ok(())
    }

    fn cancel(&mut self, timeout: &str) {
        let timers = &mut self.instance.timers;
        if let Some(place) = timers.iter().position(|timer| timer.timeout == timeout) {
            let timer = timers.remove(place);
            self.cancelled(timer);
        }
    }

    fn cancelled(&mut self, Pending { id, timeout }: Pending) {
        self.note(HistoryEntry::TimeoutCancelled { id, timeout });
        self.transition.timers.push(TimerChange::Cancel { id });
    }

    fn timeout(&self, timeout: &S::Timeout) -> Result<String, TransitionError> {
        text(timeout).map_err(|error| self.encode_error(error))
    }

    /// Goes on by itself, and tells how it stands.
    fn finish(mut self) -> Result<Transition<S>, TransitionError> {
        self.advance()?;
        // Nobody is asked any more, so there is nobody whom a timeout could reach.
        if !self.instance.is_open() {
            for timer in std::mem::take(&mut self.instance.timers) {
                self.cancelled(timer);
            }
        }
        let status = self.instance.status;
        if status != self.before {
            self.note(HistoryEntry::status(status));
        }
        Ok(self.transition)
    }

    /// To the next compensation when everything is settled, or to the end.
    fn advance(&mut self) -> Result<(), TransitionError> {
        let instance = &mut *self.instance;
        if !instance.in_flight.is_empty() || instance.undoing.is_some() {
            return Ok(());
        }
        match instance.status {
            ProcessStatus::Running if instance.completing => {
                instance.status = ProcessStatus::Completed;
                instance.undo.clear();
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
                    self.note_sent(id, &command, true);
                    self.transition.sent.push(Sent { id, command });
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
        command_id(S::NAME, self.key, self.instance.sent)
    }

    /// As stable as the id of a command, and never equal to one.
    fn stable_id(&self, kind: &str, number: u64) -> Uuid {
        *CommandId::stable([S::NAME, self.key, kind, &number.to_string()]).as_uuid()
    }
}

/// The id of the command that an instance sends as its so-manieth.
pub(crate) fn command_id(saga: &str, key: &str, number: u64) -> CommandId {
    CommandId::stable([saga, key, &number.to_string()])
}

/// A timeout as it is stored, and found again.
fn text<T: Serialize>(timeout: &T) -> Result<String, BoxError> {
    Ok(Payload::encode(timeout)?.as_str().to_owned())
}

fn in_words<C: CommandSet, T: Serialize>(output: &Output<C, T>) -> String {
    let name = |command: &C| command.descriptor().name();
    let timeout = |timeout: &T| text(timeout).unwrap_or_else(|_| "?".to_owned());
    match output {
        Output::Send { command, undo } if undo.is_empty() => format!("send {}", name(command)),
        Output::Send { command, undo } => {
            let undo: Vec<_> = undo.iter().map(name).collect();
            format!("send {}, undone by {}", name(command), undo.join(", "))
        }
        Output::OnUndo(undo) => format!("undo by {}", name(undo)),
        Output::Message(message) => format!("message {} to {}", message.name(), message.queue()),
        Output::After(wait, what) => format!("after {wait:?}: {}", timeout(what)),
        Output::At(time, what) => format!("at {time}: {}", timeout(what)),
        Output::Cancel(what) => format!("cancel {}", timeout(what)),
        Output::Compensate => "compensate".to_owned(),
        Output::Complete => "complete".to_owned(),
    }
}
