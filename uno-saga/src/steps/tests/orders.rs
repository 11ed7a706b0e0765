//! Every order in which what is pending can come.

use super::*;

process!(
    Whole,
    one("charge")
        .give_up_after(minutes(30))
        .fork([
            one("pick").escalate_after(minutes(10), act("hurry")),
            one("invoice").on_rejected(one("mail")),
        ])
        .wait_for("approval", asked("approval"))
        .on_timeout(minutes(60), Steps::new())
        .step("ship", act("ship"))
);

/// Goes through every order of answers, timeouts and the event, and looks at each end; how many there are.
fn every_order(run: &Run<Whole>, told: bool, look: &mut impl FnMut(&Run<Whole>)) -> usize {
    let mut ends = 0;
    let verdicts = [
        Verdict::Succeeded,
        Verdict::Rejected("no".to_owned()),
        Verdict::GaveUp("the line is down".to_owned()),
    ];
    for (id, what) in run.under_way() {
        // Compensations and escalations succeed: how they fail is the engine's to know.
        let few = what.starts_with('-') || what == "hurry";
        for verdict in &verdicts[..if few { 1 } else { 3 }] {
            let mut next = run.clone();
            let outcome = CommandOutcome::new(id, Do::NAME, verdict.clone());
            let step = next.dry.outcome("k", &outcome).unwrap();
            next.note(&[step]);
            if matches!(verdict, Verdict::Rejected(_)) {
                next.sent.retain(|(sent, _)| *sent != id);
            }
            // Told twice, it has no effect.
            let twice = next.dry.outcome("k", &outcome).unwrap();
            assert!(twice.outputs().is_none() && twice.sent().is_empty());
            ends += every_order(&next, told, look);
        }
    }
    let mut next = run.clone();
    if let Some(step) = next.dry.fire_next() {
        next.note(&[step.unwrap()]);
        ends += every_order(&next, told, look);
    }
    if !told {
        let mut next = run.clone();
        let (question, yes) = ("approval".to_owned(), true);
        let event = Happened::Answered(Answered { question, yes });
        let step = next.dry.event(&envelope(event)).unwrap();
        next.note(&[step]);
        ends += every_order(&next, true, look);
    }
    if ends == 0 {
        look(run);
        ends = 1;
    }
    ends
}

impl Run<Whole> {
    fn note(&mut self, steps: &[crate::DryStep<Do, StepTimeout>]) {
        for sent in steps.iter().flat_map(|step| step.sent()) {
            let command: Do = serde_json::from_str(sent.command().payload().as_str()).unwrap();
            self.sent.push((sent.id(), command.what));
        }
    }
}

#[test]
fn whatever_the_order_it_is_completed_or_all_that_may_have_run_is_undone_in_reverse() {
    let (mut completed, mut compensated) = (0, 0);
    let run = Run::<Whole>::start("charge");
    let ends = every_order(&run, false, &mut |end| {
        // Those that were rejected are not among them.
        let sent: Vec<_> = end.sent.iter().map(|(_, what)| &**what).collect();
        let (undone, done): (Vec<&str>, Vec<&str>) =
            sent.iter().partition(|what| what.starts_with('-'));
        match end.status() {
            ProcessStatus::Completed => {
                assert_eq!(undone, Vec::<&str>::new());
                for step in ["charge", "pick", "ship"] {
                    assert_eq!(
                        done.iter().filter(|what| **what == step).count(),
                        1,
                        "{done:?}"
                    );
                }
                let told = ["invoice", "mail"].map(|what| done.contains(&what));
                assert!(told[0] != told[1], "{done:?}");
                completed += 1;
            }
            ProcessStatus::Compensated => {
                let back: Vec<_> = undone.iter().rev().map(|what| &what[1..]).collect();
                // Nothing undoes these two.
                let done = done
                    .into_iter()
                    .filter(|what| !["hurry", "ship"].contains(what));
                assert_eq!(back, done.collect::<Vec<_>>(), "{sent:?}");
                compensated += 1;
            }
            other => panic!("it ends {other}: {sent:?}"),
        }
        assert_eq!(end.timeouts(), Vec::<String>::new());
    });
    assert_eq!(ends, completed + compensated);
    assert!(
        completed > 100 && compensated > 100,
        "{completed} {compensated}"
    );
}
