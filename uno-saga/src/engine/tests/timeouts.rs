//! Timeouts, late inputs, and what persons do, in the table's words.

use super::*;

#[test]
fn an_equal_timeout_is_moved_and_the_old_one_can_not_fire() {
    let mut run = check(
        "
        start @x @y      => +x +y       running
        go @x            => -x +x       running
        fire old x       => unasked     running
        fire x           => .           running
        fire x           => unasked     running
        go ^x            => .           running
        go ^y            => -y          running
        fire y           => unasked     running
        ",
    );
    assert_eq!(run.step("fire old y"), "unasked running");
    // A timer that is not on the list leaves no trace.
    assert!(run.history.is_empty());
    let ids: std::collections::HashSet<_> = run.set.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_timeout_is_an_input_as_any_other() {
    check(
        "
        start charge/refund @late   => charge +late running
        fire late compensate        => .            compensating
        ok charge                   => refund       compensating
        ok refund                   => unasked      compensated
        ",
    );
    check(
        "start @x => +x running\n fire x a @x => a +x running\n fire x complete => . running\n ok a => . completed",
    );
}

#[test]
fn what_has_decided_has_no_timeouts() {
    check("start a/-a @x @y         => a +x +y  running\n go compensate => -x -y compensating");
    check("start a @x complete      => a +x -x  running\n ok a => . completed");
    check("start @x @y              => +x +y    running\n stop => -x -y completed");
    check("start a @x               => a +x     running\n cancel => -x cancelled");
    check("start a @x complete => a +x -x running\n ok a @y => +y -y completed");
}

#[test]
fn late_inputs_reach_a_rule_and_can_only_send() {
    check(
        "
        start complete   => .          completed
        go ~a ~>mail     => a mail     completed
        ok a ~b          => b          completed
        ok a ~b          => unasked    completed
        go ~compensate   => error: instance k has ended, and can only send commands and messages
        go ~@x           => error: instance k has ended, and can only send commands and messages
        go ~a/-a         => error: instance k has ended, and can only send commands and messages
        gave-up b        => .          completed
        ",
    );
    // What was under way when a person ended it.
    check(
        "start charge/refund => charge running\n cancel => unasked cancelled\n ok charge ~refund => refund cancelled",
    );
}

#[test]
fn persons_bring_what_is_stuck_to_an_end() {
    let stuck = "
        start a/-a b/-b       => a b      running
        ok a                  => .        running
        ok b compensate       => -b       compensating
        gave-up -b            => unasked  stuck
        ";
    check(&format!(
        "{stuck}\n retry => -b compensating\n ok -b => -a compensating\n ok -a => unasked compensated"
    ));
    check(&format!(
        "{stuck}\n resume => -a compensating\n ok -a => unasked compensated\n cancel => error: an event that was parked for instance compensated is not routed to it any more"
    ));
    check(&format!(
        "{stuck}\n cancel => unasked cancelled\n ok -b => unasked cancelled"
    ));
    check(&format!(
        "{stuck}\n retry => -b compensating\n rejected -b => unasked stuck\n resume => -a compensating"
    ));
    let run = check(&format!("{stuck}\n retry => -b compensating"));
    let ids: std::collections::HashSet<_> = run.sent.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), run.sent.len(), "under a new id");
    // It is for what is stuck.
    check(
        "start a => a running\n retry => error: an event that was parked for instance running is not routed to it any more",
    );
}

#[test]
fn what_is_edited_is_sent() {
    let mut run = check("start compensate +-a => -a compensating\n rejected -a => unasked stuck");
    let edited = Do {
        what: "other".to_owned(),
    };
    let step = run.wish(&Wish::EditAndRetry(edited)).unwrap();
    assert_eq!(what(&step.sent[0].command), "other");
    assert_eq!(run.instance.unwrap().undo[0].payload, r#"{"what":"other"}"#);
}

#[test]
fn a_key_is_one_that_every_store_can_index() {
    for (key, fits) in [
        ("a", true),
        (&*"x".repeat(512), true),
        ("", false),
        (&*"x".repeat(513), false),
    ] {
        let result = route::<Parrot>(&told(&format!("key:{key}"), ""));
        match result {
            Ok(_) => assert!(fits, "{key:?}"),
            Err(TransitionError::BadKey {
                name,
                position,
                length,
            }) => {
                assert!(!fits, "{key:?}");
                assert_eq!((&*name, position.get(), length), ("told", 1, key.len()));
            }
            Err(other) => panic!("{other}"),
        }
    }
}
