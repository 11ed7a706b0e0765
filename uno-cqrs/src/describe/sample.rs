//! A sample that fits a JSON Schema: for people to look at, where no stored event is at hand.

use serde_json::{Map, Value, json};

use super::fields::resolve;

/// How deep a sample goes: a type that holds itself has none without an end.
const DEPTH: usize = 16;

/// The schema's first example, or else a payload that is made from it; `None` when it can't be told what would fit.
pub(super) fn of(schema: &Value) -> Option<Value> {
    make(schema, schema, 0)
}

fn make(schema: &Value, root: &Value, depth: usize) -> Option<Value> {
    if depth > DEPTH {
        return None;
    }
    let schema = resolve(schema, root);
    let Some(object) = schema.as_object() else {
        return (schema == &Value::Bool(true)).then(|| json!({}));
    };
    let first = |key: &str| object.get(key)?.as_array()?.first();
    if let Some(value) = first("examples")
        .or_else(|| object.get("const"))
        .or_else(|| first("enum"))
        .or_else(|| object.get("default"))
    {
        return Some(value.clone());
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = object.get(key).and_then(Value::as_array) {
            return choices
                .iter()
                .find_map(|choice| make(choice, root, depth + 1));
        }
    }
    let kind = match object.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.iter().find_map(Value::as_str)?,
        _ => return Some(json!({})),
    };
    match kind {
        "string" => Some(text(object)),
        "integer" | "number" => Some(number(object)),
        "boolean" => Some(true.into()),
        "null" => Some(Value::Null),
        "array" => list(object, root, depth),
        "object" => {
            let mut sample = Map::new();
            let required = object.get("required").and_then(Value::as_array);
            let is_required =
                |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
            for (name, field) in object
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                match make(field, root, depth + 1) {
                    Some(value) => {
                        sample.insert(name.clone(), value);
                    }
                    None if is_required(name) => return None,
                    None => {}
                }
            }
            Some(sample.into())
        }
        _ => None,
    }
}

fn list(schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Value> {
    if let Some(parts) = schema.get("prefixItems").and_then(Value::as_array) {
        let parts = parts.iter().map(|part| make(part, root, depth + 1));
        return parts.collect::<Option<Vec<_>>>().map(Value::from);
    }
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    let item = schema
        .get("items")
        .and_then(|items| make(items, root, depth + 1));
    match item {
        Some(item) => Some(vec![item; usize::try_from(least.clamp(1, 16)).unwrap_or(1)].into()),
        None => (least == 0).then(|| json!([])),
    }
}

/// A number that is in the schema's range, and is not the same everywhere.
fn number(schema: &Map<String, Value>) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let (least, most) = (bound("minimum"), bound("maximum"));
    let fits = |number: f64| {
        least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most)
    };
    for wanted in [42, 1, 0] {
        if fits(f64::from(wanted)) {
            return wanted.into();
        }
    }
    schema
        .get("minimum")
        .or_else(|| schema.get("maximum"))
        .cloned()
        .unwrap_or_else(|| 0.into())
}

/// A text of the schema's format.
fn text(schema: &Map<String, Value>) -> Value {
    let format = schema.get("format").and_then(Value::as_str);
    let text = match format.unwrap_or_default() {
        "uuid" => "5f0c1f3e-6f3e-5b0e-8a0d-000000000001",
        "date" => "2026-01-31",
        "date-time" | "partial-date-time" => "2026-01-31T12:00:00Z",
        "time" | "partial-time" => "12:00:00",
        "email" => "ada@example.com",
        "uri" | "uri-reference" => "https://example.com/",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        _ => "text",
    };
    let bound = |key: &str, otherwise| {
        let bound = schema.get(key).and_then(Value::as_u64);
        bound
            .and_then(|bound| usize::try_from(bound).ok())
            .unwrap_or(otherwise)
    };
    if format.is_some() {
        return text.into();
    }
    let (least, most) = (
        bound("minLength", 0).min(256),
        bound("maxLength", usize::MAX),
    );
    text.chars()
        .cycle()
        .take(text.len().max(least).min(most))
        .collect::<String>()
        .into()
}
