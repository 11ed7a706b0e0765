//! [`GivenSaga`]: given these inputs, a saga wants that.

#![expect(
    clippy::must_use_candidate,
    reason = "a chain of expectations ends with one of them"
)]

#[cfg(test)]
mod tests;

use std::fmt::{self, Debug};

use uno_core::{Command, CommandSet, Envelope, ProcessStatus};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_saga::{DryRun, DryStep, Outputs, Saga, TransitionError};

use crate::EnvelopeBuilder;

/// Feeds a saga inputs and looks at what comes of each. It runs by the engine that runs sagas on stores, but without
/// store, runtime or clock.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Command, CommandSet, Envelope, Event, EventSet};
/// # use uno_saga::{Input, NoTimeout, Outputs, Route, Saga};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { order: u32 }
/// # #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Charge { order: u32 }
/// # #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Refund { order: u32 }
/// # #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Ship { order: u32 }
/// # #[derive(CommandSet, Debug, PartialEq)] enum Sent { Charge(Charge), Refund(Refund), Ship(Ship) }
/// # #[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)] struct Fulfilment { order: u32 }
/// # impl Saga for Fulfilment {
/// #     const NAME: &'static str = "fulfilment";
/// #     type Event = OrderPlaced;
/// #     type Command = Sent;
/// #     type Timeout = NoTimeout;
/// #     fn route(event: &Envelope<OrderPlaced>) -> Route { Route::StartStrict(event.event().order.to_string()) }
/// #     fn react(&mut self, input: Input<'_, OrderPlaced>) -> Outputs<Sent> {
/// #         match input {
/// #             Input::Event(event) => { self.order = event.event().order; Outputs::send(Charge { order: self.order }).undo(Refund { order: self.order }) }
/// #             Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
/// #             Input::Outcome(outcome) if outcome.is_of::<Charge>() => Outputs::send(Ship { order: self.order }),
/// #             _ => Outputs::complete(),
/// #         }
/// #     }
/// # }
/// use uno_core::ProcessStatus;
/// use uno_testkit::GivenSaga;
///
/// // #[test] fn what_was_charged_is_refunded_when_it_can_not_be_shipped()
/// GivenSaga::<Fulfilment>::new()
///     .event(OrderPlaced { order: 7 })
///     .expect_outputs(Outputs::send(Charge { order: 7 }).undo(Refund { order: 7 }))
///     .succeeded::<Charge>()
///     .expect_sent([Ship { order: 7 }])
///     .rejected::<Ship>("there is no such street")
///     .expect_outputs(Outputs::compensate())
///     .expect_sent([Refund { order: 7 }])
///     .expect_status(ProcessStatus::Compensating)
///     .succeeded::<Refund>()
///     .expect_status(ProcessStatus::Compensated);
/// ```
///
/// Expectations are about the last input, and about the instance that it came to.
pub struct GivenSaga<S: Saga> {
    run: DryRun<S>,
    /// What the last input was, for messages.
    input: String,
    last: Option<Result<Step<S>, TransitionError>>,
    /// The instance that the last input came to.
    key: Option<String>,
    events: u64,
}

type Step<S> = DryStep<<S as Saga>::Command, <S as Saga>::Timeout>;

impl<S: Saga> GivenSaga<S> {
    /// A saga without instances.
    #[must_use]
    pub fn new() -> Self {
        Self {
            run: DryRun::new(),
            input: "nothing".to_owned(),
            last: None,
            key: None,
            events: 0,
        }
    }

    /// An event happens, in the stream `test-1`.
    ///
    /// # Panics
    /// When the input before it failed, and that was not expected.
    #[track_caller]
    #[must_use = "nothing is tested without an expectation"]
    pub fn event(self, event: impl Into<S::Event>) -> Self {
        let number = self.events + 1;
        let envelope = EnvelopeBuilder::new(event.into())
            .version(number)
            .position(number);
        self.envelope(&envelope.build())
    }

    /// An event happens, from a place of your choice.
    ///
    /// # Panics
    /// As [`event`](Self::event).
    #[track_caller]
    #[must_use = "nothing is tested without an expectation"]
    pub fn envelope(mut self, event: &Envelope<S::Event>) -> Self {
        self.assert_sound();
        self.events += 1;
        self.input = format!("event {}", event.record().name());
        self.key = S::route(event).key().map(str::to_owned);
        self.last = Some(self.run.event(event));
        self
    }

    /// The command of type `C` that was sent last and is under way has succeeded.
    ///
    /// # Panics
    /// When none is under way, and as [`event`](Self::event).
    #[track_caller]
    #[must_use = "nothing is tested without an expectation"]
    pub fn succeeded<C: Command>(self) -> Self {
        self.outcome::<C>(Verdict::Succeeded)
    }

    /// The command of type `C` that was sent last and is under way was rejected: it had no effect.
    ///
    /// # Panics
    /// As [`succeeded`](Self::succeeded).
    #[track_caller]
    #[must_use = "nothing is tested without an expectation"]
    pub fn rejected<C: Command>(self, reason: &str) -> Self {
        self.outcome::<C>(Verdict::Rejected(reason.to_owned()))
    }

    /// The command of type `C` that was sent last and is under way gave up: it may have had an effect.
    ///
    /// # Panics
    /// As [`succeeded`](Self::succeeded).
    #[track_caller]
    #[must_use = "nothing is tested without an expectation"]
    pub fn gave_up<C: Command>(self, reason: &str) -> Self {
        self.outcome::<C>(Verdict::GaveUp(reason.to_owned()))
    }

