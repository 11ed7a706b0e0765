//! A handler can't change an event.

use serde::{Deserialize, Serialize};
use uno_core::{Envelope, Event};

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {
    cents: i64,
}

fn through_a_reference(envelope: &Envelope<OrderPlaced>) {
    envelope.event().cents = 0;
}

fn through_ownership(mut envelope: Envelope<OrderPlaced>, other: Envelope<OrderPlaced>) {
    envelope.event().cents = 0;
    envelope.event_mut().cents = 0;
    envelope.event = OrderPlaced { cents: 0 };
    envelope.record = other.record().clone();
}

fn main() {}
