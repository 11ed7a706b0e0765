//! Versions, and chains of steps that do not lead to them.

use serde::{Deserialize, Serialize};
use uno_core::Event;

#[derive(Event, Serialize, Deserialize)]
#[event(version = 0)]
struct Zero {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 4294967296)]
struct TooLarge {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 3)]
struct NoSteps {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 4, upcast(1 = |old| old, 3 = |old| old))]
struct Gap {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 2, upcast(1 = |old| old, 1 = |old| old))]
struct Twice {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 2, upcast(1 = |old| old, 2 = |old| old))]
struct Beyond {}

#[derive(Event, Serialize, Deserialize)]
#[event(upcast(1 = |old| old))]
struct VersionForgotten {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 2, upcast(0 = |old| old, 1 = |old| old))]
struct FromZero {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 2, upcast(1 = |old| old), upcast_elsewhere)]
struct NothingElsewhere {}

fn main() {}
