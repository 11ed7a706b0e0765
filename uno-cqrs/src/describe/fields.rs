//! The fields of a payload, as a JSON Schema describes them.

use serde_json::Value;

/// How deep fields within fields are followed.
const DEPTH: usize = 4;

/// A field of a payload, or of something in it.
pub(super) struct Field {
    /// How to get there: `items[].product`.
    pub(super) path: String,
    /// What it is, in the words of JSON.
    pub(super) kind: String,
    pub(super) required: bool,
    /// What it means; empty if nothing says so.
    pub(super) doc: String,
}

/// What a reference stands for; anything else, itself.
pub(super) fn resolve<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let mut schema = schema;
    // A chain of references that is longer than this goes in a circle.
    for _ in 0..16 {
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|target| target.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The fields of a payload, and those within them; none when it is not an object.
pub(super) fn of(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    collect(schema, schema, "", 0, &mut fields);
    fields
}

fn collect(schema: &Value, root: &Value, path: &str, depth: usize, fields: &mut Vec<Field>) {
    let schema = resolve(schema, root);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        if let Some(items) = schema.get("items").filter(|_| depth < DEPTH) {
            collect(items, root, &format!("{path}[]"), depth + 1, fields);
        }
        return;
    };
    let required = schema.get("required").and_then(Value::as_array);
    for (name, field) in properties {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        fields.push(Field {
            kind: kind(field, root, 0),
            required: required.is_some_and(|all| all.iter().any(|one| one == name)),
            doc: doc(field, root),
            path: path.clone(),
        });
        if depth < DEPTH {
            collect(field, root, &path, depth + 1, fields);
        }
    }
}

/// The description of a field, or else that of its type.
fn doc(field: &Value, root: &Value) -> String {
    let own = |schema: &Value| schema.get("description")?.as_str().map(str::to_owned);
    let of_one = |key: &str| match field.get(key).and_then(Value::as_array).map(Vec::as_slice) {
        // An optional field is its type or null, and a field with a default is all of its type alone.
        Some([only]) => own(resolve(only, root)),
        Some([one, other]) if is_null(other) => own(resolve(one, root)),
        _ => None,
    };
    own(field)
        .or_else(|| own(resolve(field, root)))
        .or_else(|| of_one("anyOf"))
        .or_else(|| of_one("allOf"))
        .unwrap_or_default()
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// What a value of this schema is.
pub(super) fn kind(schema: &Value, root: &Value, depth: usize) -> String {
    let name = schema.get("$ref").and_then(Value::as_str);
    if let Some(name) = name.filter(|_| depth > DEPTH) {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    let schema = resolve(schema, root);
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let alternatives = |mut of: Vec<String>| {
        of.dedup();
        of.join(" or ")
    };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return alternatives(values.iter().map(Value::to_string).collect());
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            let choices = choices.iter().map(|choice| kind(choice, root, depth + 1));
            return alternatives(choices.collect());
        }
    }
    let typed = |kind_of: &str| match kind_of {
        "array" => match schema.get("items") {
            Some(items) => format!("array of {}", kind(items, root, depth + 1)),
            None => "array".to_owned(),
        },
        other => match schema.get("format").and_then(Value::as_str) {
            Some(format) => format!("{other} ({format})"),
            None => other.to_owned(),
        },
    };
    match schema.get("type") {
        Some(Value::String(kind)) => typed(kind),
        Some(Value::Array(kinds)) => alternatives(
            kinds
                .iter()
                .filter_map(Value::as_str)
                .map(|kind| {
                    if kind == "null" {
                        "null".to_owned()
                    } else {
                        typed(kind)
                    }
                })
                .collect(),
        ),
        _ => "anything".to_owned(),
    }
}
