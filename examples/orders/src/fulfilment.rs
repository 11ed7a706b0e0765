//! [`Fulfilment`]: the saga that takes a placed order to the customer, or undoes everything.
//!
//! ```text
//! OrderPlaced ──► ChargePayment ──► AllocateStock ──► DispatchParcel ──► ShipOrder ──► done
//!     (waits         │ declined        │ rejected
//!      first)
//!                     ▼                 ▼
//!                 CancelOrder ◄── RefundPayment ◄── ReleaseStock         (in reverse)
//! ```
//!
//! An order that the customer may still change their mind about waits before it is charged: for a timeout, which is a row of the store and
//! fires also if the process was down when it was due.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::contexts::{
    inventory::{
        commands::{AllocateStock, ReleaseStock},
        events::StockAllocated,
    },
    orders::{
        commands::{CancelOrder, ShipOrder},
        events::{OrderCancelled, OrderPlaced, OrderShipped},
    },
    payment::{
        commands::{ChargePayment, RefundPayment},
        events::{PaymentCharged, PaymentDeclined},
    },
    shipping::{commands::DispatchParcel, events::ParcelDispatched},
};

/// What an instance must remember from one step to the next. Stored format: version with care.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub struct Fulfilment {
    item_count: u32,
    /// What is to be charged, and the order, while the customer may still change their mind.
    #[serde(default)]
    waiting: Option<ChargePayment>,
}

/// What it waits for. Stored format: version with care.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum Wait {
    CoolingOff,
}

/// What it listens to.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum FulfilmentEvent {
    Placed(OrderPlaced),
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Allocated(StockAllocated),
    Dispatched(ParcelDispatched),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}

/// What it sends.
#[derive(CommandSet, Clone, Debug, PartialEq)]
pub enum FulfilmentCommand {
    Charge(ChargePayment),
    Refund(RefundPayment),
    Allocate(AllocateStock),
    Release(ReleaseStock),
    Dispatch(DispatchParcel),
    Ship(ShipOrder),
    Cancel(CancelOrder),
}

impl Saga for Fulfilment {
    const NAME: &'static str = "fulfilment";
    type Event = FulfilmentEvent;
    type Command = FulfilmentCommand;
    type Timeout = Wait;

    fn route(event: &Envelope<FulfilmentEvent>) -> Route {
        match event.event() {
            FulfilmentEvent::Placed(e) => Route::StartStrict(e.order.to_string()),
            FulfilmentEvent::Charged(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Declined(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Allocated(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Dispatched(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Shipped(e) => Route::Stop(e.order.to_string()),
            // A draft that is given up was never placed, so there is none.
            FulfilmentEvent::Cancelled(e) => Route::Continue(e.order.to_string()),
        }
    }

    fn react(
        &mut self,
        input: Input<'_, FulfilmentEvent, Wait>,
    ) -> Outputs<FulfilmentCommand, Wait> {
        match input {
            Input::Timeout(Wait::CoolingOff) => match self.waiting.take() {
                Some(charge) => Self::begin(charge),
                None => Outputs::none(),
            },
            Input::Event(event) => self.on_event(event.event()),
            // A command that was refused, or that failed for good: nothing goes on from here.
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            _ => Outputs::none(),
        }
    }
}

impl Fulfilment {
    /// Goes for the money.
    fn begin(charge: ChargePayment) -> Outputs<FulfilmentCommand, Wait> {
        let order = charge.order;
        // What is undone last is registered first. The refund is registered when the charge is sent, because from then on the money may
        // have moved.
        Outputs::on_undo(CancelOrder {
            order,
            reason: "it could not be fulfilled".into(),
        })
        .and_send(charge)
        .undo(RefundPayment { order })
    }

    fn on_event(&mut self, event: &FulfilmentEvent) -> Outputs<FulfilmentCommand, Wait> {
        match event {
            FulfilmentEvent::Placed(e) => {
                self.item_count = e.item_count;
                let charge = ChargePayment {
                    order: e.order,
                    amount: e.total,
                };
                if e.cooling_off_secs == 0 {
                    return Self::begin(charge);
                }
                self.waiting = Some(charge);
                let wait = Duration::from_secs(u64::from(e.cooling_off_secs));
                Outputs::after(wait, Wait::CoolingOff)
            }
            // The customer has changed their mind in time. Once the charge is sent it is too late to just leave: the order that is cancelled
            // will not be shipped, and that is undone like any other refusal.
            FulfilmentEvent::Cancelled(_) => match self.waiting.take() {
                Some(_) => Outputs::cancel(Wait::CoolingOff).and_complete(),
                None => Outputs::none(),
            },
            FulfilmentEvent::Charged(e) => Outputs::send(AllocateStock {
                order: e.order,
                quantity: self.item_count,
            })
            .undo(ReleaseStock { order: e.order }),
            FulfilmentEvent::Declined(_) => Outputs::compensate(),
            FulfilmentEvent::Allocated(e) => Outputs::send(DispatchParcel { order: e.order }),
            FulfilmentEvent::Dispatched(e) => Outputs::send(ShipOrder { order: e.order }),
            FulfilmentEvent::Shipped(_) => Outputs::complete(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use uno::{saga::DryRun, testkit::envelope};

    use super::*;
    use crate::{
        ids::{CustomerId, OrderId},
        money::Cents,
    };

    const MIND: Duration = Duration::from_secs(20);

    fn order() -> OrderId {
        OrderId::of_line(1, "test")
    }

    fn charge() -> ChargePayment {
        ChargePayment {
            order: order(),
            amount: Cents(500),
        }
    }

    fn placed(cooling_off_secs: u32) -> Envelope<FulfilmentEvent> {
        let placed = OrderPlaced {
            order: order(),
            customer: CustomerId("7".into()),
            ordered_on: NaiveDate::from_ymd_opt(1997, 1, 1).unwrap(),
            item_count: 1,
            total: Cents(500),
            cooling_off_secs,
        };
        envelope(placed.into())
    }

    fn cancelled() -> Envelope<FulfilmentEvent> {
        let cancelled = OrderCancelled {
            order: order(),
            customer: CustomerId("7".into()),
            total: Cents(500),
            reason: "changed my mind".into(),
        };
        envelope(cancelled.into())
    }

    #[test]
    fn it_is_charged_when_the_time_to_change_ones_mind_is_over_and_not_before() {
        let mut run = DryRun::<Fulfilment>::new();
        run.event(&placed(20)).unwrap();
        let early = run.advance(MIND - Duration::from_secs(1)).unwrap();
        assert!(early.is_empty());
        let fired = run.advance(Duration::from_secs(1)).unwrap();
        assert_eq!(fired[0].outputs(), Some(&Fulfilment::begin(charge())));
    }

    #[test]
    fn cancelled_in_time_it_is_never_charged() {
        let mut run = DryRun::<Fulfilment>::new();
        run.event(&placed(20)).unwrap();
        run.event(&cancelled()).unwrap();
        assert!(run.advance(MIND * 1_000).unwrap().is_empty());
    }

    #[test]
    fn without_such_a_time_it_is_charged_at_once() {
        let mut run = DryRun::<Fulfilment>::new();
        let step = run.event(&placed(0)).unwrap();
        assert_eq!(step.outputs(), Some(&Fulfilment::begin(charge())));
        // Cancelled too late to just leave: what is under way goes on until the order refuses to be shipped.
        run.event(&cancelled()).unwrap();
        assert!(run.advance(MIND).unwrap().is_empty());
    }
}
