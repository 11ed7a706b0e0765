//! [`Given`]: given these events, when this is decided, then that happens.

mod envelope;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use uno_core::{Decoder, EventSet, IntoEvents};
use uno_domain::Aggregate;

pub use self::envelope::{EnvelopeBuilder, envelope};

/// A history of an aggregate, to decide upon. Pure: no store, no runtime.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet};
/// # use uno_domain::{Aggregate, ensure};
/// # #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)] struct OrderCreated { customer: u32 }
/// # #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)] struct ItemAdded { cents: i64 }
/// # #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)] struct OrderPlaced { total: i64 }
/// # #[derive(EventSet, Clone, Debug, PartialEq)] enum OrderEvent { Created(OrderCreated), ItemAdded(ItemAdded), Placed(OrderPlaced) }
/// # #[derive(Default)] struct Order { total: i64 }
/// # impl Aggregate for Order {
/// #     const CATEGORY: &'static str = "order";
/// #     type Id = u32;
/// #     type Event = OrderEvent;
/// #     fn apply(&mut self, event: &OrderEvent) { if let OrderEvent::ItemAdded(item) = event { self.total += item.cents; } }
/// # }
/// # #[derive(Debug, PartialEq)] enum OrderError { Empty }
/// # impl Order {
/// #     fn place(&self) -> Result<OrderPlaced, OrderError> { ensure!(self.total > 0, OrderError::Empty); Ok(OrderPlaced { total: self.total }) }
/// # }
/// use uno_testkit::Given;
///
/// // #[test] fn an_empty_order_cannot_be_placed()
/// Given::<Order>::events(OrderCreated { customer: 7 })
///     .when(Order::place)
///     .then_error(OrderError::Empty);
///
/// // #[test] fn a_placed_order_has_its_total()
/// Given::<Order>::events((OrderCreated { customer: 7 }, ItemAdded { cents: 500 }))
///     .when(Order::place)
///     .then(OrderPlaced { total: 500 });
/// ```
///
/// Every event, given or decided, is also stored and read back on the way, so that one which does not read back equal
/// is found here and not in production.
#[derive(Debug)]
#[must_use = "nothing is tested before `then`"]
pub struct Given<A: Aggregate> {
    state: A,
}

impl<A: Aggregate> Given<A> {
    /// Before the first event.
    pub fn nothing() -> Self {
        Self {
            state: A::default(),
        }
    }

    /// After these events: one, or a tuple, an array or a vector of them.
    ///
    /// # Panics
    /// When an event does not read back equal.
    #[track_caller]
    pub fn events(events: impl IntoEvents<A::Event>) -> Self
    where
        A::Event: Debug + PartialEq,
    {
        let mut given = Self::nothing();
        given.apply(&events.into_events());
        given
    }

    /// When this is decided, which may be refused: `Order::place`, or `|order| order.add(item)`.
    pub fn when<R, E>(self, decision: impl FnOnce(&A) -> Result<R, E>) -> Decided<A, E>
    where
        R: IntoEvents<A::Event>,
    {
        let outcome = decision(&self.state).map(R::into_events);
        Decided {
            given: self,
            outcome,
        }
    }

    /// When this is decided, which can't be refused.
    pub fn when_recorded<R>(
        self,
        decision: impl FnOnce(&A) -> R,
    ) -> Decided<A, std::convert::Infallible>
    where
        R: IntoEvents<A::Event>,
    {
        self.when(|state| Ok(decision(state)))
    }

    #[track_caller]
    fn apply(&mut self, events: &[A::Event])
    where
        A::Event: Debug + PartialEq,
    {
        for event in events {
            self.state.apply(&stored(event));
        }
    }
}

/// A decision, to be judged.
#[derive(Debug)]
#[must_use = "nothing is tested before `then`"]
pub struct Decided<A: Aggregate, E> {
    given: Given<A>,
    outcome: Result<Vec<A::Event>, E>,
}

impl<A: Aggregate, E: Debug> Decided<A, E> {
    /// Then exactly these events happen. Gives the state after them, to look at.
    ///
    /// # Panics
    /// When others happen, the decision is refused, or an event does not read back equal.
    #[track_caller]
    pub fn then(mut self, expected: impl IntoEvents<A::Event>) -> A
    where
        A::Event: Debug + PartialEq,
    {
        let expected = expected.into_events();
        match self.outcome {
            Ok(events) if events == expected => {
                self.given.apply(&events);
                self.given.state
            }
            Ok(events) => panic!("expected the events {expected:#?}, and got {events:#?}"),
            Err(error) => {
                panic!("expected the events {expected:#?}, and it was refused: {error:#?}")
            }
        }
    }

    /// Then nothing happens, and nothing is refused.
    ///
    /// # Panics
    /// When something happens, or the decision is refused.
    #[track_caller]
    pub fn then_nothing(self) -> A
    where
        A::Event: Debug + PartialEq,
    {
        self.then(())
    }

    /// Then it is refused, with this error.
    ///
    /// # Panics
    /// When it is not, or with another error.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it reads as a sentence: then_error(OrderError::Empty)"
    )]
    pub fn then_error(self, expected: E)
    where
        A::Event: Debug,
        E: PartialEq,
    {
        match self.outcome {
            Err(error) if error == expected => {}
            Err(error) => panic!("expected to be refused with {expected:#?}, and got {error:#?}"),
            Ok(events) => {
                panic!("expected to be refused with {expected:#?}, and got the events {events:#?}")
            }
        }
    }

    /// Then it is refused, with an error that this says is the right one: for errors that can't be compared.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn then_error_matches(self, is_right: impl FnOnce(&E) -> bool)
    where
        A::Event: Debug,
    {
        match self.outcome {
            Err(error) => assert!(is_right(&error), "expected another error than {error:#?}"),
            Ok(events) => panic!("expected to be refused, and got the events {events:#?}"),
        }
    }
}

/// An event as it is when it was stored and read back.
#[track_caller]
fn stored<E: EventSet + Debug + PartialEq>(event: &E) -> E {
    let record = EnvelopeBuilder::record_of(event);
    let read = match Decoder::new().decode::<E>(&record) {
        Ok(read) => read.into_event(),
        Err(error) => panic!("{event:#?} can't be read back: {error}"),
    };
    assert!(
        read == *event,
        "{event:#?} is stored as {} and read back as {read:#?}",
        record.payload().as_str()
    );
    read
}
