//! The domain that the campaign runs: orders, their payments, their stock and their parcels. All of it for one order after the other,
//! each with a fate that its number decides.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::campaign::plan::mix;

/// Names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OrderId(pub(crate) u64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the world has in store for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Everything works.
    Fine,
    /// The bank refuses to charge.
    Declined,
    /// There is nothing on the shelf.
    OutOfStock,
    /// The carrier refuses the parcel.
    Undeliverable,
    /// There is nothing on the shelf, and the bank refuses to give the money back.
    Unrefundable,
    /// The bank takes the money at once, and answers about when the saga gives up waiting.
    LateAnswer,
    /// The bank does nothing, and never answers.
    NoAnswer,
    /// The bank takes the money, and its answer is lost, however often it is asked.
    LostAnswer,
}

impl Fate {
    pub(crate) fn of(seed: u64, order: OrderId) -> Self {
        match mix(seed ^ 0xfa7e, order.0) % 100 {
            0..62 => Self::Fine,
            62..68 => Self::Declined,
            68..76 => Self::OutOfStock,
            76..84 => Self::Undeliverable,
            84..86 => Self::Unrefundable,
            86..94 => Self::LateAnswer,
            94..97 => Self::NoAnswer,
            _ => Self::LostAnswer,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Declined => "declined",
            Self::OutOfStock => "out of stock",
            Self::Undeliverable => "undeliverable",
            Self::Unrefundable => "unrefundable",
            Self::LateAnswer => "late answer",
            Self::NoAnswer => "no answer",
            Self::LostAnswer => "lost answer",
        }
    }

    /// How long the saga waits for the payment.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::LateAnswer | Self::NoAnswer => Duration::from_millis(1500),
            // Longer than a phase takes, so that who is not slow is never late.
            _ => Duration::from_secs(600),
        }
    }
}

/// How long the bank takes for a late answer: sometimes longer than the saga waits, sometimes not.
pub(crate) fn lateness(seed: u64, order: OrderId) -> Duration {
    Duration::from_millis(mix(seed ^ 0x1a7e, order.0) % 1500)
}

/// Place an order, once.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct PlaceOrder {
    pub(crate) order: OrderId,
    pub(crate) patience_ms: u64,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct ChargePayment {
    pub(crate) order: OrderId,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct RefundPayment {
    pub(crate) order: OrderId,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct AllocateStock {
    pub(crate) order: OrderId,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct ReleaseStock {
    pub(crate) order: OrderId,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct DispatchParcel {
    pub(crate) order: OrderId,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct ShipOrder {
    pub(crate) order: OrderId,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct CancelOrder {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct OrderPlaced {
    pub(crate) order: OrderId,
    pub(crate) patience_ms: u64,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct OrderShipped {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct OrderCancelled {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct PaymentCharged {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct PaymentDeclined {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct PaymentRefunded {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct StockAllocated {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct StockReleased {
    pub(crate) order: OrderId,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct ParcelDispatched {
    pub(crate) order: OrderId,
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum OrderEvent {
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum PaymentEvent {
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Refunded(PaymentRefunded),
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum StockEvent {
    Allocated(StockAllocated),
    Released(StockReleased),
}

/// An order. Nothing here keeps it from ending twice, nor a payment from being made twice: that is what is looked for.
#[derive(Debug, Default)]
pub(crate) struct Order {
    placed: bool,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        self.placed |= matches!(event, OrderEvent::Placed(_));
    }
}

impl Order {
    pub(crate) fn place(&self, order: OrderId, patience_ms: u64) -> Option<OrderPlaced> {
        (!self.placed).then_some(OrderPlaced { order, patience_ms })
    }
}

/// The payment of an order.
#[derive(Debug, Default)]
pub(crate) struct Payment;

impl Aggregate for Payment {
    const CATEGORY: &'static str = "payment";
    type Id = OrderId;
    type Event = PaymentEvent;

    fn apply(&mut self, _: &PaymentEvent) {}
}

/// What is set aside for an order.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    pub(crate) allocated: bool,
}

impl Aggregate for Stock {
    const CATEGORY: &'static str = "stock";
    type Id = OrderId;
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) {
        self.allocated = matches!(event, StockEvent::Allocated(_));
    }
}

/// The parcel of an order.
#[derive(Debug, Default)]
pub(crate) struct Parcel;

impl Aggregate for Parcel {
    const CATEGORY: &'static str = "parcel";
    type Id = OrderId;
    type Event = ParcelDispatched;

    fn apply(&mut self, _: &ParcelDispatched) {}
}
