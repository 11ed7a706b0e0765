//! Domain code that knows no runtime and no database.

use serde::{Deserialize, Serialize};
use uno_core::Event;
use uno_domain::{Aggregate, AggregateRoot};

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct DoorOpened {}

#[derive(Default)]
struct Door {
    open: bool,
}

impl Aggregate for Door {
    const CATEGORY: &'static str = "door";
    type Id = u32;
    type Event = DoorOpened;

    fn apply(&mut self, _: &DoorOpened) {
        self.open = true;
    }
}

impl Door {
    fn open(&self) -> Result<DoorOpened, &'static str> {
        if self.open { Err("the door is open") } else { Ok(DoorOpened {}) }
    }
}

fn main() {
    let mut door = AggregateRoot::<Door>::new(7);
    assert_eq!(door.decide(Door::open), Ok(()));
    assert_eq!(door.decide(Door::open), Err("the door is open"));
    assert_eq!(door.uncommitted(), [DoorOpened {}]);
    println!("ok");
}
