//! Processes of steps, in virtual time.

mod changed;
mod definitions;
mod orders;
mod waiting;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uno_core::{
    Command, CommandId, Envelope, Event, EventSet, NewEvent, Position, ProcessStatus,
    RecordedEvent, StreamId, Version,
};
use uno_cqrs::{CommandOutcome, Verdict};

use super::*;
use crate::DryRun;

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) order: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) question: String,
    pub(crate) yes: bool,
}

#[derive(EventSet, Clone, Debug)]
pub(crate) enum Happened {
    Placed(Placed),
    Answered(Answered),
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Do {
    pub(crate) what: String,
}

/// A process with these steps, whose data is a note.
macro_rules! process {
    ($name:ident, $steps:expr) => {
        process!($name, 1, $steps);
    };
    ($name:ident, $version:expr, $steps:expr) => {
        #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
        struct $name {
            note: String,
        }

        impl StepSaga for $name {
            const NAME: &'static str = "process";
            const VERSION: u32 = $version;
            type Event = $crate::steps::tests::Happened;
            type Command = $crate::steps::tests::Do;

            fn key(_: &Envelope<Self::Event>) -> Option<String> {
                Some("k".to_owned())
            }

            fn start(event: &Envelope<Self::Event>) -> Option<Self> {
                match event.event() {
                    $crate::steps::tests::Happened::Placed(placed) => Some(Self {
                        note: format!("order {}", placed.order),
                    }),
                    $crate::steps::tests::Happened::Answered(_) => None,
                }
            }

            fn steps() -> Steps<Self> {
                $steps
            }
        }
    };
}
use process;

/// Does this.
pub(crate) fn act<S>(what: &str) -> impl Fn(&S) -> Do + Send + Sync + use<S> {
    let what = what.to_owned();
    move |_| Do { what: what.clone() }
}

/// One step that does what it is called, undone by the same with a minus.
fn one<S: StepSaga<Command = Do>>(name: &'static str) -> Steps<S> {
    add(Steps::new(), name)
}

fn add<S: StepSaga<Command = Do>>(steps: Steps<S>, name: &'static str) -> Steps<S> {
    steps.step(name, act(name)).undo(act(&format!("-{name}")))
}

/// The answer to the question of this name.
fn asked<S>(
    question: &'static str,
) -> impl Fn(&mut S, &Envelope<Happened>) -> Option<Answer> + Send + Sync {
    move |_, event| match event.event() {
        Happened::Answered(answered) if answered.question == question => Some(if answered.yes {
            Answer::Accepted
        } else {
            Answer::Refused
        }),
        _ => None,
    }
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(crate) fn envelope(event: Happened) -> Envelope<Happened> {
    let stream: StreamId = "test-1".parse().unwrap();
    let new = NewEvent::encode(&event).unwrap();
    let position = Position::START.next();
    let time = new.occurred_at();
    let record = RecordedEvent::record(&new, stream, Version::EMPTY.next(), position, time);
    Envelope::new(event, record.into())
}

/// One instance, and all that it has sent.
#[derive(Clone, Debug)]
struct Run<S> {
    dry: DryRun<Stepwise<S>>,
    sent: Vec<(CommandId, String)>,
}

impl<S: StepSaga<Event = Happened, Command = Do>> Run<S> {
    /// An instance that has started, and what it has sent.
    #[track_caller]
    fn start(expected: &str) -> Self {
        let (dry, sent) = (DryRun::new(), Vec::new());
        let mut run = Self { dry, sent };
        run.event(Happened::Placed(Placed { order: 7 }), expected);
        run
    }

    #[track_caller]
    fn event(&mut self, event: Happened, expected: &str) {
        let step = self.dry.event(&envelope(event)).unwrap();
        self.took(&[step], expected);
    }

    /// An answer comes.
    #[track_caller]
    fn hears(&mut self, question: &str, yes: bool, expected: &str) {
        let question = question.to_owned();
        self.event(Happened::Answered(Answered { question, yes }), expected);
    }

    #[track_caller]
    fn ok(&mut self, what: &str, expected: &str) {
        self.ends(what, Verdict::Succeeded, expected);
    }

    #[track_caller]
    fn rejected(&mut self, what: &str, expected: &str) {
        self.ends(what, Verdict::Rejected("no".to_owned()), expected);
    }

    #[track_caller]
    fn gave_up(&mut self, what: &str, expected: &str) {
        self.ends(
            what,
            Verdict::GaveUp("the line is down".to_owned()),
            expected,
        );
    }

    /// The command that does this, and is under way, ends like this.
    #[track_caller]
    fn ends(&mut self, what: &str, verdict: Verdict, expected: &str) {
        let under_way = self.under_way();
        let Some((id, _)) = under_way.iter().find(|(_, doing)| doing == what) else {
            panic!("{what} is not under way, but {under_way:?}");
        };
        let outcome = CommandOutcome::new(*id, Do::NAME, verdict);
        let step = self.dry.outcome("k", &outcome).unwrap();
        self.took(&[step], expected);
    }

    #[track_caller]
    fn pass(&mut self, time: Duration, expected: &str) {
        let steps = self.dry.advance(time).unwrap();
        self.took(&steps, expected);
    }

    /// What was sent, and how the instance stands, if it has changed from running.
    #[track_caller]
    fn took(&mut self, steps: &[crate::DryStep<Do, StepTimeout>], expected: &str) {
        let mut said = Vec::new();
        for sent in steps.iter().flat_map(|step| step.sent()) {
            let command: Do = serde_json::from_str(sent.command().payload().as_str()).unwrap();
            said.push(command.what.clone());
            self.sent.push((sent.id(), command.what));
        }
        if self.status() != ProcessStatus::Running {
            said.push(format!("=> {}", self.status()));
        }
        assert_eq!(said.join(" "), expected);
    }

    fn under_way(&self) -> Vec<(CommandId, String)> {
        let view = self.dry.instance("k").unwrap();
        let ids: Vec<_> = view
            .in_flight()
            .iter()
            .map(|command| command.id())
            .collect();
        let sent = self.sent.iter().filter(|(id, _)| ids.contains(id));
        sent.cloned().collect()
    }

    fn status(&self) -> ProcessStatus {
        self.dry.instance("k").unwrap().status()
    }

    fn state(&self) -> Stepwise<S> {
        self.dry.instance("k").unwrap().state().clone()
    }

    fn timeouts(&self) -> Vec<String> {
        let timeouts = self.dry.timeouts();
        timeouts.map(|(_, _, text)| text.to_owned()).collect()
    }
}

process!(Plain, add(add(one("charge"), "allocate"), "ship"));

#[test]
fn steps_go_one_after_the_other() {
    let mut run = Run::<Plain>::start("charge");
    run.ok("charge", "allocate");
    assert_eq!(run.state().at().collect::<Vec<_>>(), ["allocate"]);
    run.ok("allocate", "ship");
    run.ok("ship", "=> completed");
    assert_eq!(run.state().at().count(), 0);
    assert_eq!(run.state().failure(), None);
    // A start comes again, and late.
    run.event(Happened::Placed(Placed { order: 8 }), "=> completed");
    assert_eq!(run.state().data().unwrap().note, "order 7");
}

#[test]
fn what_was_sent_is_undone_in_reverse() {
    let mut run = Run::<Plain>::start("charge");
    run.ok("charge", "allocate");
    let mut other = run.clone();
    run.rejected("allocate", "-charge => compensating");
    assert_eq!(run.state().failure(), Some("allocate was rejected: no"));
    assert_eq!(run.state().at().count(), 0);
    run.ok("-charge", "=> compensated");
    // It may have run.
    other.gave_up("allocate", "-allocate => compensating");
    let why = "allocate gave up: the line is down";
    assert_eq!(other.state().failure(), Some(why));
    other.ok("-allocate", "-charge => compensating");
    other.ok("-charge", "=> compensated");
}

process!(
    Forked,
    add(
        one("charge").fork([
            add(one("pick"), "pack"),
            one("invoice"),
            Steps::new().fork([one("left"), one("right")])
        ]),
        "ship"
    )
);

#[test]
fn a_join_waits_for_all_branches_whichever_comes_last() {
    let all = ["pick", "pack", "invoice", "left", "right"];
    for last in all {
        let mut run = Run::<Forked>::start("charge");
        run.ok("charge", "pick invoice left right");
        for what in all.into_iter().filter(|what| *what != last) {
            match what {
                // It can't be packed before it is picked.
                "pack" if last == "pick" => {}
                "pick" => run.ok(what, "pack"),
                _ => run.ok(what, ""),
            }
        }
        match last {
            "pick" => {
                run.ok("pick", "pack");
                run.ok("pack", "ship");
            }
            _ => run.ok(last, "ship"),
        }
        run.ok("ship", "=> completed");
    }
}

#[test]
fn branches_are_undone_in_the_reverse_of_the_order_in_which_they_were_sent() {
    let mut run = Run::<Forked>::start("charge");
    run.ok("charge", "pick invoice left right");
    run.ok("pick", "pack");
    run.ok("right", "");
    // It settles what is under way first.
    run.rejected("pack", "=> compensating");
    run.gave_up("invoice", "=> compensating");
    run.rejected("left", "-right => compensating");
    run.ok("-right", "-invoice => compensating");
    run.ok("-invoice", "-pick => compensating");
    run.ok("-pick", "-charge => compensating");
    run.ok("-charge", "=> compensated");
}

process!(
    Choosing,
    Steps::new()
        .step("gift", act("gift"))
        .undo(act("-gift"))
        .on_rejected(Steps::new())
        .step("card", act("card"))
        .undo(act("-card"))
        .on_rejected(add(one("transfer"), "remind"))
        .on_gave_up(one("ask the bank"))
        .step("ship", act("ship"))
);

#[test]
fn alternatives_are_done_in_place_of_a_step() {
    let mut run = Run::<Choosing>::start("gift");
    // Nothing in place of it: it need not succeed.
    run.rejected("gift", "card");
    let mut other = run.clone();
    run.rejected("card", "transfer");
    run.ok("transfer", "remind");
    run.ok("remind", "ship");
    run.rejected("ship", "-remind => compensating");
    run.ok("-remind", "-transfer => compensating");
    // Neither the card nor the gift: both were rejected.
    run.ok("-transfer", "=> compensated");

    other.gave_up("card", "ask the bank");
    other.ok("ask the bank", "ship");
    other.rejected("ship", "-ask the bank => compensating");
    other.ok("-ask the bank", "-card => compensating");
    other.ok("-card", "=> compensated");

    let mut run = Run::<Choosing>::start("gift");
    run.gave_up("gift", "-gift => compensating");
}

process!(
    Made,
    Steps::new()
        .wait_for("name", |it: &mut Made, event| {
            let Happened::Answered(answered) = event.event() else {
                return None;
            };
            it.note += &format!(", {}", answered.question);
            answered.yes.then_some(Answer::Accepted)
        })
        .step("greet", |it| Do {
            what: it.note.clone()
        })
);

#[test]
fn commands_are_made_of_what_was_heard() {
    let mut run = Run::<Made>::start("");
    run.hears("ada", false, "");
    run.hears("bea", true, "order 7, ada, bea");
    run.hears("cid", true, "");
    run.ok("order 7, ada, bea", "=> completed");
    assert_eq!(run.state().data().unwrap().note, "order 7, ada, bea");
}
