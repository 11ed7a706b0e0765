//! Fulfilment: charge, allocate, ship. When one of them is refused, those before it are undone in reverse.
//!
//! ```text
//! OrderPlaced ──► Charge ──► Allocate ──► Ship ──► done
//!                   │           │           │
//!                   ▼           ▼           ▼  refused
//!                 done ◄─── Refund ◄─── Release
//! ```

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    service::Service,
    stage::{Stage, Story},
    world::World,
};

// What happens.

impl Story for Fulfilment {
    async fn tell<B: Backend>(stage: &Stage<'_, Self, B>) -> anyhow::Result<()> {
        let order = |order, cents, street: &str| PlaceOrder {
            order,
            cents,
            street: street.to_owned(),
        };
        stage
            .command(
                "Ada orders, and all goes well",
                order(1, 4_200, "Elm Street"),
            )
            .await?;
        stage
            .command(
                "Bob orders, and his bank declines",
                order(2, 99_900, "Oak Street"),
            )
            .await?;
        stage
            .command("Cyd orders, and nobody finds her street", order(3, 700, ""))
            .await?;
        Ok(())
    }

    fn wire<B: Backend>(app: UnoBuilder<B>, world: &World) -> UnoBuilder<B> {
        let ledger = &world.ledger;
        app.command::<PlaceOrder>(Shop)
            .command::<Charge>(Service::may(ledger, |charge: &Charge| match charge.cents {
                0..50_000 => Ok(charged(charge.order)),
                _ => Err(CommandError::rejected(
                    "it is more than the limit of the card",
                )),
            }))
            .command::<Refund>(Service::undoes(ledger, |refund: &Refund| {
                (
                    charged(refund.order),
                    format!("refund order {}", refund.order),
                )
            }))
            .command::<Allocate>(Service::does(ledger, |allocate: &Allocate| {
                allocated(allocate.order)
            }))
            .command::<Release>(Service::undoes(ledger, |release: &Release| {
                (
                    allocated(release.order),
                    format!("release order {}", release.order),
                )
            }))
            .command::<Ship>(Service::may(ledger, |ship: &Ship| match &*ship.street {
                "" => Err(CommandError::rejected("there is no such street")),
                street => Ok(format!("ship order {} to {street}", ship.order)),
            }))
    }
}

// The saga.

/// What an instance must remember from one step to the next. Stored format: version with care.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub struct Fulfilment {
    order: u32,
    street: String,
}

/// What it sends.
#[derive(CommandSet, Clone, Debug, PartialEq)]
pub enum Step {
    Charge(Charge),
    Refund(Refund),
    Allocate(Allocate),
    Release(Release),
    Ship(Ship),
}

impl Saga for Fulfilment {
    const NAME: &'static str = "fulfilment";
    type Event = OrderPlaced;
    type Command = Step;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<OrderPlaced>) -> Route {
        Route::StartStrict(format!("order {}", event.event().order))
    }

    fn react(&mut self, input: Input<'_, OrderPlaced>) -> Outputs<Step> {
        match input {
            Input::Event(event) => self.placed(event.event()),
            // Only an action that was refused is known to have had no effect; whatever else was sent is undone.
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            Input::Outcome(outcome) if outcome.is_of::<Charge>() => {
                let order = self.order;
                Outputs::send(Allocate { order }).undo(Release { order })
            }
            Input::Outcome(outcome) if outcome.is_of::<Allocate>() => Outputs::send(Ship {
                order: self.order,
                street: self.street.clone(),
            }),
            Input::Outcome(outcome) if outcome.is_of::<Ship>() => Outputs::complete(),
            _ => Outputs::none(),
        }
    }
}

impl Fulfilment {
    fn placed(&mut self, placed: &OrderPlaced) -> Outputs<Step> {
        let OrderPlaced { order, cents, .. } = *placed;
        (self.order, self.street) = (order, placed.street.clone());
        // The refund is registered when the charge is sent, since from then on the money may have moved.
        Outputs::send(Charge { order, cents }).undo(Refund { order })
    }
}

// The domain.

/// A customer wants something.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PlaceOrder {
    pub order: u32,
    pub cents: u32,
    pub street: String,
}

/// And has ordered it. Stored format: version with care.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderPlaced {
    pub order: u32,
    pub cents: u32,
    pub street: String,
}

/// Take the money.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Charge {
    pub order: u32,
    pub cents: u32,
}

/// Give it back, if it was taken.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Refund {
    pub order: u32,
}

/// Set the goods aside.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Allocate {
    pub order: u32,
}

/// Put them back, if they were set aside.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Release {
    pub order: u32,
}

/// Hand them to the carrier.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Ship {
    pub order: u32,
    pub street: String,
}

/// An order of the shop.
#[derive(Default, Debug)]
struct Order {
    placed: bool,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = u32;
    type Event = OrderPlaced;

    fn apply(&mut self, _: &OrderPlaced) {
        self.placed = true;
    }
}

impl Order {
    /// An order that is placed already is the same command, given again.
    fn place(&self, command: &PlaceOrder) -> Option<OrderPlaced> {
        (!self.placed).then(|| OrderPlaced {
            order: command.order,
            cents: command.cents,
            street: command.street.clone(),
        })
    }
}

struct Shop;

impl<B: Backend> CommandHandler<PlaceOrder, B> for Shop {
    async fn handle(
        &self,
        command: &PlaceOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load_or_new::<Order>(&command.order).await?;
        order.record_with(|order| order.place(command));
        Ok(())
    }
}

fn charged(order: u32) -> String {
    format!("charge order {order}")
}

fn allocated(order: u32) -> String {
    format!("allocate order {order}")
}
