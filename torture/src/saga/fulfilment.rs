//! [`Fulfilment`]: the saga under torture.
//!
//! ```text
//! OrderPlaced ──► ChargePayment ──► AllocateStock ──► DispatchParcel ──► ShipOrder ──► done
//!                     │ declined, too late, no answer    │ rejected           │ rejected
//!                     ▼                                  ▼                    ▼
//!                 CancelOrder ◄─────────────────── RefundPayment ◄────── ReleaseStock       (in reverse)
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use super::orders::{
    AllocateStock, CancelOrder, ChargePayment, DispatchParcel, OrderPlaced, OrderShipped,
    ParcelDispatched, PaymentCharged, PaymentDeclined, RefundPayment, ReleaseStock, ShipOrder,
    StockAllocated,
};

/// An instance: it has nothing to remember, since every event names its order.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub(crate) struct Fulfilment {}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum FulfilmentEvent {
    Placed(OrderPlaced),
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Allocated(StockAllocated),
    Dispatched(ParcelDispatched),
    Shipped(OrderShipped),
}

#[derive(CommandSet, Clone, Debug, PartialEq)]
pub(crate) enum FulfilmentCommand {
    Charge(ChargePayment),
    Refund(RefundPayment),
    Allocate(AllocateStock),
    Release(ReleaseStock),
    Dispatch(DispatchParcel),
    Ship(ShipOrder),
    Cancel(CancelOrder),
}

/// The bank has not answered.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaymentOverdue;

impl Saga for Fulfilment {
    const NAME: &'static str = "fulfilment";
    type Event = FulfilmentEvent;
    type Command = FulfilmentCommand;
    type Timeout = PaymentOverdue;

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

    fn react(
        &mut self,
        input: Input<'_, FulfilmentEvent, PaymentOverdue>,
    ) -> Outputs<FulfilmentCommand, PaymentOverdue> {
        match input {
            Input::Event(event) => on_event(event.event()),
            Input::Timeout(PaymentOverdue) => Outputs::compensate(),
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            _ => Outputs::none(),
        }
    }
}

fn on_event(event: &FulfilmentEvent) -> Outputs<FulfilmentCommand, PaymentOverdue> {
    match *event {
        FulfilmentEvent::Placed(OrderPlaced { order, patience_ms }) => {
            Outputs::on_undo(CancelOrder { order })
                .and_send(ChargePayment { order })
                .undo(RefundPayment { order })
                .and_after(Duration::from_millis(patience_ms), PaymentOverdue)
        }
        FulfilmentEvent::Charged(PaymentCharged { order }) => Outputs::cancel(PaymentOverdue)
            .and_send(AllocateStock { order })
            .undo(ReleaseStock { order }),
        FulfilmentEvent::Declined(_) => Outputs::compensate(),
        FulfilmentEvent::Allocated(StockAllocated { order }) => {
            Outputs::send(DispatchParcel { order })
        }
        FulfilmentEvent::Dispatched(ParcelDispatched { order }) => {
            Outputs::send(ShipOrder { order })
        }
        FulfilmentEvent::Shipped(_) => Outputs::complete(),
    }
}
