//! Waits, deadlines and escalations.

use super::*;

process!(
    Approved,
    one("reserve")
        .wait_for("approval", asked("approval"))
        .step("book", act("book"))
);

#[test]
fn an_answer_is_found_whether_it_comes_before_or_after_the_process_is_there() {
    for yes in [true, false] {
        let then = if yes {
            "book"
        } else {
            "-reserve => compensating"
        };
        let mut after = Run::<Approved>::start("reserve");
        after.ok("reserve", "");
        assert_eq!(after.state().at().collect::<Vec<_>>(), ["approval"]);
        after.hears("weather", yes, "");
        after.hears("approval", yes, then);

        let mut before = Run::<Approved>::start("reserve");
        before.hears("approval", yes, "");
        // The first answer counts.
        before.hears("approval", !yes, "");
        before.ok("reserve", then);
        assert_eq!(before.state().failure(), after.state().failure());
    }
}

process!(
    Unanswered,
    Steps::new()
        .wait_for("approval", asked("approval"))
        .on_timeout(minutes(30), one("assume"))
        .on_rejected(one("apologise"))
        .step("book", act("book"))
);

#[test]
fn a_wait_that_is_not_answered_is_left() {
    let mut run = Run::<Unanswered>::start("");
    let mut answered = run.clone();
    let mut refused = run.clone();
    run.pass(minutes(29), "");
    run.pass(minutes(1), "assume");
    run.hears("approval", false, "");
    run.ok("assume", "book");
    run.ok("book", "=> completed");

    answered.pass(minutes(29), "");
    answered.hears("approval", true, "book");
    assert_eq!(answered.timeouts(), Vec::<String>::new());
    answered.pass(minutes(60), "");

    refused.hears("approval", false, "apologise");
    refused.pass(minutes(60), "");
    refused.ok("apologise", "book");
}

process!(
    Limited,
    one("charge")
        .give_up_after(minutes(30))
        .step("ship", act("ship"))
);

#[test]
fn a_deadline_undoes_everything_once_it_is_settled() {
    let mut run = Run::<Limited>::start("charge");
    assert_eq!(run.timeouts(), [r#"{"deadline":"charge"}"#]);
    let mut other = run.clone();
    run.pass(minutes(30), "=> compensating");
    assert_eq!(run.state().failure(), Some("charge took too long"));
    // The late money goes back.
    let mut rejected = run.clone();
    run.ok("charge", "-charge => compensating");
    run.ok("-charge", "=> compensated");
    rejected.rejected("charge", "=> compensated");

    other.ok("charge", "ship");
    assert_eq!(other.timeouts(), Vec::<String>::new());
    other.pass(minutes(60), "");
    other.ok("ship", "=> completed");
}

process!(
    Left,
    one("card")
        .on_timeout(minutes(5), one("transfer"))
        .step("ship", act("ship"))
);

#[test]
fn a_command_that_was_left_is_not_heard_and_may_still_have_to_be_undone() {
    let mut run = Run::<Left>::start("card");
    run.pass(minutes(5), "transfer");
    let mut late = run.clone();
    late.ok("transfer", "ship");
    // It ends only when everything is settled.
    late.ok("ship", "");
    late.ok("card", "=> completed");

    run.ok("card", "");
    run.rejected("transfer", "-card => compensating");
    run.ok("-card", "=> compensated");
}

process!(
    Urgent,
    Steps::new()
        .step("repair", act("repair"))
        .escalate_after(minutes(30), act("tell the lead"))
        .escalate_after(minutes(60), act("tell the head"))
        .escalate_every(minutes(120), |it: &Urgent, times| Do {
            what: format!("{times} times: {}", it.note)
        })
        .give_up_after(minutes(60 * 24))
        .step("close", act("close"))
);

#[test]
fn a_step_that_takes_long_is_escalated_and_goes_on() {
    let mut run = Run::<Urgent>::start("repair");
    run.pass(minutes(29), "");
    run.pass(minutes(1), "tell the lead");
    // Nothing depends on how that ends.
    run.rejected("tell the lead", "");
    run.pass(minutes(60), "tell the head");
    run.pass(minutes(239), "3 times: order 7");
    run.pass(minutes(1), "4 times: order 7");
    let mut late = run.clone();
    run.gave_up("tell the head", "");
    run.ok("repair", "close");
    assert_eq!(run.timeouts(), Vec::<String>::new());
    run.ok("close", "");
    run.ok("3 times: order 7", "");
    run.ok("4 times: order 7", "=> completed");

    // 30 + 60 minutes, then every 120 until the day is over.
    let rest: Vec<_> = (5..=13)
        .map(|times| format!("{times} times: order 7"))
        .collect();
    late.pass(
        minutes(60 * 24),
        &format!("{} => compensating", rest.join(" ")),
    );
    assert_eq!(late.state().failure(), Some("repair took too long"));
}

process!(
    Both,
    Steps::new()
        .fork([
            Steps::new().wait_for("a", asked("go")),
            Steps::new()
                .wait_for("b", asked("go"))
                .step("act", act("act")),
        ])
        .wait_for("c", asked("go"))
        .step("end", act("end"))
);

#[test]
fn one_event_answers_all_who_wait_for_it() {
    let mut run = Run::<Both>::start("");
    let mut refused = run.clone();
    run.hears("go", true, "act");
    run.ok("act", "end");
    run.ok("end", "=> completed");
    refused.hears("go", false, "=> compensated");
    assert_eq!(
        refused.state().failure(),
        Some("a was rejected: the answer was no")
    );
}

process!(
    Refused,
    Steps::new().step("first", act("first")).fork([
        one("begun"),
        Steps::new().wait_for("approval", asked("approval")),
    ])
);

#[test]
fn what_an_input_would_begin_is_not_begun_when_it_ends_in_undoing() {
    let mut run = Run::<Refused>::start("first");
    run.hears("approval", false, "");
    run.ok("first", "=> compensated");
    assert_eq!(run.sent.len(), 1);
}

process!(
    Deaf,
    Steps::new()
        .wait_for("name", |it: &mut Deaf, event| {
            if let Happened::Answered(answered) = event.event() {
                it.note = answered.question.clone();
            }
            None
        })
        .on_timeout(minutes(1), Steps::new())
        .step("greet", |it| Do {
            what: it.note.clone()
        })
);

#[test]
fn a_wait_that_was_left_does_not_listen_any_more() {
    let mut run = Run::<Deaf>::start("");
    run.hears("ada", true, "");
    run.pass(minutes(1), "ada");
    run.hears("bea", true, "");
    assert_eq!(run.state().data().unwrap().note, "ada");
}
