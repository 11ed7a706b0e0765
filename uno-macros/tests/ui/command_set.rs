//! What is wrong with sets of commands.

use serde::{Deserialize, Serialize};
use uno_core::{Command, CommandSet};

#[derive(Command, Serialize, Deserialize)]
struct PlaceOrder {}

#[derive(Command, Serialize, Deserialize)]
#[command(name = "place_order")]
struct PlaceOrderAbroad {}

#[derive(Serialize, Deserialize)]
struct NotACommand {}

#[derive(CommandSet)]
enum Empty {}

#[derive(CommandSet)]
enum Mixed {
    Unit,
    Place(PlaceOrder),
    Again(PlaceOrder),
}

#[derive(CommandSet)]
enum OneName {
    Place(PlaceOrder),
    PlaceAbroad(PlaceOrderAbroad),
}

#[derive(CommandSet)]
enum Foreign {
    Other(NotACommand),
}

fn main() {}
