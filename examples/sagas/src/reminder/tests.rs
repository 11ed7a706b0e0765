//! What the reminder does, in virtual time.

use super::*;
use crate::dry::Dry;

const CANCEL: &str = r#"cancel_order {"invoice":7}"#;
const BACK: &str = r#"send_back {"invoice":7}"#;
const NOTHING: [&str; 0] = [];

fn given_an_invoice() -> Dry<Reminder> {
    let (given, sent) = Dry::begin("invoice 7", InvoiceSent { invoice: 7 });
    assert_eq!(sent, NOTHING);
    given
}

fn given_three_reminders() -> Dry<Reminder> {
    let mut given = given_an_invoice();
    for number in 1..=3 {
        assert_eq!(given.pass(minutes(9)), NOTHING);
        assert_eq!(given.pass(minutes(1)), [remind(number)]);
        assert_eq!(given.answer("remind", Verdict::Succeeded), NOTHING);
    }
    given
}

fn remind(number: u32) -> String {
    format!(r#"remind {{"invoice":7,"number":{number}}}"#)
}

#[test]
fn what_is_paid_in_time_is_not_reminded_of() {
    let mut given = given_an_invoice();
    assert_eq!(given.pass(minutes(9)), NOTHING);
    assert_eq!(given.happens(InvoicePaid { invoice: 7 }), NOTHING);
    assert_eq!(given.status(), ProcessStatus::Completed);
    assert_eq!(given.waits(), 0);
    assert_eq!(given.pass(minutes(600)), NOTHING);
}

#[test]
fn it_reminds_three_times_ten_minutes_apart_and_then_cancels() {
    let mut given = given_three_reminders();
    assert_eq!(given.pass(minutes(9)), NOTHING);
    assert_eq!(given.pass(minutes(1)), [CANCEL]);
    assert_eq!(given.status(), ProcessStatus::Running);
    given.answer("cancel_order", Verdict::Succeeded);
    assert_eq!(given.status(), ProcessStatus::Completed);
    assert_eq!(given.waits(), 0);
}

#[test]
fn an_hour_at_once_fires_everything_in_order() {
    let mut given = given_an_invoice();
    let expected = [remind(1), remind(2), remind(3), CANCEL.to_owned()];
    assert_eq!(given.pass(minutes(60)), expected);
}

#[test]
fn the_payment_and_the_timeout_may_come_in_either_order() {
    let mut paid_first = given_an_invoice();
    paid_first.happens(InvoicePaid { invoice: 7 });
    assert_eq!(paid_first.pass(minutes(10)), NOTHING);
    assert_eq!(paid_first.status(), ProcessStatus::Completed);

    // One reminder too many, and no other.
    let mut due_first = given_an_invoice();
    assert_eq!(due_first.pass(minutes(10)), [remind(1)]);
    due_first.happens(InvoicePaid { invoice: 7 });
    due_first.answer("remind", Verdict::Succeeded);
    assert_eq!(due_first.status(), ProcessStatus::Completed);
    assert_eq!(due_first.pass(minutes(600)), NOTHING);
}

#[test]
fn a_payment_that_is_faster_than_the_cancellation_counts() {
    // The invoice refuses to be cancelled; the saga hears of it before it hears of the payment, or after.
    let refused = || Verdict::Rejected("it is paid".into());
    let mut refusal_first = given_three_reminders();
    assert_eq!(refusal_first.pass(minutes(10)), [CANCEL]);
    assert_eq!(refusal_first.answer("cancel_order", refused()), NOTHING);
    assert_eq!(refusal_first.happens(InvoicePaid { invoice: 7 }), NOTHING);
    assert_eq!(refusal_first.status(), ProcessStatus::Completed);

    let mut payment_first = given_three_reminders();
    assert_eq!(payment_first.pass(minutes(10)), [CANCEL]);
    assert_eq!(payment_first.happens(InvoicePaid { invoice: 7 }), NOTHING);
    assert_eq!(payment_first.answer("cancel_order", refused()), NOTHING);
    assert_eq!(payment_first.status(), ProcessStatus::Completed);
}

#[test]
fn money_that_comes_too_late_goes_back_whether_the_saga_has_ended_or_not() {
    let mut ended = given_three_reminders();
    ended.pass(minutes(10));
    ended.answer("cancel_order", Verdict::Succeeded);
    assert_eq!(ended.status(), ProcessStatus::Completed);
    assert_eq!(ended.happens(PaidTooLate { invoice: 7 }), [BACK]);

    let mut ending = given_three_reminders();
    ending.pass(minutes(10));
    assert_eq!(ending.happens(PaidTooLate { invoice: 7 }), [BACK]);
    ending.answer("cancel_order", Verdict::Succeeded);
    ending.answer("send_back", Verdict::Succeeded);
    assert_eq!(ending.status(), ProcessStatus::Completed);
}
