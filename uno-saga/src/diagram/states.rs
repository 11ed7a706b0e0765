//! [`of_states`]: what a saga may come to, found out by asking it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Write as _,
};

use serde_json::json;
use uno_core::{Envelope, Metadata, Payload, ProcessStatus};
use uno_cqrs::{CommandOutcome, Verdict};

use super::text::text;
use crate::{
    Route, Saga, TransitionError,
    engine::{self, Incoming, Transition},
    instance::Instance,
};

/// The states that one instance of a saga may come to, as a state diagram: from nothing on, by these events, every outcome
/// (succeeded, rejected, gave up) of every command under way, and every timeout that is pending, in any order.
///
/// It is asked breadth first, and two states are one when the saga's own state, the commands under way, those to
/// undo and the timeouts are the same. Beyond `most` states the rest is drawn as one. All events are taken for those of one
/// instance, the key of the first that has one. Inputs that change nothing are not drawn; those that would park the instance lead
/// to a state of their own.
///
/// # Errors
/// When an event can't be routed.
pub fn of_states<S: Saga>(
    events: &[Envelope<S::Event>],
    most: usize,
) -> Result<String, TransitionError> {
    let routes = events.iter().map(engine::route::<S>);
    let routes: Vec<Route> = routes.collect::<Result<_, _>>()?;
    let key = routes.iter().find_map(Route::key);
    let key = key.unwrap_or_default().to_owned();
    let named = names(events).into_iter().zip(routes.iter().zip(events));
    let sample = |(name, (route, event))| Sample { name, route, event };
    let mut explorer = Explorer::<S> {
        key,
        samples: named.map(sample).collect(),
        most,
        places: HashMap::new(),
        open: VecDeque::new(),
        states: String::new(),
        arrows: String::new(),
        drawn: HashSet::new(),
        ends: [false; 2],
        ended: Vec::new(),
    };
    explorer.explore();
    Ok(explorer.diagram())
}

/// The names of the events, with numbers where there are several of one name.
fn names<E>(events: &[Envelope<E>]) -> Vec<String> {
    let name = |event: &Envelope<E>| event.record().name().to_string();
    let all: Vec<_> = events.iter().map(name).collect();
    let numbered = all.iter().enumerate().map(|(place, name)| {
        let same = |names: &[String]| names.iter().filter(|other| *other == name).count();
        match same(&all) {
            1 => name.clone(),
            _ => format!("{name} {}", same(&all[..=place])),
        }
    });
    numbered.collect()
}

/// An event that may come.
struct Sample<'a, E> {
    name: String,
    route: &'a Route,
    event: &'a Envelope<E>,
}

struct Explorer<'a, S: Saga> {
    key: String,
    samples: Vec<Sample<'a, S::Event>>,
    most: usize,
    /// The numbers of the states that were found.
    places: HashMap<String, usize>,
    open: VecDeque<(String, Option<Instance<S>>)>,
    states: String,
    arrows: String,
    drawn: HashSet<String>,
    /// Whether something is parked, and whether there is more.
    ends: [bool; 2],
    /// Those from which nothing follows by itself.
    ended: Vec<String>,
}

