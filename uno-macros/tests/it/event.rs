//! `#[derive(Event)]`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uno_core::{BoxError, Event, EventName, EventSet, SchemaVersion};

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct HTTPServerStarted {
    port: u16,
}

#[derive(Event, Serialize, Deserialize)]
struct Stopped;

#[derive(Event, Serialize, Deserialize)]
enum Light {
    On,
    Off,
}

#[derive(Event, Serialize, Deserialize)]
#[expect(non_camel_case_types, reason = "a raw identifier is what is tested")]
struct r#match {}

#[derive(Event, Serialize, Deserialize)]
#[event(name = "shop.parcel_sent")]
struct Sent {}

#[test]
fn the_name_is_made_from_the_type_unless_it_is_given() {
    assert_eq!(HTTPServerStarted::NAME, "http_server_started");
    assert_eq!(Stopped::NAME, "stopped");
    assert_eq!(Light::NAME, "light");
    assert_eq!(r#match::NAME, "match");
    assert_eq!(Sent::NAME, "shop.parcel_sent");
    for name in [
        HTTPServerStarted::NAME,
        Stopped::NAME,
        Light::NAME,
        r#match::NAME,
        Sent::NAME,
    ] {
        assert!(EventName::new(name).is_ok(), "{name}");
    }
}

#[test]
fn the_version_is_the_first_unless_it_is_given() {
    assert_eq!(Stopped::VERSION, SchemaVersion::FIRST);
    assert!(Stopped::UPCASTERS.is_empty());
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(
    version = 4,
    // Out of order, as a function, a closure, and a path to what may fail.
    upcast(3 = Self::add_count, 1 = rename_total, 2 = |old| old)
)]
struct OrderPlaced {
    cents: i64,
    count: u32,
}

fn rename_total(mut old: Value) -> Value {
    if let Some(total) = old
        .as_object_mut()
        .and_then(|fields| fields.remove("total"))
    {
        old["cents"] = total;
    }
    old
}

impl OrderPlaced {
    fn add_count(mut old: Value) -> Result<Value, String> {
        let fields = old.as_object_mut().ok_or("an order is an object")?;
        fields.insert("count".into(), json!(0));
        Ok(old)
    }
}

#[test]
fn the_steps_are_in_order_and_do_what_they_say() {
    let from: Vec<u32> = OrderPlaced::UPCASTERS
        .iter()
        .map(|step| step.from().get())
        .collect();
    assert_eq!(from, [1, 2, 3]);

    let raised = OrderPlaced::UPCASTERS
        .iter()
        .try_fold(json!({ "total": 1999 }), |payload, step| {
            step.apply(payload)
        })
        .unwrap();
    assert_eq!(
        serde_json::from_value::<OrderPlaced>(raised).unwrap(),
        OrderPlaced {
            cents: 1999,
            count: 0
        }
    );
    let error: BoxError = OrderPlaced::UPCASTERS[2].apply(json!([])).unwrap_err();
    assert_eq!(error.to_string(), "an order is an object");
}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 3, upcast(2 = |old| old), upcast_elsewhere)]
struct PartlyElsewhere {}

#[test]
fn steps_that_are_registered_elsewhere_may_be_missing() {
    assert_eq!(PartlyElsewhere::VERSION.get(), 3);
    assert_eq!(PartlyElsewhere::UPCASTERS.len(), 1);
}

/// The core under another name, and an item in scope that has the name which the derive uses within.
mod renamed {
    use serde::{Deserialize, Serialize};
    use uno_core as framework;

    #[derive(framework::Event, Serialize, Deserialize)]
    #[event(crate = "framework")]
    pub(super) struct Opened {}

    #[derive(uno_macros::UnoEvent, Serialize, Deserialize)]
    #[event(crate = "crate::event::renamed::framework")]
    pub(super) struct Closed {}

    #[derive(uno_macros::UnoEventSet)]
    #[event(crate = "framework")]
    pub(super) enum DoorEvent {
        Opened(Opened),
        Closed(Closed),
    }
}

#[test]
fn the_crate_may_go_by_another_name() {
    let names: Vec<&str> = renamed::DoorEvent::EVENTS
        .iter()
        .map(|event| event.name())
        .collect();
    assert_eq!(names, ["opened", "closed"]);
    assert_eq!(
        renamed::DoorEvent::from(renamed::Closed {})
            .descriptor()
            .name(),
        "closed"
    );
    assert_eq!(
        renamed::DoorEvent::from(renamed::Opened {})
            .descriptor()
            .name(),
        "opened"
    );
}

#[test]
fn a_type_within_a_function_can_be_an_event() {
    #[derive(Event, Serialize, Deserialize)]
    struct Local {}
    assert_eq!(Local::NAME, "local");
}

/// Names of the prelude that mean something else here must not confuse what is emitted.
mod shadowed {
    #![expect(dead_code, reason = "they are there to be in the way")]

    use uno_core::EventSet;

    struct Option;
    struct Result;
    struct Vec;
    struct String;

    #[derive(EventSet)]
    pub(super) enum Events {
        Some(super::Stopped),
        Ok(super::Sent),
    }
}

#[test]
fn emitted_code_does_not_depend_on_what_is_in_scope() {
    assert!(
        shadowed::Events::from_json("stopped", "null")
            .unwrap()
            .is_ok()
    );
    assert!(
        shadowed::Events::from_json("shop.parcel_sent", "{}")
            .unwrap()
            .is_ok()
    );
}

/// Was too long.
#[derive(Event, Serialize, Deserialize)]
#[deprecated(since = "2.0.0", note = "orders are placed whole")]
struct ItemPicked {}

#[derive(Event, Serialize, Deserialize)]
#[event(deprecated = "nobody needs it")]
struct PageViewed {}

#[expect(deprecated, reason = "what is deprecated is tested")]
mod with_notes {
    use super::*;

    #[derive(Event, Serialize, Deserialize)]
    #[deprecated = "short"]
    struct Short {}

    #[derive(Event, Serialize, Deserialize)]
    #[deprecated]
    struct Silent {}

    #[test]
    fn an_event_that_is_not_recorded_any_more_says_why() {
        let note = ItemPicked::DESCRIPTOR.deprecated();
        assert_eq!(note, Some("orders are placed whole"));
        let note = PageViewed::DESCRIPTOR.deprecated();
        assert_eq!(note, Some("nobody needs it"));
        assert_eq!(Short::DESCRIPTOR.deprecated(), Some("short"));
        assert_eq!(Silent::DESCRIPTOR.deprecated(), Some(""));
        assert_eq!(Stopped::DESCRIPTOR.deprecated(), None);
    }

    #[test]
    fn without_a_schema_there_is_none() {
        assert_eq!(OrderPlaced::DESCRIPTOR.schema(SchemaVersion::new(4)), None);
        assert_eq!(Stopped::DESCRIPTOR.schema(SchemaVersion::FIRST), None);
    }
}
