//! Everything under one name, on the embedded store.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

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

#[derive(Command, Serialize, Deserialize)]
struct OpenDoor {
    door: u32,
}

struct Doors;

impl<B: Backend> CommandHandler<OpenDoor, B> for Doors {
    async fn handle(&self, command: &OpenDoor, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let mut door = uow.load_or_new::<Door>(&command.door).await?;
        if door.state().open {
            return Err(CommandError::rejected("the door is open"));
        }
        door.record(DoorOpened {});
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("uno-consumer-{}.db", std::process::id()));
    let uno = Uno::builder(Arc::new(uno::SqliteStore::open(&file).await?)).command::<OpenDoor>(Doors).build()?;
    uno.migrate().await?;
    let app = uno.start().await?;
    app.execute(OpenDoor { door: 7 }).await?;
    let refused = app.execute(OpenDoor { door: 7 }).await;
    assert!(refused.is_err_and(|error| error.is_rejection()));
    app.stop().await;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    println!("ok");
    Ok(())
}
