//! What has changed between two shapes of one version, and whether old and new code can both live with it.

use serde_json::Value;

use super::notation::{fields, is_closed};

/// A change of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What was changed, in words.
    pub(super) what: String,
    /// Whether old code reads what new code writes, and new code what old code has written, and nothing gets lost.
    pub(super) is_compatible: bool,
}

/// The changes from one shape to another, in the order of the fields.
pub(super) fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", old, new, &mut changes);
    changes
}

fn compare(at: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    if let (Some(old_fields), Some(new_fields)) = (fields(old), fields(new)) {
        let mut breaks = |what: String| {
            changes.push(Change {
                what,
                is_compatible: false,
            });
        };
        let path = |name: &str| match at {
            "" => name.to_owned(),
            at => format!("{at}.{name}"),
        };
        if is_closed(old) != is_closed(new) {
            breaks(format!(
                "{} refuses other fields, or no longer does",
                place(at)
            ));
        }
        for (name, required, _) in &old_fields {
            match new_fields.iter().find(|(other, ..)| other == name) {
                None => breaks(format!("field `{}` is gone", path(name))),
                Some((_, now, _)) if now != required => breaks(format!(
                    "field `{}` {}",
                    path(name),
                    if *now {
                        "must be there now"
                    } else {
                        "may be missing now"
                    }
                )),
                Some(_) => {}
            }
        }
        for (name, required, shape) in &new_fields {
            match old_fields.iter().find(|(other, ..)| other == name) {
                Some((_, _, before)) => compare(&path(name), before, shape, changes),
                // Old code passes over fields that it does not know, unless it was told to refuse them.
                None => changes.push(Change {
                    what: format!(
                        "{} field `{}` was added",
                        if *required { "required" } else { "optional" },
                        path(name)
                    ),
                    is_compatible: !required && !is_closed(old),
                }),
            }
        }
        return;
    }
    if let (Value::Array(one), Value::Array(other)) = (old, new)
        && let ([one], [other]) = (&**one, &**other)
    {
        return compare(&format!("{at}[]"), one, other, changes);
    }
    if let (Some(one), Some(other)) = (old.get("$map"), new.get("$map")) {
        return compare(&format!("{at}{{}}"), one, other, changes);
    }
    changes.push(Change {
        what: format!("{} was {} and is {}", place(at), words(old), words(new)),
        is_compatible: false,
    });
}

fn place(at: &str) -> String {
    match at {
        "" => "the payload".to_owned(),
        at => format!("field `{at}`"),
    }
}

fn words(shape: &Value) -> String {
    match shape {
        Value::String(kind) => kind.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(old: &Value, new: &Value, expected: &[(&str, bool)]) {
        let found = changes(old, new);
        let found: Vec<_> = found
            .iter()
            .map(|change| (&*change.what, change.is_compatible))
            .collect();
        assert_eq!(found, expected, "{old} {new}");
    }

    #[test]
    fn only_an_optional_field_more_is_compatible() {
        let old = json!({ "a": "text", "b?": "integer", "c": { "d": ["number"] } });
        check(&old, &old, &[]);
        let with = |change: &dyn Fn(&mut Value)| {
            let mut new = old.clone();
            change(&mut new);
            new
        };
        check(
            &old,
            &with(&|new| new["e?"] = json!("text")),
            &[("optional field `e` was added", true)],
        );
        check(
            &old,
            &with(&|new| new["c"]["e?"] = json!({ "$one_of": ["null", "text"] })),
            &[("optional field `c.e` was added", true)],
        );
        check(
            &old,
            &with(&|new| new["e"] = json!("text")),
            &[("required field `e` was added", false)],
        );
        check(
            &old,
            &json!({ "b?": "integer", "c": { "d": ["number"] }, "A": "text" }),
            &[
                ("field `a` is gone", false),
                ("required field `A` was added", false),
            ],
        );
        check(
            &old,
            &with(&|new| new["c"]["d"] = json!(["integer"])),
            &[("field `c.d[]` was number and is integer", false)],
        );
        check(
            &old,
            &json!({ "a?": "text", "b": "integer", "c": { "d": ["number"] } }),
            &[
                ("field `a` may be missing now", false),
                ("field `b` must be there now", false),
            ],
        );
        check(
            &old,
            &with(&|new| new["$closed"] = json!(true)),
            &[("the payload refuses other fields, or no longer does", false)],
        );
        check(
            &json!({ "$closed": true }),
            &json!({ "$closed": true, "e?": "text" }),
            &[("optional field `e` was added", false)],
        );
        check(
            &json!({ "$one_of": [{ "$is": "on" }] }),
            &json!({ "$one_of": [{ "$is": "off" }, { "$is": "on" }] }),
            &[(
                r#"the payload was {"$one_of":[{"$is":"on"}]} and is {"$one_of":[{"$is":"off"},{"$is":"on"}]}"#,
                false,
            )],
        );
        check(
            &json!({ "$map": "text" }),
            &json!({ "$map": "bool" }),
            &[("field `{}` was text and is bool", false)],
        );
        check(
            &json!("null"),
            &json!({}),
            &[("the payload was null and is {}", false)],
        );
    }
}
