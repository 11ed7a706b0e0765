//! The engine as a table: each line is an input, and what must come of it.
//!
//! ```text
//! start a/-a b      => a b      running      the saga sends a, with -a to undo it, and b
//! go! compensate    => .        compensating an event that goes on strictly; nothing is sent
//! ok a              => .        …            a succeeded; after it may stand what the saga says to that
//! go c              => unasked  …            the saga is not asked
//! start @x >mail    => +x mail  …            it sets the timeout x, and sends a message to the queue mail
//! start ^x          => -x       …            it cancels the timeout x
//! fire x            => .        …            the timeout x fires; to which it says what stands after it
//! go ~a             => a        completed    an instance that has ended says a to a late input
//! ```
//!
//! Long because it is one table with its reader.

mod timeouts;

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use uno_core::{
    Command, Event, NewEvent, Position, ProcessStatus, RecordedEvent, StreamId, Version,
};

use super::*;

/// Tells the saga what to say.
#[derive(Event, Serialize, Deserialize)]
struct Told {
    route: String,
    say: Vec<String>,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Do {
    #[serde(serialize_with = "fail_if_asked")]
    what: String,
}

fn fail_if_asked<S: Serializer>(what: &str, to: S) -> Result<S::Ok, S::Error> {
    if what == "unencodable" {
        return Err(S::Error::custom("as asked"));
    }
    to.serialize_str(what)
}

/// Says what it is told to.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Parrot {
    reactions: u32,
    to_outcome: Vec<String>,
}

impl Saga for Parrot {
    const NAME: &'static str = "parrot";
    type Event = Told;
    type Command = Do;
    type Timeout = String;

    fn route(event: &Envelope<Told>) -> Route {
        let key = "k".to_owned();
        match event.event().route.as_str() {
            "start" => Route::Start(key),
            "start!" => Route::StartStrict(key),
            "go" => Route::Continue(key),
            "go!" => Route::ContinueStrict(key),
            "stop" => Route::Stop(key),
            "ignore" => Route::Ignore,
            other if other.starts_with("key:") => Route::Start(other[4..].to_owned()),
            other => panic!("there is no route {other}"),
        }
    }

    fn react(&mut self, input: Input<'_, Told, String>) -> Outputs<Do, String> {
        self.reactions += 1;
        Self::say(&self.words(&input))
    }

    fn on_late(&mut self, input: Input<'_, Told, String>, _: ProcessStatus) -> Outputs<Do, String> {
        let words = self.words(&input);
        let late = words.iter().filter_map(|word| word.strip_prefix('~'));
        Self::say(&late.map(str::to_owned).collect::<Vec<_>>())
    }
}

impl Parrot {
    fn words(&mut self, input: &Input<'_, Told, String>) -> Vec<String> {
        match input {
            Input::Event(event) => event.event().say.clone(),
            Input::Outcome(_) | Input::Timeout(_) => std::mem::take(&mut self.to_outcome),
        }
    }

