//! Names that can't be stored.

use serde::{Deserialize, Serialize};
use uno_core::Event;

#[derive(Event, Serialize, Deserialize)]
#[event(name = "OrderPlaced")]
struct Capitals {}

#[derive(Event, Serialize, Deserialize)]
#[event(name = "")]
struct Empty {}

#[derive(Event, Serialize, Deserialize)]
struct _Hidden {}

#[derive(Event, Serialize, Deserialize)]
struct Überweisung {}

fn main() {}
