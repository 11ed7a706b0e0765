//! [`DryRun`]: a saga without store, queue or clock.

use std::collections::btree_map::Entry;

use uno_core::{CommandId, EncodedCommand, Envelope};
use uno_cqrs::CommandOutcome;

use crate::{
    InstanceView, Outputs, Saga, TransitionError,
    engine::{self, Instances, Transition},
};

/// Runs the instances of a saga in memory, by the same engine that runs them on a store: for tests, and to find out what
/// would come of an input. `GivenSaga` in `uno-testkit` is built on it.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Command, Envelope, Event};
/// # use uno_saga::{DryRun, Input, Outputs, Route, Saga};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { order: u64 }
/// # #[derive(Command, Serialize, Deserialize)] struct SendInvoice { order: u64 }
/// # #[derive(Serialize, Deserialize, Default, Clone, Debug)] struct Invoicing {}
/// # impl Saga for Invoicing {
/// #     const NAME: &'static str = "invoicing";
/// #     type Event = OrderPlaced;
/// #     type Command = SendInvoice;
/// #     fn route(event: &Envelope<OrderPlaced>) -> Route { Route::Start(event.event().order.to_string()) }
/// #     fn react(&mut self, input: Input<'_, OrderPlaced>) -> Outputs<SendInvoice> {
/// #         match input {
/// #             Input::Event(event) => Outputs::send(SendInvoice { order: event.event().order }).and_complete(),
/// #             _ => Outputs::none(),
/// #         }
/// #     }
/// # }
/// # fn envelope() -> Envelope<OrderPlaced> {
/// #     let event = OrderPlaced { order: 1742 };
/// #     let new = uno_core::NewEvent::encode(&event).unwrap();
/// #     let time = new.occurred_at();
/// #     let record = uno_core::RecordedEvent::record(&new, "order-1742".parse().unwrap(), uno_core::Version::EMPTY.next(), uno_core::Position::START.next(), time);
/// #     Envelope::new(event, record.into())
/// # }
/// use uno_core::ProcessStatus;
/// use uno_cqrs::{CommandOutcome, Verdict};
///
/// let mut run = DryRun::<Invoicing>::new();
/// let step = run.event(&envelope())?;
/// let sent = &step.sent()[0];
/// assert_eq!((sent.key(), sent.command().name().as_str()), ("1742", "send_invoice"));
///
/// run.outcome("1742", &CommandOutcome::new(sent.id(), "send_invoice", Verdict::Succeeded))?;
/// assert_eq!(run.instance("1742").map(|instance| instance.status()), Some(ProcessStatus::Completed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DryRun<S> {
    instances: Instances<S>,
}

/// What came of one input in a [`DryRun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryStep<C> {
    outputs: Option<Outputs<C>>,
    sent: Vec<SentCommand>,
}

/// A command that a saga has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCommand {
    key: String,
    id: CommandId,
    command: EncodedCommand,
}

impl<S: Saga> DryRun<S> {
    /// A run without instances.
    #[must_use]
    pub fn new() -> Self {
        Self {
            instances: Instances::new(),
        }
    }

    /// Feeds an event.
    ///
    /// # Errors
    /// As the runner's subscription would stop with; every instance is then as it was.
    pub fn event(
        &mut self,
        event: &Envelope<S::Event>,
    ) -> Result<DryStep<S::Command>, TransitionError> {
        let route = engine::route::<S>(event)?;
        let Some(key) = route.key() else {
            return Ok(DryStep::ignored());
        };
        let key = key.to_owned();
        self.step(&key, |instances| engine::on_event(instances, &route, event))
    }

    /// Feeds the outcome of a command to the instance that has sent it.
    ///
    /// # Errors
    /// When the outcome can't be handled; every instance is then as it was.
    pub fn outcome(
        &mut self,
        key: &str,
        outcome: &CommandOutcome,
    ) -> Result<DryStep<S::Command>, TransitionError> {
        self.step(key, |instances| {
            let step = engine::on_outcome(instances, key, outcome)?;
            Ok(step.unwrap_or(Transition::ignored()))
        })
    }

    fn step(
        &mut self,
        key: &str,
        step: impl FnOnce(&mut Instances<S>) -> Result<Transition<S::Command>, TransitionError>,
    ) -> Result<DryStep<S::Command>, TransitionError> {
        let before = self.instances.get(key).cloned();
        match step(&mut self.instances) {
            Ok(Transition { outputs, sent }) => Ok(DryStep {
                outputs,
                sent: sent
                    .into_iter()
                    .map(|sent| SentCommand {
                        key: key.to_owned(),
                        id: sent.id,
                        command: sent.command,
                    })
                    .collect(),
            }),
            Err(error) => {
                match (self.instances.entry(key.to_owned()), before) {
                    (Entry::Occupied(mut place), Some(before)) => {
                        place.insert(before);
                    }
                    (Entry::Occupied(place), None) => {
                        place.remove();
                    }
                    (Entry::Vacant(_), _) => {}
                }
                Err(error)
            }
        }
    }

    /// How one instance stands.
    #[must_use]
    pub fn instance(&self, key: &str) -> Option<InstanceView<S>> {
        let loaded = self.instances.get(key)?;
        Some(InstanceView::new(key.to_owned(), loaded.instance.clone()))
    }

    /// The keys of all instances, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.instances.keys().map(String::as_str)
    }
}

impl<S: Saga> Default for DryRun<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> DryStep<C> {
    const fn ignored() -> Self {
        Self {
            outputs: None,
            sent: Vec::new(),
        }
    }

    /// What the saga said; `None` when it was not asked.
    #[must_use]
    pub fn outputs(&self) -> Option<&Outputs<C>> {
        self.outputs.as_ref()
    }

    /// The commands that are sent: those that the saga said, or the next compensation.
    #[must_use]
    pub fn sent(&self) -> &[SentCommand] {
        &self.sent
    }
}

impl SentCommand {
    /// The instance that sends it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its id: the same whenever the same step is worked out.
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// The command.
    #[must_use]
    pub fn command(&self) -> &EncodedCommand {
        &self.command
    }
}
