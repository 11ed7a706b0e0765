//! A trip: flight, hotel and car, all or none. What is booked is cancelled in reverse when something is not to be had, and
//! what can't be cancelled waits for a person.
//!
//! ```text
//! TripAsked ──► BookFlight ──► BookHotel ──► RentCar ──► done
//!                                               │ rejected
//!                 CancelFlight ◄── CancelHotel ◄┘
//!                      │                │ gave up: stuck, until a person says `retry`
//!                      ▼                ▼
//!                    undone
//! ```

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use uno::{prelude::*, saga::Intervention};

use crate::{
    hours,
    service::Service,
    stage::{Stage, Story},
    world::World,
};

// What happens.

impl Story for Trip {
    async fn tell<B: Backend>(stage: &Stage<'_, Self, B>) -> anyhow::Result<()> {
        let to = |trip, town: &str| AskForTrip {
            trip,
            town: town.to_owned(),
        };
        stage
            .command("Ada wants to go to Oslo", to(1, "Oslo"))
            .await?;
        stage
            .take_down(
                "the hotels' lines are cut, for cancellations",
                "cancel hotel",
            )
            .await?;
        stage
            .command(
                "Bob wants to go to Rome, where there are no cars",
                to(2, "Rome"),
            )
            .await?;
        stage.pass("an hour later it is still so", hours(1)).await?;
        stage.bring_up("the hotels answer again").await?;
        let why = Intervention::new("Grace", "the hotels answer again");
        stage
            .retry(
                "Grace at the desk sees the trip that is stuck",
                &key(2),
                &why,
            )
            .await?;
        Ok(())
    }

    fn wire<B: Backend>(app: UnoBuilder<B>, world: &World) -> UnoBuilder<B> {
        let ledger = &world.ledger;
        app.command::<AskForTrip>(Desk)
            .command::<BookFlight>(Service::does(ledger, |book: &BookFlight| flight(book.trip)))
            .command::<BookHotel>(Service::does(ledger, |book: &BookHotel| hotel(book.trip)))
            .command::<RentCar>(Service::may(ledger, |rent: &RentCar| match &*rent.town {
                "Rome" => Err(CommandError::rejected("there are no cars left")),
                _ => Ok(format!("rent car for trip {}", rent.trip)),
            }))
            .command::<CancelHotel>(Service::undoes(ledger, |cancel: &CancelHotel| {
                (
                    hotel(cancel.trip),
                    format!("cancel hotel of trip {}", cancel.trip),
                )
            }))
            .command::<CancelFlight>(Service::undoes(ledger, |cancel: &CancelFlight| {
                (
                    flight(cancel.trip),
                    format!("cancel flight of trip {}", cancel.trip),
                )
            }))
    }
}

// The saga.

/// What an instance must remember from one step to the next. Stored format: version with care.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub struct Trip {
    trip: u32,
    town: String,
}

/// What it sends.
#[derive(CommandSet, Clone, Debug, PartialEq)]
pub enum Step {
    BookFlight(BookFlight),
    CancelFlight(CancelFlight),
    BookHotel(BookHotel),
    CancelHotel(CancelHotel),
    RentCar(RentCar),
}

impl Saga for Trip {
    const NAME: &'static str = "trip";
    type Event = TripAsked;
    type Command = Step;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<TripAsked>) -> Route {
        Route::StartStrict(key(event.event().trip))
    }

    fn react(&mut self, input: Input<'_, TripAsked>) -> Outputs<Step> {
        let trip = self.trip;
        match input {
            Input::Event(event) => self.asked(event.event()),
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            Input::Outcome(outcome) if outcome.is_of::<BookFlight>() => {
                Outputs::send(BookHotel { trip }).undo(CancelHotel { trip })
            }
            Input::Outcome(outcome) if outcome.is_of::<BookHotel>() => {
                let town = self.town.clone();
                // The last one: nothing comes after it for which it would have to be undone.
                Outputs::send(RentCar { trip, town })
            }
            Input::Outcome(outcome) if outcome.is_of::<RentCar>() => Outputs::complete(),
            _ => Outputs::none(),
        }
    }
}

impl Trip {
    fn asked(&mut self, asked: &TripAsked) -> Outputs<Step> {
        let trip = asked.trip;
        (self.trip, self.town) = (trip, asked.town.clone());
        Outputs::send(BookFlight { trip }).undo(CancelFlight { trip })
    }
}

fn key(trip: u32) -> String {
    format!("trip {trip}")
}

// The domain.

/// Somebody wants to go somewhere.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct AskForTrip {
    pub trip: u32,
    pub town: String,
}

/// And has said so. Stored format: version with care.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct TripAsked {
    pub trip: u32,
    pub town: String,
}

/// Take a seat.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BookFlight {
    pub trip: u32,
}

/// Give it back, if there is one.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CancelFlight {
    pub trip: u32,
}

/// Take a room.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BookHotel {
    pub trip: u32,
}

/// Give it back, if there is one.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CancelHotel {
    pub trip: u32,
}

/// Take a car, if there is one in town.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RentCar {
    pub trip: u32,
    pub town: String,
}

/// What somebody wants.
#[derive(Default, Debug)]
struct Wish {
    asked: bool,
}

impl Aggregate for Wish {
    const CATEGORY: &'static str = "trip";
    type Id = u32;
    type Event = TripAsked;

    fn apply(&mut self, _: &TripAsked) {
        self.asked = true;
    }
}

impl Wish {
    /// A trip that was asked for already is the same command, given again.
    fn ask(&self, command: &AskForTrip) -> Option<TripAsked> {
        (!self.asked).then(|| TripAsked {
            trip: command.trip,
            town: command.town.clone(),
        })
    }
}

struct Desk;

impl<B: Backend> CommandHandler<AskForTrip, B> for Desk {
    async fn handle(
        &self,
        command: &AskForTrip,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut wish = uow.load_or_new::<Wish>(&command.trip).await?;
        wish.record_with(|wish| wish.ask(command));
        Ok(())
    }
}

fn flight(trip: u32) -> String {
    format!("book flight for trip {trip}")
}

fn hotel(trip: u32) -> String {
    format!("book hotel for trip {trip}")
}