    /// The command of type `C` that was sent last and is under way has ended like this.
    ///
    /// # Panics
    /// As [`succeeded`](Self::succeeded).
    #[track_caller]
    #[must_use = "nothing is tested without an expectation"]
    pub fn outcome<C: Command>(mut self, verdict: Verdict) -> Self {
        self.assert_sound();
        let in_flight = |key: &str| {
            let instance = self.run.instance(key)?;
            let of_type = instance.in_flight().iter().rev();
            let mut of_type = of_type.filter(|command| command.command() == C::NAME);
            of_type.next().map(|command| (key.to_owned(), command.id()))
        };
        // That of the instance that was spoken of last, if it has one.
        let here = self.key.as_deref().and_then(in_flight);
        let Some((key, id)) = here.or_else(|| self.run.keys().find_map(in_flight)) else {
            panic!("no {} is under way after {}", C::NAME, self.input);
        };
        self.input = format!("outcome of {}", C::NAME);
        let outcome = CommandOutcome::new(id, C::NAME, verdict);
        self.last = Some(self.run.outcome(&key, &outcome));
        self.key = Some(key);
        self
    }

    /// The saga said exactly this.
    ///
    /// # Panics
    /// When it said something else, or was not asked.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "outputs are written down where they are expected"
    )]
    pub fn expect_outputs(self, expected: Outputs<S::Command, S::Timeout>) -> Self
    where
        S::Command: Debug + PartialEq,
        S::Timeout: PartialEq,
    {
        let input = &self.input;
        match self.step().outputs() {
            Some(outputs) if *outputs == expected => {}
            Some(outputs) => {
                panic!("after the {input}, expected {expected:#?}, and got {outputs:#?}")
            }
            None => panic!("after the {input}, expected {expected:#?}, and the saga was not asked"),
        }
        self
    }

    /// The saga was not asked: the input is of no interest to it, or the instance is beyond it.
    ///
    /// # Panics
    /// When it was.
    #[track_caller]
    pub fn expect_unasked(self) -> Self
    where
        S::Command: Debug,
    {
        if let Some(outputs) = self.step().outputs() {
            panic!(
                "after the {}, expected the saga not to be asked, and got {outputs:#?}",
                self.input
            );
        }
        self
    }

    /// Exactly these commands were sent, in this order: those that the saga said, or the next compensation.
    ///
    /// # Panics
    /// When others were sent.
    #[track_caller]
    pub fn expect_sent<C: Into<S::Command>>(self, expected: impl IntoIterator<Item = C>) -> Self {
        let text = |name: &str, payload: &str| format!("{name} {payload}");
        let expected: Vec<String> = expected
            .into_iter()
            .map(|command| match command.into().encode() {
                Ok(command) => text(command.name().as_str(), command.payload().as_str()),
                Err(error) => panic!("an expected command can't be encoded: {error}"),
            })
            .collect();
        let sent = self.step().sent().iter();
        let sent: Vec<String> = sent
            .map(|sent| {
                text(
                    sent.command().name().as_str(),
                    sent.command().payload().as_str(),
                )
            })
            .collect();
        assert!(
            sent == expected,
            "after the {}, expected to be sent {expected:#?}, and sent were {sent:#?}",
            self.input
        );
        self
    }

    /// Nothing was sent.
    ///
    /// # Panics
    /// When something was.
    #[track_caller]
    pub fn expect_nothing_sent(self) -> Self {
        self.expect_sent(Vec::<S::Command>::new())
    }

    /// The instance stands like this.
    ///
    /// # Panics
    /// When it stands otherwise, or there is none.
    #[track_caller]
    pub fn expect_status(self, expected: ProcessStatus) -> Self {
        self.step();
        let status = self.instance().map(|instance| instance.status());
        assert!(
            status == Some(expected),
            "after the {}, expected the instance to be {expected}, and it is {}",
            self.input,
            status.map_or("not there", ProcessStatus::as_str)
        );
        self
    }

    /// The instance remembers this.
    ///
    /// # Panics
    /// When it remembers something else, or there is none.
    #[track_caller]
    pub fn expect_state(self, expected: &S) -> Self
    where
        S: PartialEq,
    {
        self.step();
        let instance = self.instance();
        let state = instance.as_ref().map(|instance| instance.state());
        assert!(
            state == Some(expected),
            "after the {}, expected the state {expected:#?}, and got {state:#?}",
            self.input
        );
        self
    }

    /// The input can't be handled: on a store, the subscription would stop at it. What the error says contains this text.
    ///
    /// # Panics
    /// When it was handled, or the error says something else.
    #[track_caller]
    pub fn expect_error(mut self, text: &str) -> Self
    where
        S::Command: Debug,
    {
        let input = &self.input;
        match self.last.take() {
            Some(Err(error)) => assert!(
                error.to_string().contains(text),
                "after the {input}, expected an error that says {text:?}, and it says: {error}"
            ),
            other => panic!(
                "after the {input}, expected an error that says {text:?}, and got {other:#?}"
            ),
        }
        self
    }

    /// What came of the last input.
    #[track_caller]
    fn step(&self) -> &Step<S> {
        match &self.last {
            Some(Ok(step)) => step,
            Some(Err(error)) => panic!("the {} failed: {error}", self.input),
            None => panic!("there was no input"),
        }
    }

    fn instance(&self) -> Option<uno_saga::InstanceView<S>> {
        self.run.instance(self.key.as_deref()?)
    }

    #[track_caller]
    fn assert_sound(&self) {
        if let Some(Err(error)) = &self.last {
            panic!("the {} failed: {error}", self.input);
        }
    }
}

impl<S: Saga> Debug for GivenSaga<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenSaga")
            .field("run", &self.run)
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

impl<S: Saga> Default for GivenSaga<S> {
    fn default() -> Self {
        Self::new()
    }
}
