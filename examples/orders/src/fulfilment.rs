//! [`Fulfilment`]: the saga that takes a placed order to the customer, or undoes everything.
//!
//! ```text
//! OrderPlaced ──► ChargePayment ──► AllocateStock ──► DispatchParcel ──► ShipOrder ──► done
//!                     │ declined        │ rejected
//!                     ▼                 ▼
//!                 CancelOrder ◄── RefundPayment ◄── ReleaseStock         (in reverse)
//! ```

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::contexts::{
    inventory::{
        commands::{AllocateStock, ReleaseStock},
        events::StockAllocated,
    },
    orders::{
        commands::{CancelOrder, ShipOrder},
        events::{OrderPlaced, OrderShipped},
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
    type Timeout = NoTimeout;

    fn route(event: &Envelope<FulfilmentEvent>) -> Route {
        match event.event() {
            FulfilmentEvent::Placed(e) => Route::StartStrict(e.order.to_string()),
            FulfilmentEvent::Charged(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Declined(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Allocated(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Dispatched(e) => Route::ContinueStrict(e.order.to_string()),
            FulfilmentEvent::Shipped(e) => Route::Stop(e.order.to_string()),
        }
    }

    fn react(&mut self, input: Input<'_, FulfilmentEvent>) -> Outputs<FulfilmentCommand> {
        match input {
            Input::Event(event) => self.on_event(event.event()),
            // A command that was refused, or that failed for good: nothing goes on from here.
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            _ => Outputs::none(),
        }
    }
}

impl Fulfilment {
    fn on_event(&mut self, event: &FulfilmentEvent) -> Outputs<FulfilmentCommand> {
        match event {
            FulfilmentEvent::Placed(e) => {
                self.item_count = e.item_count;
                // What is undone last is registered first. The refund is registered when the charge is sent, because
                // from then on the money may have moved.
                Outputs::on_undo(CancelOrder {
                    order: e.order,
                    reason: "it could not be fulfilled".into(),
                })
                .and_send(ChargePayment {
                    order: e.order,
                    amount: e.total,
                })
                .undo(RefundPayment { order: e.order })
            }
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
