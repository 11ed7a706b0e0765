//! Deciders, over a history and as aggregates.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventId, EventSet};
use uno_domain::{
    AggregateDecider, AggregateRoot, Decider, DeciderAggregate, DeciderExt, Snapshots, ensure,
};

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct SeatTaken {
    seat: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct HouseFull {}

#[derive(EventSet, Clone, Debug, PartialEq)]
enum HallEvent {
    Taken(SeatTaken),
    Full(HouseFull),
}

#[derive(Default, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Seats {
    taken: Vec<u32>,
    full: bool,
}

struct TakeSeat {
    seat: u32,
}

/// A hall with two seats.
enum Hall {}

impl Decider for Hall {
    type Command = TakeSeat;
    type State = Seats;
    type Event = HallEvent;
    type Error = &'static str;

    fn decide(seats: &Seats, command: &TakeSeat) -> Result<Vec<HallEvent>, &'static str> {
        ensure!(!seats.full, "full");
        ensure!(!seats.taken.contains(&command.seat), "taken");
        let mut events = vec![SeatTaken { seat: command.seat }.into()];
        if seats.taken.len() == 1 {
            events.push(HouseFull {}.into());
        }
        Ok(events)
    }

    fn evolve(seats: &mut Seats, event: &HallEvent) {
        match event {
            HallEvent::Taken(taken) => seats.taken.push(taken.seat),
            HallEvent::Full(_) => seats.full = true,
        }
    }
}

impl AggregateDecider for Hall {
    const CATEGORY: &'static str = "hall";
    type Id = u32;

    fn snapshots() -> Option<Snapshots<DeciderAggregate<Self>>> {
        Some(Snapshots::every(10))
    }
}

#[test]
fn it_decides_over_a_history() {
    let history = [SeatTaken { seat: 1 }.into()];
    assert_eq!(
        Hall::run(&history, &TakeSeat { seat: 2 }),
        Ok(vec![SeatTaken { seat: 2 }.into(), HouseFull {}.into()])
    );
    assert_eq!(Hall::run(&history, &TakeSeat { seat: 1 }), Err("taken"));
    assert_eq!(
        Hall::state_after(&history),
        Seats {
            taken: vec![1],
            full: false
        }
    );
}

#[test]
fn as_an_aggregate_it_decides_the_same() {
    let mut hall = AggregateRoot::<DeciderAggregate<Hall>>::new(1);
    let mut history = Vec::new();
    for seat in [1, 1, 2, 3] {
        let outcome = Hall::run(&history, &TakeSeat { seat });
        assert_eq!(
            hall.execute(&TakeSeat { seat }),
            outcome.clone().map(|_| ())
        );
        history.extend(outcome.unwrap_or_default());
        assert_eq!(hall.uncommitted(), history);
        assert_eq!(**hall.state(), Hall::state_after(&history));
    }
    assert_eq!(hall.version().get(), 3);
}

#[test]
fn its_snapshot_is_that_of_its_state() {
    let mut hall = AggregateRoot::<DeciderAggregate<Hall>>::new(1);
    hall.execute(&TakeSeat { seat: 4 }).unwrap();
    let snapshot = hall.create_snapshot(EventId::new()).unwrap().unwrap();
    assert_eq!(snapshot.body().as_str(), r#"{"taken":[4],"full":false}"#);

    let loaded = AggregateRoot::<DeciderAggregate<Hall>>::from_snapshot(1, &snapshot).unwrap();
    assert_eq!(loaded.state(), hall.state());
}
