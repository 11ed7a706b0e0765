//! Dispatch: goods are picked and the invoice is written at the same time, by people who take as long as they take. When
//! both are done, in whichever order, the parcel goes out.
//!
//! ```text
//!                    ┌─► Pick ─────────► OrderPicked ───┐
//! OrderConfirmed ────┤ fork                        join ├──► Send ──► done
//!                    └─► WriteInvoice ─► OrderInvoiced ─┘
//! ```

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    minutes,
    service::Service,
    stage::{Stage, Story},
    world::World,
};

// What happens.

impl Story for Dispatch {
    async fn tell<B: Backend>(stage: &Stage<'_, Self, B>) -> anyhow::Result<()> {
        stage
            .command("Ada's order is confirmed", Confirm { order: 1 })
            .await?;
        stage
            .command("Bob's order is confirmed", Confirm { order: 2 })
            .await?;
        stage.pass("some minutes later", minutes(7)).await?;
        stage
            .command("Ada's goods are picked first", ReportPicked { order: 1 })
            .await?;
        stage
            .command(
                "Bob's invoice is written first",
                ReportInvoiced { order: 2 },
            )
            .await?;
        stage
            .command("and then Ada's invoice", ReportInvoiced { order: 1 })
            .await?;
        stage
            .command("and then Bob's goods", ReportPicked { order: 2 })
            .await?;
        stage
            .command("Cyd's order is confirmed", Confirm { order: 3 })
            .await?;
        stage
            .command("her goods are picked", ReportPicked { order: 3 })
            .await?;
        stage
            .command(
                "and nobody can write her an invoice",
                ReportNoInvoice { order: 3 },
            )
            .await?;
        Ok(())
    }

    fn wire<B: Backend>(app: UnoBuilder<B>, world: &World) -> UnoBuilder<B> {
        let ledger = &world.ledger;
        app.command::<Confirm>(Office)
            .command::<ReportPicked>(Office)
            .command::<ReportInvoiced>(Office)
            .command::<ReportNoInvoice>(Office)
            .command::<Pick>(Service::does(ledger, |pick: &Pick| picking(pick.order)))
            .command::<PutBack>(Service::undoes(ledger, |back: &PutBack| {
                (
                    picking(back.order),
                    format!("have the goods of order {} put back", back.order),
                )
            }))
            .command::<WriteInvoice>(Service::does(ledger, |write: &WriteInvoice| {
                writing(write.order)
            }))
            .command::<Withdraw>(Service::undoes(ledger, |withdraw: &Withdraw| {
                (
                    writing(withdraw.order),
                    format!("have the invoice of order {} withdrawn", withdraw.order),
                )
            }))
            .command::<Send>(Service::does(ledger, |send: &Send| {
                format!("send order {}", send.order)
            }))
    }
}

// The saga.

/// What an instance must remember from one step to the next. Stored format: version with care.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub struct Dispatch {
    order: u32,
    picked: bool,
    invoiced: bool,
}

/// What it sends.
#[derive(CommandSet, Clone, Debug, PartialEq)]
pub enum Step {
    Pick(Pick),
    PutBack(PutBack),
    WriteInvoice(WriteInvoice),
    Withdraw(Withdraw),
    Send(Send),
}

impl Saga for Dispatch {
    const NAME: &'static str = "dispatch";
    type Event = OrderEvent;
    type Command = Step;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<OrderEvent>) -> Route {
        match event.event() {
            OrderEvent::Confirmed(e) => Route::StartStrict(key(e.order)),
            OrderEvent::Picked(e) => Route::ContinueStrict(key(e.order)),
            OrderEvent::Invoiced(e) => Route::ContinueStrict(key(e.order)),
            OrderEvent::NotInvoiced(e) => Route::ContinueStrict(key(e.order)),
        }
    }

    fn react(&mut self, input: Input<'_, OrderEvent>) -> Outputs<Step> {
        match input {
            Input::Event(event) => match event.event() {
                OrderEvent::Confirmed(e) => self.fork(e.order),
                OrderEvent::Picked(_) => {
                    self.picked = true;
                    self.join()
                }
                OrderEvent::Invoiced(_) => {
                    self.invoiced = true;
                    self.join()
                }
                OrderEvent::NotInvoiced(_) => Outputs::compensate(),
            },
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            Input::Outcome(outcome) if outcome.is_of::<Send>() => Outputs::complete(),
            // That somebody was told to pick is not yet that it was picked.
            _ => Outputs::none(),
        }
    }
}

