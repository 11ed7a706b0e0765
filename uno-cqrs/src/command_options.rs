//! [`CommandOptions`]: what is done around the handler of one command.

use std::{fmt, marker::PhantomData, sync::Arc};

use uno_core::{Backend, Command, StreamId, StreamIdError};
use uno_domain::Aggregate;
use uno_uow::RetryPolicy;

use crate::{
    CommandLayer, Invalid, LaneLimits, Validate, command_handler::AnyCommand,
    command_layer::SharedLayer, describe::short_name, layers::Rule,
};

/// What is done around the handler of one command: its own layers, the lane it waits in, how it is tried again.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Backend, Command, Event, EventSet};
/// # use uno_domain::Aggregate;
/// # use uno_store_memory::MemoryStore;
/// # use uno_uow::{CommandError, RetryPolicy, Runner, UnitOfWork};
/// # #[derive(Event, Serialize, Deserialize)] struct Deposited { cents: i64 }
/// # #[derive(EventSet)] enum AccountEvent { Deposited(Deposited) }
/// # #[derive(Default)] struct Account {}
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Id = String;
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, _: &AccountEvent) {}
/// # }
/// # struct Bank;
/// # impl<B: Backend> CommandHandler<Deposit, B> for Bank {
/// #     async fn handle(&self, command: &Deposit, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
/// #         uow.load_or_new::<Account>(&command.account).await?.record(Deposited { cents: command.cents });
/// #         Ok(())
/// #     }
/// # }
/// use uno_cqrs::{CommandBus, CommandHandler, ExecuteError, Invalid, TimeLimit, Validate};
///
/// #[derive(Command, Serialize, Deserialize)]
/// struct Deposit { account: String, cents: i64 }
///
/// impl Validate for Deposit {
///     fn validate(&self) -> Result<(), Invalid> {
///         Invalid::none().unless(self.cents > 0, "cents", "must be above zero").into_result()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = CommandBus::builder(Runner::new(Arc::new(MemoryStore::new())))
///     .handler_with::<Deposit, _>(Bank, |options| options
///         .validate()
///         .layer(TimeLimit::of(Duration::from_secs(5)))
///         .one_at_a_time::<Account>(|deposit| deposit.account.clone()))
///     .build()?;
/// let odd = bus.execute(Deposit { account: "ada".into(), cents: 0 }).await.unwrap_err();
/// assert!(matches!(odd, ExecuteError::Invalid { source, .. } if source.fields().eq(["cents"])));
/// # Ok(()) }
/// ```
pub struct CommandOptions<C, B: Backend> {
    pub(crate) layers: Vec<SharedLayer<B>>,
    pub(crate) lanes: Option<LanesOf>,
    /// The category of the aggregate that it is on, if that was said, for the catalogue.
    pub(crate) aggregate: Option<&'static str>,
    pub(crate) limits: LaneLimits,
    pub(crate) retry: Option<RetryPolicy>,
    command: PhantomData<fn(&C)>,
}

/// In which lanes a command waits.
pub(crate) type LanesOf =
    Arc<dyn Fn(&AnyCommand) -> Result<Vec<StreamId>, StreamIdError> + Send + Sync>;

impl<C: Command, B: Backend> CommandOptions<C, B> {
    pub(crate) fn new() -> Self {
        Self {
            layers: Vec::new(),
            lanes: None,
            aggregate: None,
            limits: LaneLimits::default(),
            retry: None,
            command: PhantomData,
        }
    }

    /// Puts a layer around this command's handler, within those that are there.
    #[must_use]
    pub fn layer<L: CommandLayer<B>>(mut self, layer: L) -> Self {
        self.layers.push((Arc::new(layer), short_name::<L>()));
        self
    }

    /// Refuses a command that is not [valid](Validate), here among the layers.
    #[must_use]
    pub fn validate(self) -> Self
    where
        C: Validate,
    {
        self.validate_by(C::validate)
    }

    /// Refuses a command that this function finds fault with, here among the layers.
    #[must_use]
    pub fn validate_by<F>(self, valid: F) -> Self
    where
        F: Fn(&C) -> Result<(), Invalid> + Send + Sync + 'static,
    {
        self.layer(Rule::layer(valid))
    }

    /// Carries out the commands of this type that are on the same aggregate one after the other, in the order of the calls, instead
    /// of having them collide: they wait in the lane of its stream. Other types of commands with lanes wait in the same.
    ///
    /// It saves the work of deciding again, and the aggregate is handed from one command to the next that waits, without being read
    /// in between. It decides nothing: other processes, and commands without lanes, may write to the stream, and are noticed as ever.
    ///
    /// A lane is held while the handler runs. The next command decides on what this one has decided, while that is being committed; if it is
    /// not committed after all, the next one decides again. A handler that waits for another command on the same
    /// stream, in a task of its own, waits for itself until the [patience](LaneLimits::with_patience) of the other is at its end;
    /// within its own task the other is refused at once ([`Nested`](uno_uow::RunError::Nested)).
    #[must_use]
    pub fn one_at_a_time<A: Aggregate>(
        mut self,
        id: impl Fn(&C) -> A::Id + Send + Sync + 'static,
    ) -> Self {
        self.aggregate = Some(A::CATEGORY);
        self.lanes_by(move |command| Ok(vec![A::stream_id(&id(command))?]))
    }

    /// The same for commands on several aggregates: they wait until it is their turn for each of these streams. A command without
    /// streams does not wait.
    #[must_use]
    pub fn one_at_a_time_on(
        mut self,
        streams: impl Fn(&C) -> Vec<StreamId> + Send + Sync + 'static,
    ) -> Self {
        self.aggregate = None;
        self.lanes_by(move |command| Ok(streams(command)))
    }

    fn lanes_by(
        mut self,
        streams: impl Fn(&C) -> Result<Vec<StreamId>, StreamIdError> + Send + Sync + 'static,
    ) -> Self {
        self.lanes = Some(Arc::new(move |command| {
            command.downcast_ref().map_or(Ok(Vec::new()), &streams)
        }));
        self
    }

    /// Limits how many commands of this type may wait in a lane, and for how long.
    #[must_use]
    pub fn lane_limits(mut self, limits: LaneLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Tries this command again by this policy when others were faster, instead of by that of the runner. The budget is the runner's.
    #[must_use]
    pub fn retry_conflicts(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }
}

impl<C, B: Backend> fmt::Debug for CommandOptions<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<_> = self.layers.iter().map(|(_, name)| name).collect();
        f.debug_struct("CommandOptions")
            .field("layers", &layers)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
