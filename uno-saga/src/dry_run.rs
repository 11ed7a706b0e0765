//! [`DryRun`]: a saga without store, queue or clock.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use uno_core::{CommandId, EncodedCommand, Envelope, Metadata, Payload, truncate_to_micros};
use uno_cqrs::CommandOutcome;
use uuid::Uuid;

use crate::{
    InstanceView, NoTimeout, Outputs, Saga, TransitionError,
    engine::{self, Incoming, TimerChange, Transition},
    instance::Instance,
    stored,
};

/// Runs the instances of a saga in memory and in virtual time, by the same engine that runs them on a store: for tests, and to
/// find out what would come of an input. `GivenSaga` in `uno-testkit` is built on it.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Command, Envelope, Event};
/// # use uno_saga::{DryRun, Input, NoTimeout, Outputs, Route, Saga};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { order: u64 }
/// # #[derive(Command, Serialize, Deserialize)] struct SendInvoice { order: u64 }
/// # #[derive(Serialize, Deserialize, Default, Clone, Debug)] struct Invoicing {}
/// # impl Saga for Invoicing {
/// #     const NAME: &'static str = "invoicing";
/// #     type Event = OrderPlaced;
/// #     type Command = SendInvoice;
/// #     type Timeout = NoTimeout;
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
    instances: BTreeMap<String, Instance<S>>,
    now: DateTime<Utc>,
    /// By time, then by id, as stores fire them: the key and the timeout as JSON.
    timers: BTreeMap<(DateTime<Utc>, Uuid), (String, String)>,
    /// The timeout that fired last.
    fired: Option<Fired>,
}

/// A timeout that has fired.
#[derive(Clone, Debug)]
struct Fired {
    key: String,
    id: Uuid,
    due_at: DateTime<Utc>,
    timeout: String,
}

/// What came of one input in a [`DryRun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryStep<C, T = NoTimeout> {
    key: Option<String>,
    timeout: Option<String>,
    outputs: Option<Outputs<C, T>>,
    sent: Vec<SentCommand>,
    messages: Vec<SentMessage>,
}

/// A command that a saga has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCommand {
    key: String,
    id: CommandId,
    command: EncodedCommand,
}

/// A message that a saga has put into an outbox queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    id: Uuid,
    queue: String,
    name: String,
    payload: Payload,
}

type Step<S> = DryStep<<S as Saga>::Command, <S as Saga>::Timeout>;

impl<S: Saga> DryRun<S> {
    /// A run without instances, that begins at the turn of the millennium.
    #[must_use]
    pub fn new() -> Self {
        Self::at(DateTime::from_timestamp(946_684_800, 0).unwrap_or_default())
    }

    /// A run without instances, that begins at this time.
    #[must_use]
    pub fn at(time: DateTime<Utc>) -> Self {
        Self {
            instances: BTreeMap::new(),
            now: truncate_to_micros(time),
            timers: BTreeMap::new(),
            fired: None,
        }
    }

    /// Feeds an event.
    ///
    /// # Errors
    /// Why the instance would be parked, or the subscription would stop; everything is then as it was.
    pub fn event(&mut self, event: &Envelope<S::Event>) -> Result<Step<S>, TransitionError> {
        let route = engine::route::<S>(event)?;
        let Some(key) = route.key() else {
            return Ok(DryStep::ignored());
        };
        let (key, route) = (key.to_owned(), &route);
        self.step(&key, &Incoming::Event { route, event })
    }

    /// Feeds the outcome of a command to the instance that has sent it.
    ///
    /// # Errors
    /// Why the instance would be parked; everything is then as it was.
    pub fn outcome(
        &mut self,
        key: &str,
        outcome: &CommandOutcome,
    ) -> Result<Step<S>, TransitionError> {
        self.step(key, &Incoming::Outcome(outcome))
    }

    /// Moves the clock to the next timeout, if it is later, and fires it; `None` when none is pending.
    ///
    /// # Errors
    /// Why the instance would be parked; everything but the clock is then as it was.
    pub fn fire_next(&mut self) -> Option<Result<Step<S>, TransitionError>> {
        let (&(due_at, id), (key, timeout)) = self.timers.first_key_value()?;
        let (key, timeout) = (key.clone(), timeout.clone());
        self.now = self.now.max(due_at);
        let fired = Fired {
            key,
            id,
            due_at,
            timeout,
        };
        let step = self.deliver(&fired);
        if step.is_ok() {
            self.timers.remove(&(due_at, id));
            self.fired = Some(fired);
        }
        Some(step)
    }

