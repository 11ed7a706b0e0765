//! What is stored, and definitions that change under it.

use super::*;

process!(
    Before,
    add(one("charge"), "ship")
        .escalate_after(minutes(5), act("hurry"))
        .wait_for("receipt", asked("receipt"))
);

fn stored() -> String {
    let mut run = Run::<Before>::start("charge");
    run.hears("receipt", true, "");
    run.ok("charge", "ship");
    run.pass(minutes(5), "hurry");
    serde_json::to_string(&run.state()).unwrap()
}

#[test]
fn the_state_names_its_steps() {
    let golden = r#"{"key":"k","data":{"note":"order 7"},"at":[{"step":"ship","command":2,"escalated":1}],"heard":{"receipt":"accepted"},"sent":3}"#;
    assert_eq!(stored(), golden);
    let read: Stepwise<Before> = serde_json::from_str(golden).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), golden);
}

#[test]
fn an_instance_goes_on_where_steps_were_added() {
    process!(
        After,
        add(add(add(one("check"), "charge"), "ship"), "thank")
    );
    let mut after: Stepwise<After> = serde_json::from_str(&stored()).unwrap();
    let id = crate::engine::command_id("process", "k", 2);
    let outcome = CommandOutcome::new(id, Do::NAME, Verdict::Succeeded);
    let outputs = crate::Saga::react(&mut after, crate::Input::Outcome(&outcome));
    let thank = Do {
        what: "thank".to_owned(),
    };
    let undo = Do {
        what: "-thank".to_owned(),
    };
    assert_eq!(outputs, crate::Outputs::send(thank).undo(undo));
    assert_eq!(after.at().collect::<Vec<_>>(), ["thank"]);
}

#[test]
fn an_instance_that_is_where_no_step_is_can_not_be_read() {
    process!(Removed, 2, one("charge"));
    let error = serde_json::from_str::<Stepwise<Removed>>(&stored()).unwrap_err();
    let text = "it is at the step ship, which version 2 of the definition does not have as it was";
    assert!(error.to_string().starts_with(text), "{error}");

    process!(Turned, Steps::new().wait_for("ship", asked("ship")));
    let error = serde_json::from_str::<Stepwise<Turned>>(&stored()).unwrap_err();
    assert!(error.to_string().contains("at the step ship"), "{error}");
}
