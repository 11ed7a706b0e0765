//! What is wrong with commands.

use serde::{Deserialize, Serialize};
use uno_core::Command;

#[derive(Command, Serialize, Deserialize)]
#[command(name = "Place Order", version = 2)]
struct PlaceOrder {}

fn main() {}
