//! The ids that all contexts share.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uno::{core::EventId, prelude::*};
use uuid::Uuid;

/// Names an order, in every context.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// The id of the order on a line of an input file: the same at every import, so that an import that was
    /// interrupted knows what it has done. Two equal lines are two orders.
    pub fn of_line(number: usize, line: &str) -> Self {
        Self(Uuid::new_v5(&ORDERS, format!("{number}:{line}").as_bytes()))
    }

    /// The id of an order that nobody has placed before.
    pub fn new() -> Self {
        Self(*EventId::new().as_uuid())
    }

    /// The id of the order that is placed under an idempotency key: the same whenever the key is sent again.
    pub fn of_key(key: &IdempotencyKey) -> Self {
        Self(Uuid::new_v5(&PLACED, key.as_str().as_bytes()))
    }

    /// A number from 0 to 9,999 that depends on the order and on `what` alone: the dice of this example.
    pub fn dice(&self, what: &str) -> u16 {
        let roll = Uuid::new_v5(&self.0, what.as_bytes());
        let bytes = roll.as_bytes();
        u16::from_be_bytes([bytes[0], bytes[1]]) % 10_000
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OrderId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// The name space of order ids that are made of idempotency keys.
const PLACED: Uuid = Uuid::from_u128(0x9b1d_3f70_5c2e_4b8a_a6d4_0e57_83c1_f2b6);

/// The name space of order ids.
const ORDERS: Uuid = Uuid::from_u128(0x3c1f_8a52_6a0d_4f0e_8f5b_11d2_90c4_e7a9);

/// Names a customer of the shop.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct CustomerId(pub String);

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
