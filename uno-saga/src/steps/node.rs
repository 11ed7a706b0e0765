//! What a definition consists of.

use std::{fmt, time::Duration};

use uno_core::{CommandDescriptor, CommandSet, Envelope};

use super::{Answer, StepSaga, Steps};

/// One thing after another.
pub(crate) enum Node<S: StepSaga> {
    Step(Box<Step<S>>),
    /// The branches.
    Fork(Vec<Steps<S>>),
}

/// A step.
pub(crate) struct Step<S: StepSaga> {
    pub(crate) name: &'static str,
    pub(crate) task: Task<S>,
    pub(crate) deadline: Option<Deadline<S>>,
    /// Only the last one may repeat.
    pub(crate) escalations: Vec<Escalation<S>>,
    pub(crate) rejected: Option<Steps<S>>,
    pub(crate) gave_up: Option<Steps<S>>,
}

/// What is done in a step.
pub(crate) enum Task<S: StepSaga> {
    Send {
        command: Make<S>,
        undo: Vec<Make<S>>,
    },
    Wait(Hear<S>),
}

/// How an answer is found in an event.
type Hear<S> =
    Box<dyn Fn(&mut S, &Envelope<<S as StepSaga>::Event>) -> Option<Answer> + Send + Sync>;

/// How long a step may take.
pub(crate) struct Deadline<S: StepSaga> {
    pub(crate) wait: Duration,
    /// What is done then; `None` undoes everything.
    pub(crate) instead: Option<Steps<S>>,
}

/// Who is told when a step takes long.
pub(crate) struct Escalation<S: StepSaga> {
    pub(crate) wait: Duration,
    pub(crate) make: Make<S>,
    pub(crate) repeats: bool,
}

/// Makes a command from the data and a number.
pub(crate) struct Make<S: StepSaga> {
    /// What it may make.
    commands: &'static [CommandDescriptor],
    make: Maker<S>,
}

type Maker<S> = Box<dyn Fn(&S, u32) -> <S as StepSaga>::Command + Send + Sync>;

impl<S: StepSaga> Make<S> {
    pub(super) fn of<C>(make: impl Fn(&S, u32) -> C + Send + Sync + 'static) -> Self
    where
        C: CommandSet + Into<S::Command>,
    {
        Self {
            commands: C::COMMANDS,
            make: Box::new(move |data, number| make(data, number).into()),
        }
    }

    pub(super) fn make(&self, data: &S, number: u32) -> S::Command {
        (self.make)(data, number)
    }

    /// The names of the commands that it may make.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.commands.iter().map(|command| command.name()).collect();
        names.join(" or ")
    }
}

impl<S: StepSaga> Step<S> {
    pub(super) const fn new(name: &'static str, task: Task<S>) -> Self {
        Self {
            name,
            task,
            deadline: None,
            escalations: Vec::new(),
            rejected: None,
            gave_up: None,
        }
    }

    pub(super) const fn is_wait(&self) -> bool {
        matches!(self.task, Task::Wait(_))
    }

    /// The escalation that follows when so many were sent.
    pub(super) fn escalation(&self, sent: u32) -> Option<&Escalation<S>> {
        let place = usize::try_from(sent).unwrap_or(usize::MAX);
        let last = || self.escalations.last().filter(|last| last.repeats);
        self.escalations.get(place).or_else(last)
    }

    /// What may be done in place of it.
    pub(super) fn alternatives(&self) -> impl Iterator<Item = &Steps<S>> {
        let late = self
            .deadline
            .as_ref()
            .and_then(|late| late.instead.as_ref());
        [self.rejected.as_ref(), self.gave_up.as_ref(), late]
            .into_iter()
            .flatten()
    }
}

impl<S: StepSaga> Node<S> {
    /// The parts that have steps of their own.
    pub(super) fn parts(&self) -> Vec<&Steps<S>> {
        match self {
            Self::Step(step) => step.alternatives().collect(),
            Self::Fork(branches) => branches.iter().collect(),
        }
    }
}

/// All steps in the order in which they are written.
pub(super) fn collect<'a, S: StepSaga>(steps: &'a Steps<S>, into: &mut Vec<&'a Step<S>>) {
    for node in steps.nodes() {
        if let Node::Step(step) = node {
            into.push(step);
        }
        for part in node.parts() {
            collect(part, into);
        }
    }
}

impl<S: StepSaga> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "{}", step.name),
            Self::Fork(branches) => f.debug_set().entries(branches).finish(),
        }
    }
}
