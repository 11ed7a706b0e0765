//! Reminder: an invoice that is not paid within ten minutes is reminded of, three times; then the order is cancelled. Money
//! that comes even later goes back.
//!
//! ```text
//! InvoiceSent ──► wait 10 min ──► Remind 1, 2, 3 ──► CancelOrder ──► done
//!                    ▲ │                │                │
//!                    │ └─ InvoicePaid   │                └─ rejected, for it is paid: done
//!                    └──────────────────┘     PaidTooLate, at any time after: SendBack
//! ```

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use uno::{core::ProcessStatus, prelude::*};

use crate::{
    minutes,
    service::Service,
    stage::{Stage, Story},
    world::World,
};

// What happens.

impl Story for Reminder {
    async fn tell<B: Backend>(stage: &Stage<'_, Self, B>) -> anyhow::Result<()> {
        stage
            .command("Ada gets an invoice", SendInvoice { invoice: 1 })
            .await?;
        stage.pass("five minutes later", minutes(5)).await?;
        stage
            .command("Bob gets one", SendInvoice { invoice: 2 })
            .await?;
        stage.pass("Ada's ten minutes are over", minutes(5)).await?;
        stage.pass("Bob's too", minutes(5)).await?;
        stage.command("Ada pays", PayInvoice { invoice: 1 }).await?;
        stage.pass("Bob is reminded again", minutes(10)).await?;
        stage.pass("and again", minutes(10)).await?;
        stage.pass("enough is enough", minutes(10)).await?;
        stage
            .command("Bob pays after all", PayInvoice { invoice: 2 })
            .await?;
        Ok(())
    }

    fn wire<B: Backend>(app: UnoBuilder<B>, world: &World) -> UnoBuilder<B> {
        let ledger = &world.ledger;
        app.command::<SendInvoice>(Invoices)
            .command::<PayInvoice>(Invoices)
            .command::<CancelOrder>(Invoices)
            .command::<Remind>(Service::does(ledger, |remind: &Remind| {
                format!(
                    "mail reminder {} for invoice {}",
                    remind.number, remind.invoice
                )
            }))
            .command::<SendBack>(Service::does(ledger, |back: &SendBack| {
                format!("send back the money for invoice {}", back.invoice)
            }))
    }
}

// The saga.

/// What an instance must remember from one step to the next. Stored format: version with care.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub struct Reminder {
    invoice: u32,
    reminders: u32,
}

/// How often somebody is reminded.
const MOST: u32 = 3;

/// What it listens to.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum Heard {
    Sent(InvoiceSent),
    Paid(InvoicePaid),
    TooLate(PaidTooLate),
}

/// What it sends.
#[derive(CommandSet, Clone, Debug, PartialEq)]
pub enum Step {
    Remind(Remind),
    Cancel(CancelOrder),
    SendBack(SendBack),
}

/// What it waits for. Stored format: version with care.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum Wait {
    Overdue,
}

impl Saga for Reminder {
    const NAME: &'static str = "reminder";
    type Event = Heard;
    type Command = Step;
    type Timeout = Wait;

    fn route(event: &Envelope<Heard>) -> Route {
        match event.event() {
            Heard::Sent(e) => Route::StartStrict(key(e.invoice)),
            Heard::Paid(e) => Route::ContinueStrict(key(e.invoice)),
            Heard::TooLate(e) => Route::ContinueStrict(key(e.invoice)),
        }
    }

    fn react(&mut self, input: Input<'_, Heard, Wait>) -> Outputs<Step, Wait> {
        let invoice = self.invoice;
        match input {
            Input::Event(event) => match event.event() {
                Heard::Sent(e) => {
                    self.invoice = e.invoice;
                    Outputs::after(minutes(10), Wait::Overdue)
                }
                Heard::Paid(_) => Outputs::cancel(Wait::Overdue).and_complete(),
                Heard::TooLate(_) => Outputs::send(SendBack { invoice }),
            },
            Input::Timeout(Wait::Overdue) if self.reminders < MOST => {
                self.reminders += 1;
                let number = self.reminders;
                Outputs::send(Remind { invoice, number }).and_after(minutes(10), Wait::Overdue)
            }
            // Whether it is paid at this moment is for the invoice to say: it knows its own order of events.
            Input::Timeout(Wait::Overdue) => Outputs::send(CancelOrder { invoice }),
            Input::Outcome(cancelled)
                if cancelled.is_of::<CancelOrder>() && cancelled.is_success() =>
            {
                Outputs::complete()
            }
            _ => Outputs::none(),
        }
    }

