//! Dispatch: goods are picked and the invoice is written at the same time, by people who take as long as they take. When
//! both are done, in whichever order, the parcel goes out. Written as a list of steps.
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

impl Story for Stepwise<Dispatch> {
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

/// What its commands are made of. Stored format: version with care.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Dispatch {
    order: u32,
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

impl StepSaga for Dispatch {
    const NAME: &'static str = "dispatch";
    type Event = OrderEvent;
    type Command = Step;

    fn steps() -> Steps<Self> {
        // That somebody was told to pick is not yet that it is picked: that comes as an event, sooner or later.
        let pick = Steps::<Self>::new()
            .step("pick", |it| Pick { order: it.order })
            .undo(|it| PutBack { order: it.order })
            .wait_for("picked", |_, event| match event.event() {
                OrderEvent::Picked(_) => Some(Answer::Accepted),
                _ => None,
            });
        let invoice = Steps::<Self>::new()
            .step("invoice", |it| WriteInvoice { order: it.order })
            .undo(|it| Withdraw { order: it.order })
            .wait_for("invoiced", |_, event| match event.event() {
                OrderEvent::Invoiced(_) => Some(Answer::Accepted),
                OrderEvent::NotInvoiced(_) => Some(Answer::Refused),
                _ => None,
            });
        Steps::new()
            .fork([pick, invoice])
            .step("send", |it| Send { order: it.order })
    }

    fn key(event: &Envelope<OrderEvent>) -> Option<String> {
        let order = match event.event() {
            OrderEvent::Confirmed(e) => e.order,
            OrderEvent::Picked(e) => e.order,
            OrderEvent::Invoiced(e) => e.order,
            OrderEvent::NotInvoiced(e) => e.order,
        };
        Some(format!("order {order}"))
    }

    fn start(event: &Envelope<OrderEvent>) -> Option<Self> {
        match event.event() {
            OrderEvent::Confirmed(e) => Some(Self { order: e.order }),
            _ => None,
        }
    }
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
