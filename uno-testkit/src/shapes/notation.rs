//! The notation of stored shapes: what a JSON Schema says about the JSON that serde writes, in a form that reads well in a diff.
//!
//! | JSON | notation |
//! |---|---|
//! | a text, a whole number, a number, `true` or `false`, nothing | `"text"`, `"integer"`, `"number"`, `"bool"`, `"null"` |
//! | anything | `"any"` |
//! | exactly this value | `{"$is": value}` |
//! | a list | `["text"]`; of fixed parts `{"$tuple": [..]}` |
//! | an object | `{"field": .., "may_be_missing?": ..}`; `"$closed": true` in it if other fields are refused |
//! | an object with any keys | `{"$map": ..}` |
//! | one of several | `{"$one_of": [..]}` |
//! | what it is part of | `{"$again": "Type"}` |

use serde_json::{Map, Value, json};

/// The shape that a schema describes.
pub(super) fn of_schema(schema: &Value) -> Value {
    Reader {
        root: schema,
        within: Vec::new(),
    }
    .shape(schema)
}

struct Reader<'s> {
    root: &'s Value,
    /// The definitions that are being read.
    within: Vec<String>,
}

impl Reader<'_> {
    fn shape(&mut self, schema: &Value) -> Value {
        let Some(object) = schema.as_object() else {
            return json!("any");
        };
        if let Some(value) = object.get("const") {
            return json!({ "$is": value });
        }
        if let Some(values) = object.get("enum").and_then(Value::as_array) {
            return one_of(values.iter().map(|value| json!({ "$is": value })).collect());
        }
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            return self.referred(reference);
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = object.get(key).and_then(Value::as_array) {
                return one_of(choices.iter().map(|choice| self.shape(choice)).collect());
            }
        }
        if let Some([only]) = object
            .get("allOf")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            return self.shape(only);
        }
        match object.get("type") {
            Some(Value::String(kind)) => self.typed(kind, object),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                one_of(kinds.map(|kind| self.typed(kind, object)).collect())
            }
            _ => json!("any"),
        }
    }

    fn referred(&mut self, reference: &str) -> Value {
        let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        if self.within.contains(&name) {
            return json!({ "$again": name });
        }
        let Some(schema) = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
            .cloned()
        else {
            return json!("any");
        };
        self.within.push(name);
        let shape = self.shape(&schema);
        self.within.pop();
        shape
    }

    fn typed(&mut self, kind: &str, schema: &Map<String, Value>) -> Value {
        match kind {
            "string" => json!("text"),
            "integer" => json!("integer"),
            "number" => json!("number"),
            "boolean" => json!("bool"),
            "null" => json!("null"),
            "array" => match schema.get("prefixItems").and_then(Value::as_array) {
                Some(parts) => {
                    let parts: Vec<_> = parts.iter().map(|part| self.shape(part)).collect();
                    json!({ "$tuple": parts })
                }
                None => json!([schema
                    .get("items")
                    .map_or(json!("any"), |items| self.shape(items))]),
            },
            "object" => self.object(schema),
            _ => json!("any"),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>) -> Value {
        let fields = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        if let (None, Some(values @ Value::Object(_))) = (fields, others) {
            return json!({ "$map": self.shape(values) });
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut shape = Map::new();
        for (name, field) in fields.into_iter().flatten() {
            let mark = if required.contains(&&**name) { "" } else { "?" };
            shape.insert(format!("{name}{mark}"), self.shape(field));
        }
        if others == Some(&Value::Bool(false)) {
            shape.insert("$closed".to_owned(), true.into());
        }
        // Sorted, because a feature of serde_json that anybody may switch on keeps the order of insertion.
        let mut sorted: Vec<_> = shape.into_iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        Value::Object(sorted.into_iter().collect())
    }
}

/// A schema that says what the shape says: the way back, for shapes whose type is gone. What they mean is lost, and so are formats.
pub(super) fn to_schema(shape: &Value) -> Value {
    match shape {
        Value::String(kind) => match kind.as_str() {
            "text" => json!({ "type": "string" }),
            "integer" | "number" | "null" => json!({ "type": kind }),
            "bool" => json!({ "type": "boolean" }),
            _ => json!({}),
        },
        Value::Array(items) => {
            json!({ "type": "array", "items": items.first().map_or(json!({}), to_schema) })
        }
        Value::Object(object) => {
            if let Some(value) = object.get("$is") {
                json!({ "const": value })
            } else if let Some(choices) = object.get("$one_of").and_then(Value::as_array) {
                let choices: Vec<_> = choices.iter().map(to_schema).collect();
                json!({ "anyOf": choices })
            } else if let Some(parts) = object.get("$tuple").and_then(Value::as_array) {
                let count = parts.len();
                let parts: Vec<_> = parts.iter().map(to_schema).collect();
                json!({ "type": "array", "prefixItems": parts, "minItems": count, "maxItems": count })
            } else if let Some(of) = object.get("$map") {
                json!({ "type": "object", "additionalProperties": to_schema(of) })
            } else {
                schema_of_fields(shape)
            }
        }
        _ => json!({}),
    }
}

fn schema_of_fields(shape: &Value) -> Value {
    // What holds itself is not followed: `$again` says no more than that.
    let Some(fields) = fields(shape) else {
        return json!({});
    };
    let required = fields.iter().filter(|(_, required, _)| *required);
    let required: Vec<_> = required.map(|(name, ..)| *name).collect();
    let properties = fields
        .iter()
        .map(|(name, _, shape)| ((*name).to_owned(), to_schema(shape)));
    let properties: Map<_, _> = properties.collect();
    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
    if is_closed(shape) {
        schema["additionalProperties"] = false.into();
    }
    schema
}

/// One of several; of one, itself. In an order that does not depend on who lists them.
fn one_of(mut choices: Vec<Value>) -> Value {
    choices.sort_by_key(Value::to_string);
    choices.dedup();
    match choices.len() {
        1 => choices.remove(0),
        _ => json!({ "$one_of": choices }),
    }
}

/// The fields of a shape that is an object, without marks; `None` when it is none.
pub(super) fn fields(shape: &Value) -> Option<Vec<(&str, bool, &Value)>> {
    let object = shape.as_object()?;
    let is_special = |name: &String| name.starts_with('$') && name != "$closed";
    if object.keys().any(is_special) {
        return None;
    }
    let fields = object.iter().filter(|(name, _)| *name != "$closed");
    Some(
        fields
            .map(|(name, shape)| match name.strip_suffix('?') {
                Some(name) => (name, false, shape),
                None => (name.as_str(), true, shape),
            })
            .collect(),
    )
}

/// Whether a shape that is an object refuses other fields.
pub(super) fn is_closed(shape: &Value) -> bool {
    shape.get("$closed").is_some()
}

/// Where a value is not as the shape says; `None` when it is.
pub(super) fn mismatch(shape: &Value, value: &Value, at: &str) -> Option<String> {
    let fits = match shape {
        Value::String(kind) => match kind.as_str() {
            "text" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "bool" => value.is_boolean(),
            "null" => value.is_null(),
            _ => true,
        },
        Value::Array(items) => {
            let item = items.first().unwrap_or(&Value::Null);
            let Some(values) = value.as_array() else {
                return Some(at.to_owned());
            };
            let mut values = values.iter().enumerate();
            return values.find_map(|(n, value)| mismatch(item, value, &format!("{at}[{n}]")));
        }
        Value::Object(object) => {
            if let Some(expected) = object.get("$is") {
                value == expected
            } else if let Some(choices) = object.get("$one_of").and_then(Value::as_array) {
                choices
                    .iter()
                    .any(|choice| mismatch(choice, value, at).is_none())
            } else if let Some(parts) = object.get("$tuple").and_then(Value::as_array) {
                let Some(values) = value.as_array().filter(|v| v.len() == parts.len()) else {
                    return Some(at.to_owned());
                };
                let mut parts = parts.iter().zip(values).enumerate();
                return parts
                    .find_map(|(n, (part, value))| mismatch(part, value, &format!("{at}[{n}]")));
            } else if let Some(of) = object.get("$map") {
                let Some(values) = value.as_object() else {
                    return Some(at.to_owned());
                };
                let mut values = values.iter();
                return values.find_map(|(key, value)| mismatch(of, value, &format!("{at}.{key}")));
            } else if object.contains_key("$again") {
                true
            } else {
                return mismatch_of_fields(shape, value, at);
            }
        }
        _ => false,
    };
    (!fits).then(|| at.to_owned())
}

fn mismatch_of_fields(shape: &Value, value: &Value, at: &str) -> Option<String> {
    let Some(values) = value.as_object() else {
        return Some(at.to_owned());
    };
    let fields = fields(shape)?;
    for (name, required, shape) in &fields {
        let at = format!("{at}.{name}");
        match values.get(*name) {
            Some(value) => {
                if let Some(at) = mismatch(shape, value, &at) {
                    return Some(at);
                }
            }
            None if *required => return Some(at),
            None => {}
        }
    }
    // What serde writes is all in the schema: another field is one that the schema does not know of.
    let mut names = values.keys();
    let stranger = names.find(|name| fields.iter().all(|(known, ..)| known != name))?;
    Some(format!("{at}.{stranger}"))
}
