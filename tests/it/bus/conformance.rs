//! The conformance suite on the bus, and the proof that its cases can fail.

mod broken;
mod listing;
mod proof;

use broken::{Fault, Harness};

uno_testkit::bus_conformance!(Harness {
    fault: Fault::Nothing
});
