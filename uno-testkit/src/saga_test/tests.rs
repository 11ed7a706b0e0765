//! What passes, and what is said of that which does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use uno_core::Event;
use uno_saga::{Input, NoTimeout, Route};

use super::*;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct OrderPlaced {
    order: u32,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Charge {
    order: u32,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Refund {
    order: u32,
}

#[derive(CommandSet, Clone, Debug, PartialEq)]
enum Sent {
    Charge(Charge),
    Refund(Refund),
}

#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Payment {
    order: u32,
}

impl Saga for Payment {
    const NAME: &'static str = "payment";
    type Event = OrderPlaced;
    type Command = Sent;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<OrderPlaced>) -> Route {
        match event.event().order {
            0 => Route::Ignore,
            order => Route::StartStrict(order.to_string()),
        }
    }

    fn react(&mut self, input: Input<'_, OrderPlaced>) -> Outputs<Sent> {
        match input {
            Input::Event(event) => {
                self.order = event.event().order;
                charge(self.order)
            }
            Input::Outcome(outcome) if outcome.is_success() => Outputs::complete(),
            _ => Outputs::compensate(),
        }
    }
}

fn charge(order: u32) -> Outputs<Sent> {
    Outputs::send(Charge { order }).undo(Refund { order })
}

fn placed(order: u32) -> GivenSaga<Payment> {
    GivenSaga::new().event(OrderPlaced { order })
}

/// What a test that fails says.
fn said(test: impl FnOnce() -> GivenSaga<Payment>) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(test()))).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

#[test]
fn what_is_as_expected_passes() {
    placed(7)
        .expect_outputs(charge(7))
        .expect_sent([Charge { order: 7 }])
        .expect_status(ProcessStatus::Running)
        .expect_state(&Payment { order: 7 })
        .gave_up::<Charge>("the line is down")
        .expect_outputs(Outputs::compensate())
        .expect_sent([Refund { order: 7 }])
        .expect_status(ProcessStatus::Compensating)
        .rejected::<Refund>("no")
        .expect_unasked()
        .expect_nothing_sent()
        .expect_status(ProcessStatus::Stuck);
    placed(7)
        .succeeded::<Charge>()
        .expect_status(ProcessStatus::Completed)
        .event(OrderPlaced { order: 7 })
        .expect_error("instance 7 has started already")
        .event(OrderPlaced { order: 0 })
        .expect_unasked()
        .event(OrderPlaced { order: 8 })
        .rejected::<Charge>("no")
        .expect_nothing_sent()
        .expect_status(ProcessStatus::Compensated);
}

#[test]
fn what_is_not_says_what_was_expected_and_what_came() {
    type Test = fn() -> GivenSaga<Payment>;
    let rows: [(Test, &str); 9] = [
        (
            || placed(7).expect_outputs(charge(8)),
            "after the event order_placed, expected Outputs",
        ),
        (
            || placed(0).expect_outputs(charge(8)),
            "the saga was not asked",
        ),
        (
            || placed(7).expect_unasked(),
            "expected the saga not to be asked",
        ),
        (
            || placed(7).expect_sent([Charge { order: 8 }]),
            r#"charge {\"order\":7}"#,
        ),
        (|| placed(7).expect_nothing_sent(), "expected to be sent []"),
        (
            || placed(7).expect_status(ProcessStatus::Stuck),
            "to be stuck, and it is running",
        ),
        (
            || placed(0).expect_status(ProcessStatus::Stuck),
            "to be stuck, and it is not there",
        ),
        (
            || placed(7).succeeded::<Refund>(),
            "no refund is under way after event order_placed",
        ),
        (
            || placed(7).expect_error("x"),
            "expected an error that says \"x\"",
        ),
    ];
    for (test, expected) in rows {
        let said = said(test);
        assert!(said.contains(expected), "{said}");
    }
    let state = said(|| placed(7).expect_state(&Payment { order: 8 }));
    assert!(
        state.contains("order: 8") && state.contains("order: 7"),
        "{state}"
    );
    let unexpected = said(|| {
        placed(7)
            .event(OrderPlaced { order: 7 })
            .succeeded::<Charge>()
    });
    assert_eq!(
        unexpected,
        "the event order_placed failed: instance 7 has started already"
    );
}
