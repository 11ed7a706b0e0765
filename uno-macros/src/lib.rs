//! Derive macros of the Uno framework; use them through `uno` or `uno-core`.
//!
//! Every derive is here twice, for those who depend on the facade `uno` and for those who depend on `uno-core`
//! alone; both crates re-export theirs under the short names `Event`, `EventSet`, `Command` and `CommandSet`.
//! Where the crate goes by another name, `#[event(crate = "path")]` or `#[command(crate = "path")]` says so.

mod command;
mod errors;
mod event;
mod names;
mod options;
mod runtime;
mod set;
mod upcast;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::{runtime::Runtime, set::Member};

/// Implements `Event` for a type that is serialized with serde.
///
/// ```text
/// use serde::{Deserialize, Serialize};
/// use uno_core::Event;
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(name = "parcel_sent", version = 2, upcast(1 = rename_weight))]
/// struct ParcelSent { grams: u32 }
///
/// fn rename_weight(old: serde_json::Value) -> serde_json::Value { /* … */ }
/// ```
///
/// # Options
/// * `name = "…"`: the stored name; the type's name in snake case unless it is given. Lower-case letters, digits, `_`
///   and `.`, a letter first, at most 128 characters.
/// * `version = N`: which shape of the event the type has; 1 unless it is given.
/// * `upcast(1 = step, 2 = step)`: the steps from each older version to the next: functions or closures from
///   `serde_json::Value` to `serde_json::Value` or to a `Result` of one. The chain must be complete.
/// * `upcast(1: OrderPlacedV1, 2: OrderPlacedV2)`: steps between types, each `Into` the next and the last one into this type.
/// * `formerly("…", "…")`: names that it was stored under before, in the same versions.
/// * `deprecated = "…"`: it is not recorded any more, and why. `#[deprecated]` says the same, and has the compiler warn of its uses.
/// * `upcast_elsewhere`: steps that are missing here are registered with the decoder at run time.
/// * `crate = "path"`: where `uno_core` is to be found, if not under its own name.
#[proc_macro_derive(CoreEvent, attributes(event))]
pub fn core_event(input: TokenStream) -> TokenStream {
    expand_event(input, Runtime::Core)
}

/// Implements `Event` for a type that is serialized with serde, for users of the facade.
///
/// ```text
/// use uno::prelude::*;
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(version = 2, upcast(1 = placed_v1_to_v2))]
/// struct OrderPlaced { total: i64, item_count: u32 }
/// ```
///
/// # Options
/// As for [`CoreEvent`](derive@CoreEvent).
#[proc_macro_derive(UnoEvent, attributes(event))]
pub fn uno_event(input: TokenStream) -> TokenStream {
    expand_event(input, Runtime::Facade)
}

/// Implements `EventSet` for an enum with one variant for each event type, `From` for each of those types, and
/// `IntoEvents` for the enum.
///
/// ```text
/// use uno_core::EventSet;
///
/// #[derive(EventSet)]
/// enum OrderEvent { Placed(OrderPlaced), Shipped(OrderShipped) }
/// ```
///
/// Two variants for one event type do not compile, and neither do two event types with one stored name.
///
/// # Options
/// * `#[event(ignore("…", "…"))]`: stored names that whoever reads whole streams as this set passes over.
/// * `#[event(crate = "path")]`: where `uno_core` is to be found, if not under its own name.
#[proc_macro_derive(CoreEventSet, attributes(event))]
pub fn core_event_set(input: TokenStream) -> TokenStream {
    expand_set(input, Runtime::Core, Member::Event)
}

/// Implements `EventSet` for an enum with one variant for each event type, for users of the facade.
///
/// ```text
/// use uno::prelude::*;
///
/// #[derive(EventSet)]
/// enum OrderEvent { Placed(OrderPlaced), Shipped(OrderShipped) }
/// ```
///
/// # Options
/// As for [`CoreEventSet`](derive@CoreEventSet).
#[proc_macro_derive(UnoEventSet, attributes(event))]
pub fn uno_event_set(input: TokenStream) -> TokenStream {
    expand_set(input, Runtime::Facade, Member::Event)
}

/// Implements `Command` for a type that is serialized with serde.
///
/// ```text
/// use serde::{Deserialize, Serialize};
/// use uno_core::Command;
///
/// #[derive(Command, Serialize, Deserialize)]
/// #[command(name = "shop.place_order")]
/// struct PlaceOrder { order: u64 }
/// ```
///
/// # Options
/// * `name = "…"`: the name the command travels under; the type's name in snake case unless it is given.
/// * `crate = "path"`: where `uno_core` is to be found, if not under its own name.
#[proc_macro_derive(CoreCommand, attributes(command))]
pub fn core_command(input: TokenStream) -> TokenStream {
    expand_command(input, Runtime::Core)
}

/// Implements `Command` for a type that is serialized with serde, for users of the facade.
///
/// ```text
/// use uno::prelude::*;
///
/// #[derive(Command, Serialize, Deserialize)]
/// struct PlaceOrder { order: OrderId }
/// ```
///
/// # Options
/// As for [`CoreCommand`](derive@CoreCommand).
#[proc_macro_derive(UnoCommand, attributes(command))]
pub fn uno_command(input: TokenStream) -> TokenStream {
    expand_command(input, Runtime::Facade)
}

/// Implements `CommandSet` for an enum with one variant for each command type, and `From` for each of those types.
///
/// ```text
/// use uno_core::CommandSet;
///
/// #[derive(CommandSet)]
/// enum FulfilmentCommand { Charge(ChargePayment), Ship(ShipOrder) }
/// ```
///
/// Two variants for one command type do not compile, and neither do two command types with one name.
///
/// # Options
/// * `#[command(crate = "path")]`: where `uno_core` is to be found, if not under its own name.
#[proc_macro_derive(CoreCommandSet, attributes(command))]
pub fn core_command_set(input: TokenStream) -> TokenStream {
    expand_set(input, Runtime::Core, Member::Command)
}

/// Implements `CommandSet` for an enum with one variant for each command type, for users of the facade.
///
/// ```text
/// use uno::prelude::*;
///
/// #[derive(CommandSet)]
/// enum FulfilmentCommand { Charge(ChargePayment), Ship(ShipOrder) }
/// ```
///
/// # Options
/// As for [`CoreCommandSet`](derive@CoreCommandSet).
#[proc_macro_derive(UnoCommandSet, attributes(command))]
pub fn uno_command_set(input: TokenStream) -> TokenStream {
    expand_set(input, Runtime::Facade, Member::Command)
}

fn expand_event(input: TokenStream, runtime: Runtime) -> TokenStream {
    finish(event::expand(
        &parse_macro_input!(input as DeriveInput),
        runtime,
    ))
}

fn expand_command(input: TokenStream, runtime: Runtime) -> TokenStream {
    finish(command::expand(
        &parse_macro_input!(input as DeriveInput),
        runtime,
    ))
}

fn expand_set(input: TokenStream, runtime: Runtime, member: Member) -> TokenStream {
    finish(set::expand(
        &parse_macro_input!(input as DeriveInput),
        runtime,
        member,
    ))
}

fn finish(expansion: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expansion
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
