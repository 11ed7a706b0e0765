//! What events of the shop looked like before. Stored format: this reads what is stored, so it is never changed, only added to.
//!
//! * Version 1 had money in dollars, as a float, an order under `order_id`, and dates as `19970131`.
//! * Version 2 had money in whole cents and counted the items.
//! * Version 3, of today, calls an order `order`.

use chrono::NaiveDate;
use serde_json::{Map, Value};

/// Version 1 to 2 of events with an amount: dollars become cents.
pub fn amount_in_cents(old: Value) -> Result<Value, String> {
    cents(old, "amount")
}

/// Version 1 to 2 of events with a total: dollars become cents.
pub fn total_in_cents(old: Value) -> Result<Value, String> {
    cents(old, "total")
}

/// Version 1 to 2 of a new order: `19970131` becomes `1997-01-31`.
pub fn date_with_dashes(mut old: Value) -> Result<Value, String> {
    let date = old["ordered_on"].as_str().and_then(date);
    old["ordered_on"] = date.ok_or("no date")?.to_string().into();
    Ok(old)
}

/// Version 1 to 2 of events about stock: `count` becomes `quantity`.
pub fn count_is_quantity(old: Value) -> Result<Value, String> {
    rename(old, "count", "quantity")
}

/// Version 1 to 2 of a parcel: who carried it was always the same.
pub fn without_carrier(old: Value) -> Result<Value, String> {
    let mut fields = fields(old)?;
    fields.remove("carrier");
    Ok(fields.into())
}

/// Version 2 to 3 of all events: `order_id` becomes `order`.
pub fn order_id_is_order(old: Value) -> Result<Value, String> {
    rename(old, "order_id", "order")
}

/// Dates as version 1 had them, for `#[serde(with = "old::plain_date")]`.
pub mod plain_date {
    use chrono::NaiveDate;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&date.format("%Y%m%d"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::date(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no date")))
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y%m%d").ok()
}

/// Dollars as version 1 had them: with two digits after the point, so that the nearest cent is the right one.
pub fn to_cents(dollars: f64) -> i64 {
    (dollars * 100.0).round() as i64
}

fn cents(mut old: Value, field: &str) -> Result<Value, String> {
    let dollars = old[field].as_f64();
    old[field] = to_cents(dollars.ok_or_else(|| format!("no {field}"))?).into();
    Ok(old)
}

fn rename(old: Value, from: &str, to: &str) -> Result<Value, String> {
    let mut fields = fields(old)?;
    let value = fields.remove(from).ok_or_else(|| format!("no {from}"))?;
    fields.insert(to.to_owned(), value);
    Ok(fields.into())
}

fn fields(old: Value) -> Result<Map<String, Value>, String> {
    match old {
        Value::Object(fields) => Ok(fields),
        _ => Err("an event is an object".to_owned()),
    }
}
