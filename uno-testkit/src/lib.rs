//! What tests of the Uno framework, and of stores for it, are made of.
//!
//! * [`mod@conformance`]: one suite of named cases for every store; [`mod@bus_conformance`]: another for every bus.
//! * [`Given`]: given/when/then for aggregates; [`GivenProjection`] for projections, [`GivenSaga`] for sagas; [`envelope`] for whatever takes envelopes.
//! * [`deliver_twice`]: a command's handler run again under the same id.
//! * [`catalogue`]: the catalogue of an application, kept beside the code and kept true.
//! * `shapes`, with the feature of that name: the stored shapes of events in a lock file, and stored events of every version.
//! * [`faults`]: a store that fails when it is told to, for tests of what is built on stores; and handlers that do.

pub mod bus_conformance;
pub mod catalogue;
pub mod conformance;
pub mod faults;
mod given;
mod given_projection;
mod golden;
mod saga_test;
#[cfg(feature = "shapes")]
pub mod shapes;
mod twice;

pub use crate::{
    given::{Decided, EnvelopeBuilder, Given, envelope},
    given_projection::GivenProjection,
    saga_test::GivenSaga,
    twice::deliver_twice,
};
