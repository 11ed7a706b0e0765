//! A step is a function from JSON to JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uno_core::Event;

#[derive(Event, Serialize, Deserialize)]
#[event(version = 2, upcast(1 = to_text))]
struct WrongResult {}

fn to_text(_: Value) -> String {
    String::new()
}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 2, upcast(1 = from_text))]
struct WrongArgument {}

fn from_text(_: String) -> Value {
    Value::Null
}

fn main() {}