    fn on_late(&mut self, input: Input<'_, Heard, Wait>, _: ProcessStatus) -> Outputs<Step, Wait> {
        match input {
            Input::Event(event) if matches!(event.event(), Heard::TooLate(_)) => {
                let invoice = self.invoice;
                Outputs::send(SendBack { invoice })
            }
            _ => Outputs::none(),
        }
    }
}

fn key(invoice: u32) -> String {
    format!("invoice {invoice}")
}

// The domain.

/// Ask for money.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SendInvoice {
    pub invoice: u32,
}

/// The customer's money has come.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PayInvoice {
    pub invoice: u32,
}

/// Ask again.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Remind {
    pub invoice: u32,
    pub number: u32,
}

/// Ask no more. Refused when it is paid.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CancelOrder {
    pub invoice: u32,
}

/// Send back what came too late.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SendBack {
    pub invoice: u32,
}

/// The customer was asked for money. Stored format: version with care, as the next three.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct InvoiceSent {
    pub invoice: u32,
}

/// The customer has paid.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct InvoicePaid {
    pub invoice: u32,
}

/// The customer has not paid, and gets nothing.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderCancelled {
    pub invoice: u32,
}

/// The customer has paid, but after the order was cancelled.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PaidTooLate {
    pub invoice: u32,
}

/// All that can happen to an invoice.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum InvoiceEvent {
    Sent(InvoiceSent),
    Paid(InvoicePaid),
    Cancelled(OrderCancelled),
    TooLate(PaidTooLate),
}

#[derive(Default, Debug)]
struct Invoice {
    status: Status,
}

#[derive(Clone, Copy, Default, Debug, PartialEq)]
enum Status {
    #[default]
    New,
    Open,
    Paid,
    Cancelled,
    /// Cancelled, and paid after that.
    Over,
}

impl Aggregate for Invoice {
    const CATEGORY: &'static str = "invoice";
    type Id = u32;
    type Event = InvoiceEvent;

    fn apply(&mut self, event: &InvoiceEvent) {
        self.status = match event {
            InvoiceEvent::Sent(_) => Status::Open,
            InvoiceEvent::Paid(_) => Status::Paid,
            InvoiceEvent::Cancelled(_) => Status::Cancelled,
            InvoiceEvent::TooLate(_) => Status::Over,
        };
    }
}

impl Invoice {
    fn send(&self, invoice: u32) -> Option<InvoiceSent> {
        (self.status == Status::New).then_some(InvoiceSent { invoice })
    }

    /// What has come is accepted, and told apart.
    fn pay(&self, invoice: u32) -> Option<InvoiceEvent> {
        match self.status {
            Status::New | Status::Open => Some(InvoicePaid { invoice }.into()),
            Status::Cancelled => Some(PaidTooLate { invoice }.into()),
            Status::Paid | Status::Over => None,
        }
    }

    fn cancel(&self, invoice: u32) -> Result<Option<OrderCancelled>, CommandError> {
        match self.status {
            Status::New | Status::Open => Ok(Some(OrderCancelled { invoice })),
            Status::Paid => Err(CommandError::rejected("it is paid")),
            Status::Cancelled | Status::Over => Ok(None),
        }
    }
}

struct Invoices;

impl<B: Backend> CommandHandler<SendInvoice, B> for Invoices {
    async fn handle(
        &self,
        command: &SendInvoice,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut invoice = uow.load_or_new::<Invoice>(&command.invoice).await?;
        invoice.record_with(|invoice| invoice.send(command.invoice));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<PayInvoice, B> for Invoices {
    async fn handle(
        &self,
        command: &PayInvoice,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut invoice = uow.load::<Invoice>(&command.invoice).await?;
        invoice.record_with(|invoice| invoice.pay(command.invoice));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<CancelOrder, B> for Invoices {
    async fn handle(
        &self,
        command: &CancelOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut invoice = uow.load::<Invoice>(&command.invoice).await?;
        invoice.decide(|invoice| invoice.cancel(command.invoice))
    }
}