    /// Delivers the timeout that fired last once more, as a process does that has read it before another one fired it; `None`
    /// when none has fired. It must have no effect.
    ///
    /// # Errors
    /// Why the instance would be parked; everything is then as it was.
    pub fn fire_again(&mut self) -> Option<Result<Step<S>, TransitionError>> {
        let fired = self.fired.clone()?;
        Some(self.deliver(&fired))
    }

    fn deliver(&mut self, fired: &Fired) -> Result<Step<S>, TransitionError> {
        let payload = Payload::from_stored(fired.timeout.clone());
        let incoming = Incoming::Timeout {
            id: fired.id,
            due_at: fired.due_at,
            payload: &payload,
        };
        let mut step = self.step(&fired.key, &incoming)?;
        step.timeout = Some(fired.timeout.clone());
        Ok(step)
    }

    /// Lets time go by, and fires what becomes due in order, each at its time: also what is set only then.
    ///
    /// # Errors
    /// At the first that can't be handled, with the clock at its time.
    pub fn advance(&mut self, by: Duration) -> Result<Vec<Step<S>>, TransitionError> {
        let to = uno_core::Due::After(by).time(self.now);
        let mut steps = Vec::new();
        while self.next_due().is_some_and(|due| due <= to) {
            steps.extend(self.fire_next().transpose()?);
        }
        self.now = to;
        Ok(steps)
    }

    /// What its clock shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// When the next timeout is due.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.timers.keys().next().map(|(due, _)| *due)
    }

    /// The timeouts that are pending, in the order in which they will fire: when, of which instance, and the timeout as JSON.
    pub fn timeouts(&self) -> impl Iterator<Item = (DateTime<Utc>, &str, &str)> {
        let timers = self.timers.iter();
        timers.map(|((due, _), (key, timeout))| (*due, &**key, &**timeout))
    }

    fn step(&mut self, key: &str, input: &Incoming<'_, S>) -> Result<Step<S>, TransitionError> {
        let mut instance = self.instances.get(key).cloned();
        let step = engine::step(key, &mut instance, input, &Metadata::new())?;
        if let Some(instance) = instance {
            // What could not be stored is an error here as well.
            stored::encode(key, &instance)?;
            self.instances.insert(key.to_owned(), instance);
        }
        for change in &step.timers {
            match change {
                TimerChange::Set { id, timeout, due } => {
                    let place = (due.time(self.now), *id);
                    let timer = (key.to_owned(), timeout.clone());
                    self.timers.insert(place, timer);
                }
                TimerChange::Cancel { id } => self.timers.retain(|(_, other), _| other != id),
            }
        }
        Ok(DryStep::new(key, step))
    }

    /// How one instance stands.
    #[must_use]
    pub fn instance(&self, key: &str) -> Option<InstanceView<S>> {
        let instance = self.instances.get(key)?.clone();
        Some(InstanceView::new(key.to_owned(), instance.status, instance))
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

impl<C, T> DryStep<C, T> {
    const fn ignored() -> Self {
        Self {
            key: None,
            timeout: None,
            outputs: None,
            sent: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn new<S: Saga<Command = C, Timeout = T>>(key: &str, step: Transition<S>) -> Self {
        let sent = step.sent.into_iter().map(|sent| SentCommand {
            key: key.to_owned(),
            id: sent.id,
            command: sent.command,
        });
        let messages = step.messages.into_iter().map(|sent| SentMessage {
            id: sent.id,
            queue: sent.queue,
            name: sent.name,
            payload: sent.payload,
        });
        Self {
            key: Some(key.to_owned()),
            timeout: None,
            outputs: step.outputs,
            sent: sent.collect(),
            messages: messages.collect(),
        }
    }

    /// The instance that the input came to; `None` when it was ignored.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The timeout that fired, as JSON, if it was one.
    #[must_use]
    pub fn timeout(&self) -> Option<&str> {
        self.timeout.as_deref()
    }

    /// What the saga said; `None` when it was not asked.
    #[must_use]
    pub fn outputs(&self) -> Option<&Outputs<C, T>> {
        self.outputs.as_ref()
    }

    /// The commands that are sent: those that the saga said, or the next compensation.
    #[must_use]
    pub fn sent(&self) -> &[SentCommand] {
        &self.sent
    }

    /// The messages that are put into outbox queues.
    #[must_use]
    pub fn messages(&self) -> &[SentMessage] {
        &self.messages
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

impl SentMessage {
    /// Its id: the same whenever the same step is worked out.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// To which queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// What kind of message it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }
}
