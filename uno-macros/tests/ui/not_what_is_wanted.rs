//! What the traits say of types that do not implement them.

use serde::{Deserialize, Serialize};
use uno_core::{Command, Event, EventSet};
use uno_domain::{Aggregate, AggregateRoot};

#[derive(Event, Serialize, Deserialize)]
struct DoorOpened {}

#[derive(Event, Serialize, Deserialize)]
struct WindowOpened {}

#[derive(EventSet)]
enum DoorEvent {
    Opened(DoorOpened),
}

#[derive(Default)]
struct Door {}

impl Aggregate for Door {
    const CATEGORY: &'static str = "door";
    type Id = u32;
    type Event = DoorEvent;
    fn apply(&mut self, _: &DoorEvent) {}
}

fn event<E: Event>() {}
fn event_set<S: EventSet>() {}
fn command<C: Command>() {}
fn aggregate<A: Aggregate>() {}

fn main() {
    event::<Door>();
    event_set::<Door>();
    command::<Door>();
    aggregate::<DoorEvent>();
    let mut door = AggregateRoot::<Door>::new(1);
    let _ = door.decide(|_| Ok::<_, ()>(WindowOpened {}));
}
