//! [`Steps`]: a process as a list of steps.

mod check;
mod node;
mod step_saga;
mod stepwise;
#[cfg(test)]
mod tests;
mod walk;

use std::{fmt, time::Duration};

use uno_core::{CommandSet, Envelope};

use self::node::{Escalation, Make};

pub(crate) use self::node::{Deadline, Node, Step, Task};
pub use self::{
    check::StepsError,
    step_saga::{Answer, StepSaga},
    stepwise::{StepTimeout, Stepwise},
};

/// The steps of a process, in order: what a [`StepSaga`] consists of, and each branch of a [`fork`](Self::fork).
///
/// Begin it with `Steps::<Self>::new()`, so that the functions in it know what they are given.
/// `undo`, `give_up_after` and the like concern the step before them. What is wrong with a definition is told when the
/// application is built, as a [`StepsError`].
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Command, CommandSet, Envelope, Event};
/// use uno_saga::{StepSaga, Steps};
///
/// #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { order: u64 }
/// #[derive(Command, Serialize, Deserialize)] struct Charge { order: u64 }
/// #[derive(Command, Serialize, Deserialize)] struct Refund { order: u64 }
/// #[derive(Command, Serialize, Deserialize)] struct Pick { order: u64 }
/// #[derive(Command, Serialize, Deserialize)] struct SendInvoice { order: u64 }
/// #[derive(Command, Serialize, Deserialize)] struct TellManager { order: u64 }
/// #[derive(CommandSet)] enum Sent { Charge(Charge), Refund(Refund), Pick(Pick), SendInvoice(SendInvoice), TellManager(TellManager) }
///
/// // What one instance knows.
/// #[derive(Serialize, Deserialize, Clone, Debug)]
/// struct Fulfilment { order: u64 }
///
/// impl StepSaga for Fulfilment {
///     const NAME: &'static str = "fulfilment";
///     type Event = OrderPlaced;
///     type Command = Sent;
///
///     fn key(event: &Envelope<OrderPlaced>) -> Option<String> {
///         Some(event.event().order.to_string())
///     }
///
///     fn start(event: &Envelope<OrderPlaced>) -> Option<Self> {
///         Some(Self { order: event.event().order })
///     }
///
///     fn steps() -> Steps<Self> {
///         Steps::<Self>::new()
///             .step("charge", |it| Charge { order: it.order })
///             .undo(|it| Refund { order: it.order })
///             .give_up_after(Duration::from_secs(86_400))
///             .fork([
///                 Steps::<Self>::new()
///                     .step("pick", |it| Pick { order: it.order })
///                     .escalate_after(Duration::from_secs(1800), |it| TellManager { order: it.order }),
///                 Steps::<Self>::new().step("invoice", |it| SendInvoice { order: it.order }),
///             ])
///     }
/// }
///
/// assert!(Fulfilment::steps().check().is_ok());
/// ```
#[must_use = "a definition does nothing by itself"]
pub struct Steps<S: StepSaga> {
    nodes: Vec<Node<S>>,
    /// What was wrong first while it was put together.
    wrong: Option<StepsError>,
}

