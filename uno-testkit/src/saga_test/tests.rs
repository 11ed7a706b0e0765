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

/// What is to be done when a loan is overdue.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Alarm {
    Overdue,
}

/// Charges, and gives the money back when that takes too long.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Patient {}

impl Saga for Patient {
    const NAME: &'static str = "patient";
    type Event = OrderPlaced;
    type Command = Sent;
    type Timeout = Alarm;

    fn route(event: &Envelope<OrderPlaced>) -> Route {
        Route::StartStrict(event.event().order.to_string())
    }

    fn react(&mut self, input: Input<'_, OrderPlaced, Alarm>) -> Outputs<Sent, Alarm> {
        match input {
            Input::Event(event) => {
                let order = event.event().order;
                Outputs::send(Charge { order })
                    .undo(Refund { order })
                    .and_after(Duration::from_mins(30), Alarm::Overdue)
            }
            Input::Outcome(outcome) if outcome.is_success() => {
                Outputs::cancel(Alarm::Overdue).and_complete()
            }
            Input::Timeout(Alarm::Overdue) => {
                Outputs::message("mail", "sorry", &7).and_compensate()
            }
            _ => Outputs::compensate(),
        }
    }
}

#[test]
fn time_goes_by_as_told() {
    let given = || GivenSaga::<Patient>::new().event(OrderPlaced { order: 7 });
    given()
        .advance(Duration::from_mins(29))
        .expect_fired([])
        .expect_nothing_sent()
        .advance(Duration::from_mins(1))
        .expect_fired([Alarm::Overdue])
        .expect_messages(&[("mail", "sorry", "7")])
        .expect_status(ProcessStatus::Compensating)
        .succeeded::<Charge>()
        .expect_sent([Refund { order: 7 }])
        .succeeded::<Refund>()
        .expect_status(ProcessStatus::Compensated);
    given()
        .succeeded::<Charge>()
        .expect_status(ProcessStatus::Completed)
        .advance(Duration::from_mins(60))
        .expect_fired([]);
}

#[test]
fn every_order_of_a_race_is_gone_through() {
    let given = GivenSaga::<Patient>::new().event(OrderPlaced { order: 7 });
    let seen = std::cell::RefCell::new(Vec::new());
    let ends = given.every_order(
        |_| vec![Verdict::Succeeded, Verdict::GaveUp("down".to_owned())],
        |run, path| {
            let status = run.instance("7").unwrap().status();
            seen.borrow_mut().push((path.len(), status));
            // Whatever came first: either the money stays and that is known, or it is given back, or a person is asked.
            let charged = path.iter().any(|input| input == "charge Succeeded");
            let in_time = path[0].starts_with("charge");
            let expected = match (in_time && charged, path.last().unwrap().as_str()) {
                (true, _) => ProcessStatus::Completed,
                (false, "refund Succeeded") => ProcessStatus::Compensated,
                (false, _) => ProcessStatus::Stuck,
            };
            assert_eq!(status, expected, "{path:?}");
        },
    );
    // Answered in time, well or badly (then refunded, well or badly); or late, well or badly (refunded, well or badly).
    assert_eq!(ends, 1 + 2 + 4);
    assert_eq!(seen.borrow().len(), ends);
}

#[test]
fn a_timeout_that_is_delivered_twice_has_effect_once() {
    let event = EnvelopeBuilder::new(OrderPlaced { order: 7 }).build();
    let mut run = DryRun::<Patient>::new();
    run.event(&event).unwrap();
    assert!(run.fire_again().is_none());
    let first = run.fire_next().unwrap().unwrap();
    assert_eq!(
        (first.messages().len(), first.outputs().is_some()),
        (1, true)
    );
    let before = run.instance("7");
    let second = run.fire_again().unwrap().unwrap();
    assert_eq!(second.timeout(), first.timeout());
    assert_eq!(
        (second.messages(), second.sent(), second.outputs()),
        (&[][..], &[][..], None)
    );
    assert_eq!(run.instance("7"), before);
}
