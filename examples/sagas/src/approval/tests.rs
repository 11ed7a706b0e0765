//! What the approval does, in virtual time.

use uno::core::ProcessStatus;

use super::*;
use crate::dry::Dry;

const PAY: &str = r#"pay_out {"expense":7}"#;
const NO: &str = r#"tell_no {"expense":7,"by":"the lead"}"#;
const NOTHING: [&str; 0] = [];

fn given_an_expense() -> Dry<Approval> {
    let (mut given, sent) = Dry::begin("expense 7", ExpenseFiled { expense: 7 });
    assert_eq!(sent, [ask("the lead")]);
    given.answer("ask", Verdict::Succeeded);
    given
}

fn ask(whom: &str) -> String {
    format!(r#"ask {{"expense":7,"whom":"{whom}"}}"#)
}

fn approved() -> ExpenseApproved {
    let by = "the boss".to_owned();
    ExpenseApproved { expense: 7, by }
}

fn rejected() -> ExpenseRejected {
    let by = "the lead".to_owned();
    ExpenseRejected { expense: 7, by }
}

#[test]
fn who_decides_in_time_is_not_reminded() {
    let mut given = given_an_expense();
    assert_eq!(given.pass(hours(23)), NOTHING);
    assert_eq!(given.happens(approved()), [PAY]);
    assert_eq!(given.waits(), 0);
    given.answer("pay_out", Verdict::Succeeded);
    assert_eq!(given.status(), ProcessStatus::Completed);
    assert_eq!(given.pass(days(30)), NOTHING);
}

#[test]
fn the_lead_is_reminded_after_a_day_and_the_boss_is_asked_after_three() {
    let mut given = given_an_expense();
    assert_eq!(given.pass(hours(23)), NOTHING);
    assert_eq!(given.pass(hours(1)), [ask("the lead again")]);
    assert_eq!(given.pass(hours(47)), NOTHING);
    assert_eq!(given.pass(hours(1)), [ask("the boss")]);
    assert_eq!(given.waits(), 0);
    assert_eq!(given.status(), ProcessStatus::Running);
}

#[test]
fn a_decision_counts_however_late_it_is() {
    for (decision, expected) in [
        (ExpenseEvent::from(approved()), PAY),
        (rejected().into(), NO),
    ] {
        let mut given = given_an_expense();
        let asked = [ask("the lead again"), ask("the boss")];
        assert_eq!(given.pass(days(30)), asked);
        assert_eq!(given.happens(decision), [expected]);
        for command in ["ask", "ask", expected.split(' ').next().unwrap()] {
            given.answer(command, Verdict::Succeeded);
        }
        assert_eq!(given.status(), ProcessStatus::Completed);
    }
}

#[test]
fn a_decision_after_the_reminder_spares_the_boss() {
    let mut given = given_an_expense();
    assert_eq!(given.pass(days(1)), [ask("the lead again")]);
    assert_eq!(given.happens(rejected()), [NO]);
    assert_eq!(given.waits(), 0);
    assert_eq!(given.pass(days(30)), NOTHING);
}