impl<S: StepSaga> Steps<S> {
    /// No steps.
    pub const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            wrong: None,
        }
    }

    /// And then a command is sent, and its outcome awaited. When it is rejected or gives up, everything is undone, unless
    /// [`on_rejected`](Self::on_rejected) or [`on_gave_up`](Self::on_gave_up) says otherwise.
    ///
    /// The name is unique in the definition, and does not change while instances are at the step: the state names it.
    pub fn step<C>(
        self,
        name: &'static str,
        command: impl Fn(&S) -> C + Send + Sync + 'static,
    ) -> Self
    where
        C: CommandSet + Into<S::Command>,
    {
        let (command, undo) = (Make::of(move |data, _| command(data)), Vec::new());
        self.then(name, Task::Send { command, undo })
    }

    /// And then nothing is done until `hear` finds the answer in an event.
    ///
    /// Waits listen from the start of the instance on, each until it has its answer or its time is up. So nothing depends on
    /// whether an answer comes before or after the process is there. `hear` may note in the data what it hears.
    /// A [`Refused`](Answer::Refused) is as a rejected command: everything is undone, unless [`on_rejected`](Self::on_rejected) says
    /// otherwise.
    pub fn wait_for(
        self,
        name: &'static str,
        hear: impl Fn(&mut S, &Envelope<S::Event>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        self.then(name, Task::Wait(Box::new(hear)))
    }

    /// And then these go on side by side, and what follows waits for all of them. Whatever is undone is undone in the reverse
    /// of the order in which it was sent, across the branches.
    pub fn fork(mut self, branches: impl IntoIterator<Item = Self>) -> Self {
        self.nodes.push(Node::Fork(branches.into_iter().collect()));
        self
    }

    fn then(mut self, name: &'static str, task: Task<S>) -> Self {
        let step = Step::new(name, task);
        self.nodes.push(Node::Step(Box::new(step)));
        self
    }

    /// If it all has to be undone, sends this for the step's command: registered when that is sent, and taken off
    /// again only if it is rejected. The last of several is sent first.
    pub fn undo<C>(self, command: impl Fn(&S) -> C + Send + Sync + 'static) -> Self
    where
        C: CommandSet + Into<S::Command>,
    {
        self.change("undo", |step| match &mut step.task {
            Task::Send { undo, .. } => {
                undo.push(Make::of(move |data, _| command(data)));
                Ok(())
            }
            Task::Wait(_) => Err(StepsError::misplaced("undo", step.name)),
        })
    }

    /// Undoes everything when the step takes longer than this. What is under way is settled first.
    pub fn give_up_after(self, wait: Duration) -> Self {
        self.deadline("give_up_after", wait, None)
    }

    /// When the step takes longer than this, leaves it for these other steps, then goes on behind it.
    ///
    /// A command that is under way is not called back: it may still run, and its outcome is not heard. Its
    /// compensations stay registered, unless it is rejected.
    pub fn on_timeout(self, wait: Duration, instead: Self) -> Self {
        self.deadline("on_timeout", wait, Some(instead))
    }

    fn deadline(self, name: &'static str, wait: Duration, instead: Option<Self>) -> Self {
        self.change(name, |step| {
            if step.deadline.is_some() {
                return Err(StepsError::twice(name, step.name));
            }
            step.deadline = Some(Deadline { wait, instead });
            Ok(())
        })
    }

    /// Sends this when the step takes longer than this, and goes on waiting. Several are levels, each so long after the one
    /// before. Nothing depends on the outcomes of these commands.
    pub fn escalate_after<C>(
        self,
        wait: Duration,
        command: impl Fn(&S) -> C + Send + Sync + 'static,
    ) -> Self
    where
        C: CommandSet + Into<S::Command>,
    {
        let make = Make::of(move |data, _| command(data));
        self.escalate("escalate_after", wait, make, false)
    }

    /// The last level of escalation, which comes again and again until the step ends. It is told the
    /// how-manieth escalation of the step it is, from 1 on, those of [`escalate_after`](Self::escalate_after) included.
    pub fn escalate_every<C>(
        self,
        wait: Duration,
        command: impl Fn(&S, u32) -> C + Send + Sync + 'static,
    ) -> Self
    where
        C: CommandSet + Into<S::Command>,
    {
        self.escalate("escalate_every", wait, Make::of(command), true)
    }

    fn escalate(self, name: &'static str, wait: Duration, make: Make<S>, repeats: bool) -> Self {
        self.change(name, |step| {
            if step.escalations.last().is_some_and(|last| last.repeats) {
                return Err(StepsError::misplaced(name, step.name));
            }
            step.escalations.push(Escalation {
                wait,
                make,
                repeats,
            });
            Ok(())
        })
    }

    /// When the command is rejected, or the answer refused, does these other steps, then goes on behind this one. None at all
    /// make it a step that need not succeed.
    pub fn on_rejected(self, instead: Self) -> Self {
        self.change("on_rejected", |step| match step.rejected {
            Some(_) => Err(StepsError::twice("on_rejected", step.name)),
            None => {
                step.rejected = Some(instead);
                Ok(())
            }
        })
    }

    /// When the command gives up, does these other steps, then goes on behind this one. The command may have run: its
    /// compensations stay registered.
    pub fn on_gave_up(self, instead: Self) -> Self {
        self.change("on_gave_up", |step| match (&step.task, &step.gave_up) {
            (Task::Wait(_), _) => Err(StepsError::misplaced("on_gave_up", step.name)),
            (Task::Send { .. }, Some(_)) => Err(StepsError::twice("on_gave_up", step.name)),
            (Task::Send { .. }, None) => {
                step.gave_up = Some(instead);
                Ok(())
            }
        })
    }

    /// Changes the step that was put down last.
    fn change(
        mut self,
        what: &'static str,
        change: impl FnOnce(&mut Step<S>) -> Result<(), StepsError>,
    ) -> Self {
        let changed = match self.nodes.last_mut() {
            Some(Node::Step(step)) => change(step),
            Some(Node::Fork(_)) => Err(StepsError::misplaced(what, "a fork")),
            None => Err(StepsError::misplaced(what, "nothing")),
        };
        if let Err(error) = changed {
            self.wrong.get_or_insert(error);
        }
        self
    }

    /// Whether it can be run; building an application asks this.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn check(&self) -> Result<(), StepsError> {
        check::check(self)
    }

    pub(crate) fn nodes(&self) -> &[Node<S>] {
        &self.nodes
    }

    /// All steps, those of branches and alternatives included, in the order in which they are written.
    fn all(&self) -> Vec<&Step<S>> {
        let mut all = Vec::new();
        node::collect(self, &mut all);
        all
    }

    /// The step of this name.
    fn find(&self, name: &str) -> Option<&Step<S>> {
        self.all().into_iter().find(|step| step.name == name)
    }
}

impl<S: StepSaga> Default for Steps<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: StepSaga> fmt::Debug for Steps<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.nodes).finish()
    }
}
