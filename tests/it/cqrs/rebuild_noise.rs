//! Events that nobody reads, and a projection whose name is that of a generation.

use serde::{Deserialize, Serialize};
use uno_core::{Envelope, Event};
use uno_cqrs::DocumentProjection;

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
pub(super) struct Noise {}

#[derive(Debug)]
pub(super) struct Marked;

impl DocumentProjection for Marked {
    const NAME: &'static str = "a@2";
    type Event = Noise;
    type Document = u8;

    fn keys(&self, _: &Envelope<Noise>) -> Vec<String> {
        Vec::new()
    }

    fn apply(&self, _: &str, _: Option<u8>, _: &Envelope<Noise>) -> Option<u8> {
        None
    }
}
