//! The catalogue of events that is checked in is true, and what it says of payloads holds for all that was ever stored.

use std::{fs, path::Path};

use serde_json::{Value, json};
use uno::cqrs::Catalogue;
use uno_testkit::catalogue;

use crate::{app, stored};

fn complete() -> Catalogue {
    let mut catalogue = app::describe().unwrap();
    let folder = Path::new(stored::FOLDER);
    stored::shapes().complete(&mut catalogue, folder).unwrap();
    catalogue
}

/// Written anew by `UNO_GOLDEN=write cargo test -p orders catalogue`.
#[test]
fn the_catalogue_is_kept() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/catalogue");
    let found = catalogue::assert_kept(&complete(), env!("CARGO_PKG_VERSION"), folder);
    assert!(found.warnings().is_empty(), "{found}");
}

/// The schema, and what was stored in that version.
fn schemas() -> Vec<(String, Value, Vec<Value>)> {
    let mut schemas = Vec::new();
    for event in complete().events {
        for version in event.versions {
            let name = format!("{}.{}", event.name, version.version);
            let file = format!("{}/{name}.txt", stored::FOLDER);
            let text = fs::read_to_string(file).unwrap();
            let stored = text.lines().filter(|line| !line.starts_with(' '));
            let mut payloads: Vec<Value> = stored
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!(!payloads.is_empty(), "{name}");
            payloads.extend(version.sample);
            schemas.push((name, version.schema.unwrap(), payloads));
        }
    }
    assert_eq!(schemas.len(), 33);
    schemas
}

#[test]
fn all_that_was_stored_fits_the_schema_of_its_version() {
    for (name, schema, payloads) in schemas() {
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{name}");
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for payload in payloads {
            let error = validator.validate(&payload).err();
            assert!(error.is_none(), "{name}: {error:?}");
            // Every field is there for a reason, so without it the payload does not fit; unless it came later.
            for field in payload.as_object().unwrap().keys() {
                let later =
                    (name.as_str(), field.as_str()) == ("order_placed.3", "cooling_off_secs");
                let mut less = payload.clone();
                less.as_object_mut().unwrap().remove(field);
                assert_eq!(validator.is_valid(&less), later, "{name} without {field}");
            }
        }
    }
}

/// A sample that is made from a schema, without an example or a stored event, fits it.
#[test]
fn samples_are_made_that_fit() {
    let catalogue = app::describe().unwrap();
    let versions = catalogue.events.iter().flat_map(|event| &event.versions);
    let mut made = 0;
    for version in versions {
        if let Some(schema) = &version.schema {
            let sample = version.sample.as_ref().unwrap();
            assert!(jsonschema::is_valid(schema, sample), "{sample} {schema}");
            made += 1;
        }
    }
    // Of eleven events the version of now, and of two of them those before.
    assert_eq!(made, 11 + 2 * 2);
}

#[test]
fn the_asyncapi_document_holds_together() {
    let document = complete().to_asyncapi("1.0.0").unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut references = Vec::new();
    collect(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let channels = document["channels"].as_object().unwrap();
    let names: Vec<_> = channels.keys().map(String::as_str).collect();
    assert_eq!(names, ["allocation", "order", "parcel", "payment"]);
    assert_eq!(channels["order"]["address"], "order-{key}");
    let published = &document["operations"]["aggregate.parcel"];
    assert_eq!(published["action"], "send");
    let message = "#/channels/parcel/messages/parcel_dispatched.v3";
    assert_eq!(published["messages"], json!([{ "$ref": message }]));
    let handled = &document["operations"]["saga.fulfilment.parcel"];
    assert_eq!(handled["action"], "receive");
    assert_eq!(handled["messages"].as_array().unwrap().len(), 3);

    let schemas = document["components"]["schemas"].as_object().unwrap();
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!((schemas.len(), messages.len()), (33, 33));
    for (name, schema) in schemas {
        assert!(jsonschema::draft7::meta::is_valid(schema), "{name}");
        // References lead from the root of the document.
        let mut root = schema.clone();
        root["components"] = document["components"].clone();
        let validator = jsonschema::draft7::new(&root).unwrap();
        let sample = &messages[name]["examples"][0]["payload"];
        assert!(validator.is_valid(sample), "{name}: {sample}");
        assert!(!validator.is_valid(&json!({})), "{name}");
    }
}

fn collect(tree: &Value, references: &mut Vec<String>) {
    match tree {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                references.push(target.clone());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
