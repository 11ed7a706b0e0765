//! How a tree is told and drawn. That it is the right one is tested on the stores.

use std::sync::Arc;

use uuid::Uuid;

use super::{Beginning, CausationTree, CausedEvent};
use crate::{EventId, Metadata, Position, RecordedEvent, RecordedParts, SchemaVersion, Version};

fn event(number: u64, key: &str, metadata: Metadata) -> Arc<RecordedEvent> {
    Arc::new(RecordedEvent::from_parts(RecordedParts {
        id: EventId::from_uuid(Uuid::from_u128(number.into())),
        stream: crate::StreamId::new("order", key).unwrap(),
        version: Version::new(number).unwrap(),
        position: Position::new(10 * number).unwrap(),
        name: crate::EventName::new("order_placed").unwrap(),
        schema_version: SchemaVersion::new(1),
        payload: crate::Payload::from_json("{}").unwrap(),
        occurred_at: chrono::DateTime::UNIX_EPOCH,
        recorded_at: chrono::DateTime::UNIX_EPOCH,
        metadata,
        tags: Vec::new(),
    }))
}

/// One cause, the event, and an effect through a command.
fn tree(key: &str) -> CausationTree {
    let cause = event(1, key, Metadata::new().with_actor("ada\n"));
    let asked = event(2, key, Metadata::caused_by(&cause));
    let through = Metadata::caused_by(&asked).with_causation_id(Uuid::from_u128(99));
    let effect = event(3, key, through);
    CausationTree {
        causes: vec![cause],
        beginning: Beginning::Outside(Uuid::from_u128(98)),
        events: vec![
            CausedEvent {
                event: Arc::clone(&asked),
                depth: 0,
                cause: None,
            },
            CausedEvent {
                event: effect,
                depth: 1,
                cause: Some(asked.id()),
            },
        ],
        cut: true,
    }
}

#[test]
fn a_tree_is_told_in_lines() {
    let text = "\
from 00000000-0000-0000-0000-000000000062, which is not in the log
  10 order_placed of order-7 by ada\\n
* 20 order_placed of order-7 by ada\\n
    30 order_placed of order-7 by ada\\n, through 00000000-0000-0000-0000-000000000063
  … there are more effects
";
    assert_eq!(tree("7").to_string(), text);
}

#[test]
fn a_tree_is_drawn_from_the_beginning_down() {
    let uuid = |last: &str| format!("00000000#45;0000#45;0000#45;0000#45;0000000000{last}");
    let drawn = format!(
        "flowchart TD
    e0[\"order_placed<br/>order#45;7, version 1<br/>position 10\"]
    outside([\"{}\"]) --> e0
    e1[\"order_placed<br/>order#45;7, version 2<br/>position 20\"]:::asked
    e0 --> e1
    e2[\"order_placed<br/>order#45;7, version 3<br/>position 30\"]
    e1 -->|\"{}\"| e2
    more([\"there#32;are#32;more#32;effects\"])
    classDef asked stroke-width:3px
",
        uuid("62"),
        uuid("63"),
    );
    assert_eq!(tree("7").to_mermaid(), drawn);
}

/// Whatever a key is made of, the lines of the diagram are the same but for the labels.
#[test]
fn hostile_keys_are_nothing_but_labels() {
    for key in [
        "\"] --> x[\"",
        "end",
        "a;b",
        "<script>",
        "#34;",
        "`md`",
        "%%{init: {}}%%",
        "|x|",
        "Ünïcode",
        "long".repeat(60).as_str(),
    ] {
        let drawn = tree(key).to_mermaid();
        assert_eq!(drawn.lines().count(), 9, "{drawn}");
        for line in drawn.lines().filter(|line| line.contains("<br/>")) {
            let label = line.split('"').collect::<Vec<_>>();
            assert_eq!(label.len(), 3, "{line}");
            let bare = label[1].replace("<br/>", "");
            let harmless = |c: char| c.is_alphanumeric() || "_#;, …".contains(c);
            assert!(bare.chars().all(harmless), "{bare}");
            assert!(!bare.to_lowercase().contains("end"), "{bare}");
        }
    }
}
