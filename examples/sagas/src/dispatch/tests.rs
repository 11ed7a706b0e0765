//! What the dispatch does, whichever branch is first.

use uno::{core::ProcessStatus, testkit::GivenSaga};

use super::*;

fn forked() -> GivenSaga<Stepwise<Dispatch>> {
    let given = GivenSaga::new().event(OrderConfirmed { order: 7 });
    given.expect_sent([
        Step::from(Pick { order: 7 }),
        WriteInvoice { order: 7 }.into(),
    ])
}

/// All that has to come before the parcel goes out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    ToldToPick,
    Picked,
    ToldToWrite,
    Invoiced,
}

fn comes(given: GivenSaga<Stepwise<Dispatch>>, piece: Piece) -> GivenSaga<Stepwise<Dispatch>> {
    match piece {
        Piece::ToldToPick => given.succeeded::<Pick>(),
        Piece::Picked => given.event(OrderPicked { order: 7 }),
        Piece::ToldToWrite => given.succeeded::<WriteInvoice>(),
        Piece::Invoiced => given.event(OrderInvoiced { order: 7 }),
    }
}

/// Every order of these.
fn orders(pieces: &[Piece]) -> Vec<Vec<Piece>> {
    if pieces.is_empty() {
        return vec![Vec::new()];
    }
    let first = |place: usize| {
        let mut rest = pieces.to_vec();
        let first = rest.remove(place);
        let orders = orders(&rest).into_iter();
        orders.map(move |rest| [vec![first], rest].concat())
    };
    (0..pieces.len()).flat_map(first).collect()
}

#[test]
fn in_every_order_the_parcel_goes_out_once_and_not_before_all_is_done() {
    use Piece::{Invoiced, Picked, ToldToPick, ToldToWrite};
    let orders = orders(&[ToldToPick, Picked, ToldToWrite, Invoiced]);
    assert_eq!(orders.len(), 24);
    for order in orders {
        let mut given = forked();
        for (place, piece) in order.iter().enumerate() {
            let send = (place == 3).then_some(Send { order: 7 });
            given = comes(given, *piece).expect_sent(send);
        }
        given
            .expect_status(ProcessStatus::Running)
            .succeeded::<Send>()
            .expect_status(ProcessStatus::Completed);
    }
}

#[test]
fn without_an_invoice_both_branches_are_undone_in_reverse() {
    forked()
        .succeeded::<Pick>()
        .expect_nothing_sent()
        .succeeded::<WriteInvoice>()
        .expect_nothing_sent()
        .event(InvoiceRefused { order: 7 })
        .expect_sent([Withdraw { order: 7 }])
        // What comes after the decision changes nothing.
        .event(OrderPicked { order: 7 })
        .expect_unasked()
        .expect_nothing_sent()
        .succeeded::<Withdraw>()
        .expect_sent([PutBack { order: 7 }])
        .succeeded::<PutBack>()
        .expect_status(ProcessStatus::Compensated);
}

#[test]
fn an_answer_that_is_faster_than_the_question_is_kept() {
    forked()
        .event(InvoiceRefused { order: 7 })
        .expect_nothing_sent()
        .succeeded::<Pick>()
        .expect_nothing_sent()
        .succeeded::<WriteInvoice>()
        .expect_sent([Withdraw { order: 7 }])
        .expect_status(ProcessStatus::Compensating);
}
