//! Reads the input file: one order a line.

use std::{fmt, path::Path};

use anyhow::Context as _;
use chrono::NaiveDate;
use uuid::Uuid;

use crate::{
    contexts::orders::commands::{Item, SubmitOrder},
    ids::{CustomerId, OrderId},
    money::Cents,
};

/// The data set of the example, so that it runs from any folder.
const DATA_SET: &str = include_str!("../data/cdnow_orders.txt");

/// What a file asks for.
#[derive(Debug, Default)]
pub struct Input {
    /// Names the file and its content: what the embedded store of this input is called.
    pub name: String,
    /// The orders, in the order of the lines.
    pub orders: Vec<SubmitOrder>,
    /// The lines that are none.
    pub bad_lines: Vec<BadLine>,
}

/// A line that is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.reason)
    }
}

impl Input {
    /// Reads a file, or the data set of the example.
    pub fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                name: "cdnow".to_owned(),
                ..Self::parse(DATA_SET)
            });
        };
        let bytes = std::fs::read(path)
            .with_context(|| format!("can't read the input file {}", path.display()))?;
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = format!(
            "{stem}-{}",
            Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes).simple()
        );
        // Bytes that are no text make their own line bad, and no other.
        Ok(Self {
            name,
            ..Self::parse(&String::from_utf8_lossy(&bytes))
        })
    }

    /// Reads text. Empty lines are passed over.
    pub fn parse(text: &str) -> Self {
        let mut input = Self::default();
        for (number, line) in text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
        {
            if line.is_empty() {
                continue;
            }
            match parse_line(number, line) {
                Ok(order) => input.orders.push(order),
                Err(reason) => input.bad_lines.push(BadLine { number, reason }),
            }
        }
        input
    }

    /// What all orders come to.
    pub fn total(&self) -> Cents {
        self.orders
            .iter()
            .flat_map(|order| &order.items)
            .map(|item| item.amount)
            .sum()
    }
}

/// Customer, number in the sample, date, number of CDs, dollars.
fn parse_line(number: usize, line: &str) -> Result<SubmitOrder, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [customer, _sample, date, quantity, amount] = fields[..] else {
        return Err(format!("expected 5 fields, found {}", fields.len()));
    };
    if customer.is_empty() || !customer.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{customer:?} is not a customer number"));
    }
    let ordered_on = NaiveDate::parse_from_str(date, "%Y%m%d")
        .map_err(|_| format!("{date:?} is not a date such as 19970131"))?;
    let quantity: u32 = quantity
        .parse()
        .map_err(|_| format!("{quantity:?} is not a number of CDs"))?;
    if quantity == 0 {
        return Err("an order has at least one CD".to_owned());
    }
    if quantity > Item::MOST {
        return Err(format!("an order has at most {} CDs", Item::MOST));
    }
    let amount: Cents = amount
        .parse()
        .map_err(|error: crate::money::NotAnAmount| error.to_string())?;
    if amount > Item::DEAREST {
        return Err(format!("an order costs at most {}", Item::DEAREST));
    }
    Ok(SubmitOrder {
        order: OrderId::of_line(number, line),
        customer: CustomerId(customer.to_owned()),
        ordered_on,
        items: vec![Item {
            product: "cd".to_owned(),
            quantity,
            amount,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_set_has_6919_orders() {
        let input = Input::parse(DATA_SET);
        assert_eq!((input.orders.len(), input.bad_lines.len()), (6919, 0));
        let ids: std::collections::BTreeSet<_> =
            input.orders.iter().map(|order| order.order).collect();
        assert_eq!(ids.len(), 6919, "equal lines are orders of their own");
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_are_read() {
        let input = Input::parse(
            " 1 1 19970101 2 29.33\n\n2 2 19971301 1 5.00\n3 3 19970101 x 5.00\n4 4 19970101 1 -5\n5 5\n6 6 19970102 0 1.00\nx 1 19970101 1 1.00\n7 7 19970102 1 9.99\n8 8 19970102 1000001 1.00\n9 9 19970102 1 1000000000.01",
        );
        let bad: Vec<usize> = input.bad_lines.iter().map(|line| line.number).collect();
        assert_eq!(bad, [3, 4, 5, 6, 7, 8, 10, 11]);
        assert_eq!(input.orders.len(), 2);
        assert_eq!(input.total(), Cents(3932));
        assert!(
            input.bad_lines[0]
                .to_string()
                .contains("line 3: \"19971301\" is not a date")
        );
    }
}
