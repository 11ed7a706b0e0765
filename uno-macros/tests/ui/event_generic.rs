//! A stored name stands for one type.

use serde::{Deserialize, Serialize};
use uno_core::{Command, CommandSet, Event, EventSet};

#[derive(Event, Serialize, Deserialize)]
struct Changed<T> {
    to: T,
}

#[derive(Event, Serialize, Deserialize)]
struct Borrowed<'a> {
    name: &'a str,
}

#[derive(EventSet)]
enum Events<T> {
    Changed(T),
}

#[derive(Command, Serialize, Deserialize)]
struct Change<const N: usize> {}

#[derive(CommandSet)]
enum Commands<T> {
    Change(T),
}

fn main() {}