impl<S: Saga> Explorer<'_, S> {
    fn explore(&mut self) {
        self.open.push_back(("[*]".to_owned(), None));
        while let Some((id, instance)) = self.open.pop_front() {
            let mut tried = Vec::new();
            for Sample { name, route, event } in &self.samples {
                let input = Incoming::Event { route, event };
                tried.push((name.clone(), self.ask(&instance, &input)));
            }
            for (named, outcome) in instance.iter().flat_map(outcomes) {
                tried.push((named, self.ask(&instance, &Incoming::Outcome(&outcome))));
            }
            for timer in instance.iter().flat_map(|instance| &instance.timers) {
                let payload = Payload::from_stored(timer.timeout.clone());
                let input = Incoming::Timeout {
                    id: timer.id,
                    due_at: chrono::DateTime::UNIX_EPOCH,
                    payload: &payload,
                };
                let named = format!("timeout {}", timer.timeout);
                tried.push((named, self.ask(&instance, &input)));
            }
            for (named, came) in tried {
                self.arrow(&id, instance.as_ref(), named, came);
            }
        }
    }

    fn ask(
        &self,
        instance: &Option<Instance<S>>,
        input: &Incoming<'_, S>,
    ) -> Result<(Option<Instance<S>>, Transition<S>), TransitionError> {
        let mut next = instance.clone();
        let step = engine::step(&self.key, &mut next, input, &Metadata::new())?;
        Ok((next, step))
    }

    fn arrow(
        &mut self,
        from: &str,
        before: Option<&Instance<S>>,
        named: String,
        came: Result<(Option<Instance<S>>, Transition<S>), TransitionError>,
    ) {
        let mut label = vec![named];
        let to = match came {
            Err(error) => {
                label.push(error.to_string());
                self.ends[0] = true;
                "parked".to_owned()
            }
            Ok((Some(next), step)) => {
                let sent = step.sent.iter().map(|sent| sent.command.name().as_str());
                let sent: Vec<_> = sent.collect();
                let messages = step.messages.iter().map(|message| &*message.name);
                let messages: Vec<_> = messages.collect();
                let same = before.is_some_and(|before| told_apart(before) == told_apart(&next));
                if same && sent.is_empty() && messages.is_empty() {
                    return;
                }
                for (what, names) in [("sends", sent), ("tells", messages)] {
                    if !names.is_empty() {
                        label.push(format!("{what} {}", names.join(", ")));
                    }
                }
                self.place(next)
            }
            Ok((None, _)) => return,
        };
        let label: Vec<_> = label.iter().map(|line| text(line)).collect();
        let line = format!("    {from} --> {to} : {}\n", label.join("<br/>"));
        // Two commands of one name may lead to the same.
        if self.drawn.insert(line.clone()) {
            self.arrows += &line;
        }
    }

    /// The name of a state, which is explored later if it is a new one.
    fn place(&mut self, instance: Instance<S>) -> String {
        let told = told_apart(&instance);
        if let Some(place) = self.places.get(&told) {
            return format!("s{place}");
        }
        let place = self.places.len();
        if place >= self.most {
            self.ends[1] = true;
            return "more".to_owned();
        }
        self.places.insert(told, place);
        let id = format!("s{place}");
        let lines: Vec<_> = lines(&instance).iter().map(|line| text(line)).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            self.states,
            r#"    state "{}" as {id}"#,
            lines.join("<br/>")
        );
        if instance.status.is_ended() {
            self.ended.push(id.clone());
        }
        self.open.push_back((id.clone(), Some(instance)));
        id
    }

    fn diagram(self) -> String {
        let mut diagram = "stateDiagram-v2\n".to_owned();
        diagram += &self.states;
        if self.ends[0] {
            diagram += "    state \"parked\" as parked\n";
        }
        if self.ends[1] {
            let _ = writeln!(
                diagram,
                r#"    state "more than {} states" as more"#,
                self.most
            );
        }
        diagram += &self.arrows;
        for id in &self.ended {
            let _ = writeln!(diagram, "    {id} --> [*]");
        }
        diagram
    }
}

/// The outcomes that may come.
fn outcomes<S>(instance: &Instance<S>) -> Vec<(String, CommandOutcome)> {
    let in_flight = instance.in_flight.iter();
    let in_flight = in_flight.map(|command| (command.id, command.command.clone()));
    let undoing = instance.undoing.zip(instance.undo.last());
    let undoing = undoing.map(|(id, undo)| (id, undo.command.clone()));
    let verdicts = [
        ("succeeded", Verdict::Succeeded),
        ("rejected", Verdict::Rejected("for a reason".to_owned())),
        ("gave up", Verdict::GaveUp("for a reason".to_owned())),
    ];
    let each = in_flight.chain(undoing).flat_map(|(id, name)| {
        verdicts.clone().map(move |(word, verdict)| {
            let named = format!("{name} {word}");
            (named, CommandOutcome::new(id, name.clone(), verdict))
        })
    });
    each.collect()
}

/// What two states differ by.
fn told_apart<S: Saga>(instance: &Instance<S>) -> String {
    let mut in_flight: Vec<_> = instance
        .in_flight
        .iter()
        .map(|sent| &sent.command)
        .collect();
    in_flight.sort();
    let undo: Vec<_> = instance.undo.iter().map(|undo| &undo.command).collect();
    let mut timers: Vec<_> = instance.timers.iter().map(|timer| &timer.timeout).collect();
    timers.sort();
    let what = json!([
        instance.status.as_str(),
        state(instance),
        in_flight,
        undo,
        instance.undoing.is_some(),
        instance.completing,
        timers,
    ]);
    what.to_string()
}

fn state<S: Saga>(instance: &Instance<S>) -> String {
    // One that can't be encoded is an error of the engine before it comes here.
    serde_json::to_string(&instance.state).unwrap_or_default()
}

/// What is said of a state.
fn lines<S: Saga>(instance: &Instance<S>) -> Vec<String> {
    let mut lines = vec![instance.status.to_string()];
    if instance.completing && instance.status == ProcessStatus::Running {
        lines.push("is complete but for outcomes".to_owned());
    }
    let mut say = |word: &str, names: Vec<&str>| {
        if !names.is_empty() {
            lines.push(format!("{word} {}", names.join(", ")));
        }
    };
    let in_flight = instance.in_flight.iter().map(|sent| &*sent.command);
    say("under way:", in_flight.collect());
    let undoing = instance.undoing.and(instance.undo.last());
    say(
        "undoes by",
        undoing.iter().map(|undo| &*undo.command).collect(),
    );
    let undo = instance.undo.iter().map(|undo| &*undo.command);
    say("to undo:", undo.collect());
    let timers = instance.timers.iter().map(|timer| &*timer.timeout);
    say("timeouts:", timers.collect());
    lines.push(state(instance));
    lines
}
