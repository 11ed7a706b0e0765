//! What is wrong with definitions.

use super::*;

process!(Any, one("any"));

#[track_caller]
fn check(steps: &Steps<Any>, expected: &Result<(), StepsError>) {
    assert_eq!(&steps.check(), expected, "{steps:?}");
}

#[test]
fn what_is_wrong_with_a_definition_is_told() {
    let wait = || Steps::new().wait_for("wait", asked("wait"));
    let no_time = Duration::ZERO;
    let misplaced = |what, of| Err(StepsError::Misplaced { what, of });
    let twice = |what, of| Err(StepsError::Twice { what, of });
    let duplicate = Err(StepsError::Duplicate("a"));
    let times = |_: &Any, _| Do {
        what: String::new(),
    };

    check(&one("a"), &Ok(()));
    check(&wait(), &Ok(()));
    check(&one("a").on_rejected(Steps::new()), &Ok(()));
    check(&Steps::new().fork([one("a")]), &Ok(()));
    check(&Steps::new(), &Err(StepsError::NoSteps));
    check(&one(""), &Err(StepsError::Unnamed));
    check(&add(one("a"), "a"), &duplicate);
    check(&one("a").fork([one("b"), one("a")]), &duplicate);
    check(&one("b").on_rejected(add(one("a"), "a")), &duplicate);
    check(&one("a").on_gave_up(one("a")), &duplicate);
    check(&one("a").on_timeout(minutes(1), one("a")), &duplicate);
    check(&one("a").fork([]), &Err(StepsError::EmptyFork));
    check(
        &one("a").on_rejected(Steps::new().fork([])),
        &Err(StepsError::EmptyFork),
    );
    check(
        &Steps::new().fork([one("a"), Steps::new()]),
        &Err(StepsError::EmptyBranch),
    );
    check(&Steps::new().undo(act("a")), &misplaced("undo", "nothing"));
    check(
        &Steps::new().fork([one("a")]).undo(act("b")),
        &misplaced("undo", "a fork"),
    );
    check(&wait().undo(act("a")), &misplaced("undo", "wait"));
    check(
        &wait().on_gave_up(one("a")),
        &misplaced("on_gave_up", "wait"),
    );
    // Also within a branch.
    check(
        &Steps::new().fork([Steps::new().undo(act("a"))]),
        &misplaced("undo", "nothing"),
    );
    let endless = one("a").escalate_every(minutes(1), times);
    check(&endless, &Ok(()));
    let endless = one("a").escalate_every(minutes(1), times);
    let more = endless.escalate_after(minutes(1), act("b"));
    check(&more, &misplaced("escalate_after", "a"));
    let limited = || one("a").give_up_after(minutes(1));
    check(
        &limited().on_timeout(minutes(2), one("b")),
        &twice("on_timeout", "a"),
    );
    check(
        &limited().give_up_after(minutes(1)),
        &twice("give_up_after", "a"),
    );
    let chosen = one("a").on_rejected(one("b")).on_rejected(one("c"));
    check(&chosen, &twice("on_rejected", "a"));
    let chosen = one("a").on_gave_up(one("b")).on_gave_up(one("c"));
    check(&chosen, &twice("on_gave_up", "a"));
    check(
        &one("a").give_up_after(no_time),
        &Err(StepsError::NoTime("a")),
    );
    check(
        &one("a").escalate_every(no_time, times),
        &Err(StepsError::NoTime("a")),
    );
    check(
        &one("a").escalate_after(no_time, act("b")),
        &Err(StepsError::NoTime("a")),
    );
}

#[test]
fn a_saga_is_checked_as_its_steps_are() {
    process!(None, Steps::new());
    let error = <Stepwise<None> as crate::Saga>::check().unwrap_err();
    assert!(
        matches!(error, crate::DefinitionError::Steps(StepsError::NoSteps)),
        "{error:?}"
    );
    assert!(<Stepwise<Any> as crate::Saga>::check().is_ok());
}
