//! Flowcharts of definitions.

use super::*;
use crate::{StepSaga, Steps, diagram};

/// A saga of these steps.
macro_rules! drawn {
    ($name:ident, $called:expr, $steps:expr) => {
        #[derive(Serialize, Deserialize, Clone, Debug)]
        struct $name {}

        impl StepSaga for $name {
            const NAME: &'static str = $called;
            type Event = OrderEvent;
            type Command = Sent;

            fn key(_: &Envelope<OrderEvent>) -> Option<String> {
                None
            }

            fn start(_: &Envelope<OrderEvent>) -> Option<Self> {
                None
            }

            fn steps() -> Steps<Self> {
                $steps
            }
        }
    };
}

const HOUR: Duration = Duration::from_secs(3600);

fn ship<S: StepSaga<Command = Sent>>(name: &'static str) -> Steps<S> {
    Steps::new().step(name, |_| Ship {})
}

drawn!(
    Whole,
    "fulfilment",
    Steps::<Self>::new()
        .step("charge", |_| Charge {})
        .undo(|_| Refund {})
        .give_up_after(24 * HOUR)
        .on_rejected(ship("remind").on_gave_up(Steps::new()))
        .fork([
            ship("pick")
                .escalate_after(HOUR / 2, |_| Refund {})
                .escalate_every(HOUR, |_, _| Charge {}),
            Steps::<Self>::new()
                .wait_for("approval", |_, _| None)
                .on_timeout(HOUR, Steps::new())
                .step("either", |_| Sent::from(Charge {})),
        ])
        .step("ship", |_| Ship {})
);

#[test]
fn a_definition_is_drawn_with_all_its_ways() {
    let golden = r#"flowchart TD
    begin(["fulfilment"])
    s0["charge<br/>sends charge"]
    begin --> s0
    s0u0[/"refund"/]
    s0 ---|"undone by"| s0u0
    s1["remind<br/>sends ship"]
    s0 -->|"rejected"| s1
    s1 -->|"rejected"| undo
    s0 -->|"gave up"| undo
    s0 -.->|"after 1 d"| undo
    f0(("fork"))
    s0 --> f0
    s1 --> f0
    s1 -->|"gave up"| f0
    s2["pick<br/>sends ship"]
    f0 --> s2
    s2e0>"refund"]
    s2 -.->|"after 30 min"| s2e0
    s2e1>"charge"]
    s2e0 -.->|"every 1 h"| s2e1
    s2 -->|"rejected"| undo
    s2 -->|"gave up"| undo
    s3{{"approval<br/>waits"}}
    f0 --> s3
    s3 -->|"refused"| undo
    s4["either<br/>sends charge or refund or ship"]
    s3 --> s4
    s3 -.->|"after 1 h"| s4
    s4 -->|"rejected"| undo
    s4 -->|"gave up"| undo
    j0(("join"))
    s2 --> j0
    s4 --> j0
    s5["ship<br/>sends ship"]
    j0 --> s5
    s5 -->|"rejected"| undo
    s5 -->|"gave up"| undo
    done(["completed"])
    s5 --> done
    undo(["undo all in reverse"])
"#;
    assert_eq!(diagram::of_steps::<Whole>(), golden);
}

drawn!(Nasty, r#"a"] --> b["c"#, {
    let steps = Steps::<Self>::new();
    NASTY.iter().fold(steps, |steps, name| {
        steps.step(name, |_| Charge {}).undo(|_| Refund {})
    })
});

#[test]
fn no_name_breaks_a_flowchart() {
    let diagram = diagram::of_steps::<Nasty>();
    // One for each step, its compensation and the ends; and no arrow that is none.
    let quoted = |line: &str| line.matches('"').count() == 2;
    assert_lines(&diagram, |line| {
        quoted(line) || line.split(' ').count() == 3
    });
    let count = |start: &str| diagram.lines().filter(|line| line.contains(start)).count();
    assert_eq!(count("sends charge"), NASTY.len());
    assert_eq!(count("-->"), 3 * NASTY.len() + 1);
    assert!(diagram.contains(r##"begin(["a#34;#93; #45;#45;#62; b#91;#34;c"])"##));
}
