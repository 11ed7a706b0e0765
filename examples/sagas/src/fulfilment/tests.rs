//! What fulfilment does about each input.

use uno::{core::ProcessStatus, testkit::GivenSaga};

use super::*;

fn placed() -> GivenSaga<Fulfilment> {
    GivenSaga::new()
        .event(OrderPlaced {
            order: 7,
            cents: 700,
            street: "Elm Street".into(),
        })
        .expect_outputs(
            Outputs::send(Charge {
                order: 7,
                cents: 700,
            })
            .undo(Refund { order: 7 }),
        )
}

#[test]
fn it_charges_allocates_and_ships() {
    placed()
        .succeeded::<Charge>()
        .expect_sent([Allocate { order: 7 }])
        .succeeded::<Allocate>()
        .expect_sent([Ship {
            order: 7,
            street: "Elm Street".into(),
        }])
        .succeeded::<Ship>()
        .expect_nothing_sent()
        .expect_status(ProcessStatus::Completed);
}

#[test]
fn a_charge_that_is_refused_leaves_nothing_to_undo() {
    placed()
        .rejected::<Charge>("no money")
        .expect_nothing_sent()
        .expect_status(ProcessStatus::Compensated);
}

#[test]
fn a_charge_that_gave_up_may_have_moved_the_money_and_is_undone() {
    placed()
        .gave_up::<Charge>("the bank does not answer")
        .expect_sent([Refund { order: 7 }])
        .succeeded::<Refund>()
        .expect_status(ProcessStatus::Compensated);
}

#[test]
fn what_can_not_be_shipped_is_undone_in_reverse() {
    placed()
        .succeeded::<Charge>()
        .expect_sent([Allocate { order: 7 }])
        .succeeded::<Allocate>()
        .expect_status(ProcessStatus::Running)
        .rejected::<Ship>("there is no such street")
        .expect_sent([Release { order: 7 }])
        .succeeded::<Release>()
        .expect_sent([Refund { order: 7 }])
        .expect_status(ProcessStatus::Compensating)
        .succeeded::<Refund>()
        .expect_status(ProcessStatus::Compensated);
}