    fn say(say: &[String]) -> Outputs<Do, String> {
        let command = |what: &str| Do {
            what: what.to_owned(),
        };
        say.iter()
            .fold(Outputs::none(), |outputs, word| match word.as_str() {
                "compensate" => outputs.and_compensate(),
                "complete" => outputs.and_complete(),
                "panic" => panic!("as asked"),
                set if set.starts_with('@') => {
                    outputs.and_after(std::time::Duration::from_secs(60), &set[1..])
                }
                cancel if cancel.starts_with('^') => outputs.and_cancel(&cancel[1..]),
                queue if queue.starts_with('>') => outputs.and_message(&queue[1..], "note", &7),
                undo if undo.starts_with('+') => outputs.undo(command(&undo[1..])),
                send => {
                    let mut parts = send.split('/').map(command);
                    let outputs = outputs.and_send(parts.next().unwrap());
                    parts.fold(outputs, Outputs::undo)
                }
            })
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn told(route: &str, say: &str) -> Envelope<Told> {
    let event = Told {
        route: route.to_owned(),
        say: words(say),
    };
    let new = NewEvent::encode(&event).unwrap();
    let (stream, version) = (StreamId::new("t", "1").unwrap(), Version::EMPTY.next());
    let time = new.occurred_at();
    let record = RecordedEvent::record(&new, stream, version, Position::START.next(), time);
    Envelope::new(event, Arc::new(record))
}

/// The instance `k`, every command that was sent, every timer that was set, and what was told of the last input.
#[derive(Default)]
struct Run {
    instance: Option<Instance<Parrot>>,
    sent: Vec<(CommandId, String)>,
    set: Vec<(Uuid, String)>,
    history: Vec<HistoryEntry>,
}

impl Run {
    /// Feeds the input of a line, and says what came of it.
    fn step(&mut self, input: &str) -> String {
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let result = match word {
            "ok" | "rejected" | "gave-up" => self.outcome(word, rest),
            "fire" => self.fire(rest),
            "retry" => self.wish(&Wish::Retry),
            "resume" => self.wish(&Wish::Resume),
            "cancel" => self.wish(&Wish::Cancel),
            _ => {
                let event = told(word, rest);
                route::<Parrot>(&event).and_then(|route| {
                    let (route, event) = (&route, &event);
                    self.feed(&Incoming::Event { route, event })
                })
            }
        };
        let step = match result {
            Ok(step) => step,
            Err(error) => return format!("error: {error}"),
        };
        let mut names: Vec<String> = step
            .sent
            .iter()
            .map(|sent| what(&sent.command).to_owned())
            .collect();
        for change in &step.timers {
            match change {
                TimerChange::Set { id, timeout, .. } => {
                    let timeout: String = serde_json::from_str(timeout).unwrap();
                    names.push(format!("+{timeout}"));
                    self.set.push((*id, timeout));
                }
                TimerChange::Cancel { id } => {
                    let set = self.set.iter().find(|(set, _)| set == id).unwrap();
                    names.push(format!("-{}", set.1));
                }
            }
        }
        names.extend(step.messages.iter().map(|message| message.queue.clone()));
        let names = match (&step.outputs, names.is_empty()) {
            (Some(_), true) => ".".to_owned(),
            (None, true) => "unasked".to_owned(),
            (_, false) => names.join(" "),
        };
        for sent in &step.sent {
            self.sent.push((sent.id, what(&sent.command).to_owned()));
        }
        self.history = step.history;
        match &self.instance {
            Some(instance) => format!("{names} {}", instance.status),
            None => format!("{names} none"),
        }
    }

    fn feed(
        &mut self,
        input: &Incoming<'_, Parrot>,
    ) -> Result<Transition<Parrot>, TransitionError> {
        let mut instance = self.instance.clone();
        let step = step("k", &mut instance, input, &Metadata::new())?;
        self.instance = instance;
        Ok(step)
    }

    fn outcome(&mut self, word: &str, rest: &str) -> Result<Transition<Parrot>, TransitionError> {
        let (name, say) = rest.split_once(' ').unwrap_or((rest, ""));
        let sent = self.sent.iter().rev().find(|(_, sent)| sent == name);
        let id = sent.map_or(CommandId::stable(["never sent"]), |(id, _)| *id);
        let verdict = match word {
            "ok" => Verdict::Succeeded,
            "rejected" => Verdict::Rejected("no".to_owned()),
            _ => Verdict::GaveUp("down".to_owned()),
        };
        if let Some(instance) = &mut self.instance {
            instance.state.to_outcome = words(say);
        }
        let outcome = CommandOutcome::new(id, Do::NAME, verdict);
        self.feed(&Incoming::Outcome(&outcome))
    }

    /// Fires the timer that was set last, or, for `old x`, first, for a timeout: whether it is still pending or not.
    fn fire(&mut self, rest: &str) -> Result<Transition<Parrot>, TransitionError> {
        let (old, rest) = match rest.strip_prefix("old ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (name, say) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut set = self.set.iter().filter(|(_, timeout)| timeout == name);
        let id = if old { set.next() } else { set.next_back() }.unwrap().0;
        if let Some(instance) = &mut self.instance {
            instance.state.to_outcome = words(say);
        }
        let payload = Payload::encode(name).unwrap();
        let due_at = "2026-01-01T00:00:00Z".parse().unwrap();
        self.feed(&Incoming::Timeout {
            id,
            due_at,
            payload: &payload,
        })
    }

    fn wish(&mut self, wish: &Wish<Do>) -> Result<Transition<Parrot>, TransitionError> {
        let mut instance = self.instance.clone().unwrap();
        match carry_out("k", &mut instance, wish, "ada", "because") {
            Ok(step) => {
                self.instance = Some(instance);
                Ok(step)
            }
            Err(Unfit::Status(status)) => Err(TransitionError::Rerouted(status.to_string())),
            Err(Unfit::OtherCommand(command)) => Err(TransitionError::Rerouted(command)),
            Err(Unfit::Transition(error)) => Err(error),
        }
    }
}

/// The `what` of an encoded command.
fn what(command: &EncodedCommand) -> &str {
    let json = command.payload().as_str();
    json.strip_prefix(r#"{"what":""#)
        .and_then(|rest| rest.strip_suffix(r#""}"#))
        .unwrap()
}

/// Runs the lines of a table one after the other on one instance.
#[track_caller]
fn check(table: &str) -> Run {
    let mut run = Run::default();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (input, expected) = line.split_once("=>").unwrap();
        let input = words(input).join(" ");
        let expected = words(expected).join(" ");
        assert_eq!(run.step(&input), expected, "after `{input}` in:\n{table}");
    }
    run
}

#[test]
fn routes_say_who_may_start_and_who_must_be_there() {
    check("ignore => unasked none");
    check("start  => . running\n start  => . running");
    check("start! => . running\n start! => error: instance k has started already");
    check("go     => unasked none\n stop => unasked none");
    check("go!    => error: there is no instance k");
    check("start  => . running\n go => . running\n go! => . running\n stop => . completed");
    check("nowhere => error: the saga panicked while routing");
}

#[test]
fn an_ended_instance_is_still_there() {
    check(
        "
        start! complete => . completed
        start!          => error: instance k has started already
        start a         => . completed
        go a            => . completed
        go! a           => . completed
        stop a          => . completed
        ok a            => unasked completed
        ",
    );
}

#[test]
fn compensating_settles_first_and_then_undoes_in_reverse_one_at_a_time() {
    check(
        "
        start a/-a b/-b +-c => a b     running
        go compensate       => .       compensating
        ok a                => unasked compensating
        ok b                => -c      compensating
        ok -c               => -b      compensating
        ok -b               => -a      compensating
        ok -a               => unasked compensated
        ",
    );
}

#[test]
fn compensating_with_nothing_under_way_begins_at_once() {
    check("start a/-a => a running\n ok a => . running\n go compensate => -a compensating");
    check("start compensate => . compensated");
    check("start +-a compensate => -a compensating\n ok -a => unasked compensated");
}

#[test]
fn what_is_sent_with_the_decision_to_compensate_is_settled_and_undone_too() {
    check(
        "
        start compensate a/-a => a       compensating
        gave-up a             => -a      compensating
        ok -a                 => unasked compensated
        ",
    );
}

#[test]
fn only_a_rejected_action_takes_its_compensations_off() {
    // Rejected: known not to have run.
    check(
        "
        start a/-a b/-b/--b        => a b      running
        ok a                       => .        running
        rejected b compensate      => -a       compensating
        ok -a                      => unasked  compensated
        ",
    );
    // Gave up: it may have run.
    check(
        "
        start a/-a b/-b/--b        => a b      running
        ok a                       => .        running
        gave-up b compensate       => --b      compensating
        ok --b                     => -b       compensating
        ok -b                      => -a       compensating
        ok -a                      => unasked  compensated
        ",
    );
    // Also when the outcome comes while it is being settled.
    check(
        "
        start a/-a b/-b            => a b      running
        go compensate              => .        compensating
        rejected b                 => unasked  compensating
        gave-up a                  => -a       compensating
        ok -a                      => unasked  compensated
        ",
    );
}

#[test]
fn while_it_compensates_the_saga_is_not_asked() {
    let run = check(
        "
        start a/-a compensate => a       compensating
        go b                  => unasked compensating
        stop                  => unasked compensating
        ok a c                => -a      compensating
        go b                  => unasked compensating
        ok -a                 => unasked compensated
        ",
    );
    assert_eq!(run.instance.as_ref().unwrap().state.reactions, 1);
}

#[test]
fn a_late_success_after_the_decision_to_compensate_is_undone() {
    // The time-out compensates, then the payment goes through after all.
    check(
        "
        start charge/refund => charge  running
        go compensate       => .       compensating
        ok charge           => refund  compensating
        ok refund           => unasked compensated
        ",
    );
}

#[test]
fn an_outcome_counts_once() {
    check(
        "
        start a/-a         => a        running
        rejected a         => .        running
        rejected a b       => unasked  running
        gave-up a b        => unasked  running
        go compensate      => .        compensated
        ",
    );
    check(
        "
        start a/-a b/-b    => a b      running
        ok a               => .        running
        ok a               => unasked  running
        go compensate      => .        compensating
        ok a               => unasked  compensating
        ok b               => -b       compensating
        ok b               => unasked  compensating
        ok -b              => -a       compensating
        ok -b              => unasked  compensating
        ok -a              => unasked  compensated
        ok -a              => unasked  compensated
        ",
    );
}

#[test]
fn an_outcome_of_what_was_never_sent_or_of_no_instance_is_ignored() {
    check("start a => a running\n ok z => unasked running\n ok a => . running");
    check("ok a => unasked none");
}

#[test]
fn a_compensation_that_does_not_succeed_leaves_the_instance_stuck_with_what_is_to_be_undone() {
    for word in ["rejected", "gave-up"] {
        let run = check(&format!(
            "
            start a/-a b/-b c/-c   => a b c    running
            ok a                   => .        running
            ok b                   => .        running
            ok c compensate        => -c       compensating
            ok -c                  => -b       compensating
            {word} -b              => unasked  stuck
            ok -b                  => unasked  stuck
            go a                   => unasked  stuck
            start a                => unasked  stuck
            "
        ));
        let instance = run.instance.as_ref().unwrap();
        let left: Vec<_> = instance
            .undo
            .iter()
            .map(|undo| undo.payload.as_str())
            .collect();
        assert_eq!(left, [r#"{"what":"-a"}"#, r#"{"what":"-b"}"#]);
        let why = &*instance.stuck.as_ref().unwrap().why;
        assert!(why.starts_with("compensation do failed: "), "{why}");
    }
}

#[test]
fn completing_waits_for_what_is_under_way_and_may_still_compensate() {
    check(
        "
        start a complete   => a        running
        go b               => unasked  running
        ok a               => .        completed
        ",
    );
    check(
        "
        start a/-a b complete      => a b      running
        ok a                       => .        running
        gave-up b compensate       => -a       compensating
        ok -a                      => unasked  compensated
        ",
    );
    check("start a => a running\n stop => . running\n ok a => . completed");
    check("start a => a running\n stop b => b running\n ok b => . running\n ok a => . completed");
}

#[test]
fn an_error_leaves_no_command_and_names_the_instance() {
    check("start panic => error: the saga panicked in instance k");
    check("start unencodable => error: an output of instance k can't be encoded");
    check("start a/unencodable => error: an output of instance k can't be encoded");
    check("start a => a running\n ok a panic => error: the saga panicked in instance k");
}

#[test]
fn ids_are_those_of_the_step_however_often_it_is_worked_out() {
    let table = "
        start a/-a b/-b    => a b      running
        ok a               => .        running
        ok b compensate    => -b       compensating
        ok -b              => -a       compensating
        ok -a              => unasked  compensated
        ";
    let (once, again) = (check(table).sent, check(table).sent);
    assert_eq!(once, again);
    let number = |n: &str| CommandId::stable(["parrot", "k", n]);
    let ids: Vec<_> = once.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, ["1", "2", "3", "4"].map(number));
}

#[test]
fn a_step_goes_on_from_what_was_stored() {
    // Stored and read between any two steps, the run is the same.
    let inputs = [
        "start a/-a b/-b",
        "gave-up a compensate",
        "ok b",
        "ok -b",
        "ok -a",
    ];
    let mut straight = Run::default();
    let mut stored = Run::default();
    for input in inputs {
        assert_eq!(straight.step(input), stored.step(input));
        let json = serde_json::to_string(&stored.instance).unwrap();
        stored.instance = serde_json::from_str(&json).unwrap();
    }
    assert_eq!(straight.sent, stored.sent);
    assert_eq!(stored.instance.unwrap().status, ProcessStatus::Compensated);
}

#[test]
fn what_changes_nothing_is_told_if_an_instance_is_there() {
    let mut run = check("start a complete => a running\n ok a => . completed");
    let told = |run: &mut Run, input: &str| {
        run.step(input);
        run.history.len()
    };
    assert_eq!(told(&mut run, "ignore"), 0);
    // The input, and what came of it.
    assert_eq!(told(&mut run, "ok a"), 2);
    assert_eq!(told(&mut run, "go b"), 2);
    let mut nobody = Run::default();
    assert_eq!(told(&mut nobody, "go b"), 0);
}

#[test]
fn the_history_tells_input_decision_and_effects() {
    let mut run = check("start a/-a @x => a +x running");
    let told: Vec<String> = run.history.iter().map(name_of).collect();
    assert_eq!(told, ["event", "status", "decided", "sent", "timeout_set"]);
    let Some(HistoryEntry::Decided { outputs }) = run.history.get(2) else {
        panic!("{:?}", run.history);
    };
    assert_eq!(outputs, &["send do, undone by do", r#"after 60s: "x""#]);
    run.step("fire x compensate");
    let told: Vec<String> = run.history.iter().map(name_of).collect();
    assert_eq!(told, ["timeout", "decided", "status"]);
    run.step("ok a");
    let told: Vec<String> = run.history.iter().map(name_of).collect();
    assert_eq!(told, ["outcome", "passed_over", "sent"]);
    for entry in &run.history {
        let json = serde_json::to_string(entry).unwrap();
        assert_eq!(serde_json::from_str::<HistoryEntry>(&json).unwrap(), *entry);
    }
}

/// The stored name of an entry.
fn name_of(entry: &HistoryEntry) -> String {
    match serde_json::to_value(entry).unwrap() {
        serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
        serde_json::Value::String(name) => name,
        other => panic!("{other}"),
    }
}

#[test]
fn the_stored_form_is_what_it_was() {
    let run = check("start a/-a @x >mail => a +x mail running");
    let json = serde_json::to_string(&run.instance).unwrap();
    let id = CommandId::stable(["parrot", "k", "1"]);
    let timer = CommandId::stable(["parrot", "k", "timeout", "1"]);
    let expected = format!(
        concat!(
            r#"{{"version":1,"status":"running","state":{{"reactions":1,"to_outcome":[]}},"sent":1,"#,
            r#""in_flight":[{{"id":"{id}","command":"do"}}],"#,
            r#""undo":[{{"action":"{id}","command":"do","payload":"{{\"what\":\"-a\"}}"}}],"#,
            r#""timers":[{{"id":"{timer}","timeout":"\"x\""}}],"timers_set":1,"messages":1}}"#
        ),
        id = id,
        timer = timer,
    );
    assert_eq!(json, expected);
}
