//! What the reminder does, in virtual time.

use uno::{
    saga::{DryRun, DryStep},
    testkit::envelope,
};

use super::*;

const KEY: &str = "invoice 7";

fn sent() -> DryRun<Reminder> {
    let mut run = DryRun::new();
    happens(&mut run, InvoiceSent { invoice: 7 });
    run
}

fn happens(run: &mut DryRun<Reminder>, event: impl Into<Heard>) -> Vec<String> {
    commands([run.event(&envelope(event.into())).unwrap()])
}

fn pass(run: &mut DryRun<Reminder>, count: u64) -> Vec<String> {
    commands(run.advance(minutes(count)).unwrap())
}

fn commands(steps: impl IntoIterator<Item = DryStep<Step, Wait>>) -> Vec<String> {
    let text = |sent: &uno::saga::SentCommand| {
        let command = sent.command();
        format!("{} {}", command.name(), command.payload().as_str())
    };
    let steps = steps.into_iter();
    steps
        .flat_map(|step| step.sent().iter().map(text).collect::<Vec<_>>())
        .collect()
}

/// The answer to the command of this name that is under way.
fn answer(run: &mut DryRun<Reminder>, command: &str, verdict: Verdict) -> Vec<String> {
    let instance = run.instance(KEY).unwrap();
    let mut pending = instance.in_flight().iter();
    let id = pending
        .find(|pending| pending.command() == command)
        .unwrap()
        .id();
    commands([run
        .outcome(KEY, &CommandOutcome::new(id, command, verdict))
        .unwrap()])
}

fn status(run: &DryRun<Reminder>) -> ProcessStatus {
    run.instance(KEY).unwrap().status()
}

fn remind(number: u32) -> String {
    format!(r#"remind {{"invoice":7,"number":{number}}}"#)
}

#[test]
fn what_is_paid_in_time_is_not_reminded_of() {
    let mut run = sent();
    assert_eq!(pass(&mut run, 9), [""; 0]);
    happens(&mut run, InvoicePaid { invoice: 7 });
    assert_eq!(status(&run), ProcessStatus::Completed);
    assert_eq!(pass(&mut run, 600), [""; 0]);
    assert_eq!(run.timeouts().count(), 0);
}

#[test]
fn it_reminds_three_times_ten_minutes_apart_and_then_cancels() {
    let mut run = sent();
    for number in 1..=3 {
        assert_eq!(pass(&mut run, 9), [""; 0]);
        assert_eq!(pass(&mut run, 1), [remind(number)]);
        answer(&mut run, "remind", Verdict::Succeeded);
    }
    assert_eq!(pass(&mut run, 10), [r#"cancel_order {"invoice":7}"#]);
    assert_eq!(status(&run), ProcessStatus::Running);
    answer(&mut run, "cancel_order", Verdict::Succeeded);
    assert_eq!(status(&run), ProcessStatus::Completed);
}

#[test]
fn an_hour_at_once_fires_everything_in_order() {
    let mut run = sent();
    let cancel = r#"cancel_order {"invoice":7}"#.to_owned();
    assert_eq!(
        pass(&mut run, 60),
        [remind(1), remind(2), remind(3), cancel]
    );
}

#[test]
fn the_payment_and_the_timeout_may_come_in_either_order() {
    // The payment first: nothing fires.
    let mut run = sent();
    happens(&mut run, InvoicePaid { invoice: 7 });
    assert_eq!(pass(&mut run, 10), [""; 0]);
    // The timeout first: one reminder more, and no other.
    let mut run = sent();
    assert_eq!(pass(&mut run, 10), [remind(1)]);
    happens(&mut run, InvoicePaid { invoice: 7 });
    answer(&mut run, "remind", Verdict::Succeeded);
    assert_eq!(status(&run), ProcessStatus::Completed);
    assert_eq!(pass(&mut run, 600), [""; 0]);
}

#[test]
fn a_payment_that_is_faster_than_the_cancellation_counts() {
    // The invoice refuses to be cancelled; the saga hears of it before it hears of the payment, or after.
    for refusal_first in [true, false] {
        let mut run = sent();
        pass(&mut run, 40);
        if refusal_first {
            answer(
                &mut run,
                "cancel_order",
                Verdict::Rejected("it is paid".into()),
            );
        }
        assert_eq!(happens(&mut run, InvoicePaid { invoice: 7 }), [""; 0]);
        if !refusal_first {
            answer(
                &mut run,
                "cancel_order",
                Verdict::Rejected("it is paid".into()),
            );
        }
        for _ in 0..3 {
            answer(&mut run, "remind", Verdict::Succeeded);
        }
        assert_eq!(status(&run), ProcessStatus::Completed);
    }
}

#[test]
fn money_that_comes_too_late_goes_back_whether_the_saga_has_ended_or_not() {
    let back = r#"send_back {"invoice":7}"#;
    let mut ended = sent();
    pass(&mut ended, 40);
    for _ in 0..3 {
        answer(&mut ended, "remind", Verdict::Succeeded);
    }
    answer(&mut ended, "cancel_order", Verdict::Succeeded);
    assert_eq!(status(&ended), ProcessStatus::Completed);
    assert_eq!(happens(&mut ended, PaidTooLate { invoice: 7 }), [back]);

    let mut ending = sent();
    pass(&mut ending, 40);
    assert_eq!(happens(&mut ending, PaidTooLate { invoice: 7 }), [back]);
    answer(&mut ending, "cancel_order", Verdict::Succeeded);
    // It has said that it is complete, and still waits for what is under way.
    assert_eq!(status(&ending), ProcessStatus::Running);
}
