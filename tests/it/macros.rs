//! The derives as users of the facade have them. What they emit and refuse in detail is held in `uno-macros`.

use serde::{Deserialize, Serialize};
use uno::{core as uno_core, prelude::*};

/// The facade's derives must find the facade even where an item of the same name is in the way.
mod in_the_way {
    pub(super) mod uno {}
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(version = 2, upcast(1 = |old| old))]
struct ParcelSent {
    grams: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct ParcelLost {}

#[derive(EventSet, Clone, Debug, PartialEq)]
enum ParcelEvent {
    Sent(ParcelSent),
    Lost(ParcelLost),
}

#[derive(Command, Serialize, Deserialize)]
struct SendParcel {
    grams: u32,
}

#[derive(CommandSet)]
enum ParcelCommand {
    Send(SendParcel),
}

#[test]
fn a_user_of_the_facade_alone_can_derive_everything() {
    assert_eq!(
        (ParcelSent::NAME, ParcelSent::VERSION.get()),
        ("parcel_sent", 2)
    );
    assert_eq!(
        ParcelEvent::from(ParcelLost {}).descriptor().name(),
        "parcel_lost"
    );
    assert_eq!(ParcelEvent::EVENTS.len(), 2);
    assert_eq!(SendParcel::NAME, "send_parcel");
    assert_eq!(
        ParcelCommand::from(SendParcel { grams: 5 })
            .to_json()
            .unwrap(),
        r#"{"grams":5}"#
    );
}

mod shadowed {
    use serde::{Deserialize, Serialize};

    #[expect(unused_imports, reason = "it is there to be in the way")]
    use super::in_the_way::uno;

    #[derive(::uno::prelude::Event, Serialize, Deserialize)]
    pub(super) struct Opened {}
}

#[test]
fn a_module_of_the_same_name_is_not_taken_for_the_facade() {
    assert_eq!(<shadowed::Opened as uno_core::Event>::NAME, "opened");
}