impl Dispatch {
    fn fork(&mut self, order: u32) -> Outputs<Step> {
        self.order = order;
        Outputs::send(Pick { order })
            .undo(PutBack { order })
            .and_send(WriteInvoice { order })
            .undo(Withdraw { order })
    }

    /// Whoever comes last finds the other one done. Inputs of one instance are handled one after the other, each on the state
    /// that the one before has left, so there is always exactly one who comes last.
    fn join(&self) -> Outputs<Step> {
        let order = self.order;
        if self.picked && self.invoiced {
            Outputs::send(Send { order })
        } else {
            Outputs::none()
        }
    }
}

fn key(order: u32) -> String {
    format!("order {order}")
}

// The domain.

/// The order is to be carried out.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Confirm {
    pub order: u32,
}

/// Have somebody pick the goods.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Pick {
    pub order: u32,
}

/// Have them put back, if somebody was told to pick them.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PutBack {
    pub order: u32,
}

/// Have somebody write the invoice.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct WriteInvoice {
    pub order: u32,
}

/// Have it withdrawn, if somebody was told to write it.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Withdraw {
    pub order: u32,
}

/// Send the parcel.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Send {
    pub order: u32,
}

/// The goods are picked.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ReportPicked {
    pub order: u32,
}

/// The invoice is written.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ReportInvoiced {
    pub order: u32,
}

/// There will be no invoice.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ReportNoInvoice {
    pub order: u32,
}

/// The order is to be carried out. Stored format: version with care, as the next three.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderConfirmed {
    pub order: u32,
}

/// The goods are picked.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderPicked {
    pub order: u32,
}

/// The invoice is written.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderInvoiced {
    pub order: u32,
}

/// There will be no invoice.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct InvoiceRefused {
    pub order: u32,
}

/// All that can happen to an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum OrderEvent {
    Confirmed(OrderConfirmed),
    Picked(OrderPicked),
    Invoiced(OrderInvoiced),
    NotInvoiced(InvoiceRefused),
}

#[derive(Default, Debug)]
struct Order {
    confirmed: bool,
    picked: bool,
    /// Whether there is an invoice, once that is known.
    invoiced: Option<bool>,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = u32;
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Confirmed(_) => self.confirmed = true,
            OrderEvent::Picked(_) => self.picked = true,
            OrderEvent::Invoiced(_) => self.invoiced = Some(true),
            OrderEvent::NotInvoiced(_) => self.invoiced = Some(false),
        }
    }
}

struct Office;

impl<B: Backend> CommandHandler<Confirm, B> for Office {
    async fn handle(&self, command: &Confirm, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let Confirm { order: id } = *command;
        let mut order = uow.load_or_new::<Order>(&id).await?;
        order.record_with(|order| (!order.confirmed).then_some(OrderConfirmed { order: id }));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ReportPicked, B> for Office {
    async fn handle(
        &self,
        command: &ReportPicked,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let ReportPicked { order: id } = *command;
        let mut order = uow.load::<Order>(&id).await?;
        order.record_with(|order| (!order.picked).then_some(OrderPicked { order: id }));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ReportInvoiced, B> for Office {
    async fn handle(
        &self,
        command: &ReportInvoiced,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let ReportInvoiced { order: id } = *command;
        let mut order = uow.load::<Order>(&id).await?;
        order.record_with(|order| {
            order
                .invoiced
                .is_none()
                .then_some(OrderInvoiced { order: id })
        });
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ReportNoInvoice, B> for Office {
    async fn handle(
        &self,
        command: &ReportNoInvoice,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let ReportNoInvoice { order: id } = *command;
        let mut order = uow.load::<Order>(&id).await?;
        order.record_with(|order| {
            order
                .invoiced
                .is_none()
                .then_some(InvoiceRefused { order: id })
        });
        Ok(())
    }
}

fn picking(order: u32) -> String {
    format!("have the goods of order {order} picked")
}

fn writing(order: u32) -> String {
    format!("have the invoice of order {order} written")
}
