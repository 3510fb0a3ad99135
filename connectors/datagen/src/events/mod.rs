//! Events as JSON: each a pure function of seed, index and time, so that a restart goes on without making the others again.

mod dealer;
mod disorder;
mod fields;
mod orders;
mod sales;
mod transactions;

use connect_core::data::Timestamp;

pub use dealer::System;
pub use disorder::{Disorder, LATENESS_MINUTES};

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Retail sales: 13 fields, ids as UUIDs.
    Sales,
    /// Retail orders: ids that count up.
    Orders,
    /// Payments with cards and accounts: ids as UUIDs.
    Transactions,
    /// One of a car dealer's six systems.
    Dealer(System),
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Sales,
        Self::Orders,
        Self::Transactions,
        Self::Dealer(System::Sales),
        Self::Dealer(System::Payments),
        Self::Dealer(System::Interactions),
        Self::Dealer(System::Inventory),
        Self::Dealer(System::Procurement),
        Self::Dealer(System::Telemetry),
    ];

    /// The names of [`EventKind::ALL`], as options spell them.
    pub const NAMES: [&'static str; 9] = [
        "sales",
        "orders",
        "transactions",
        "dealer-sales",
        "dealer-payments",
        "dealer-interactions",
        "dealer-inventory",
        "dealer-procurement",
        "dealer-telemetry",
    ];

    /// The kind of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let mut kinds = Self::NAMES.iter().zip(Self::ALL);
        kinds
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, kind)| kind)
    }

    /// The names of an event's fields, in order.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Sales => sales::FIELDS,
            Self::Orders => orders::FIELDS,
            Self::Transactions => transactions::FIELDS,
            Self::Dealer(system) => system.fields(),
        }
    }

    /// The field that names an event in log lines.
    pub fn id_field(self) -> &'static str {
        match self {
            Self::Sales | Self::Orders => "order_id",
            Self::Transactions => "transaction_id",
            Self::Dealer(_) => "event_id",
        }
    }

    /// Appends event number `index` (from 0), made at `time`, as a JSON object.
    pub fn write(self, seed: u64, index: u64, time: Timestamp, out: &mut Vec<u8>) {
        let mut chance = chance(seed, index);
        match self {
            Self::Sales => sales::write(&mut chance, time, out),
            Self::Orders => orders::write(&mut chance, index, time, out),
            Self::Transactions => transactions::write(&mut chance, time, out),
            Self::Dealer(system) => system.write(seed, index, time, out),
        }
    }
}

/// Chance for one event, independent of all others.
fn chance(seed: u64, index: u64) -> fastrand::Rng {
    // SplitMix64's step: neighbouring indices must not give similar numbers.
    let mut mixed = seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    fastrand::Rng::with_seed(mixed ^ (mixed >> 31))
}

/// One of `items`, the first ones far more often than the last: shops and products sell unevenly.
fn skewed<'a, T>(chance: &mut fastrand::Rng, items: &'a [T]) -> &'a T {
    let drawn = chance.f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a short list"
    )]
    let index = (drawn * drawn * items.len() as f64) as usize;
    items
        .get(index.min(items.len() - 1))
        .expect("the list is not empty")
}

/// One of `items`, by weight.
fn weighted<T: Copy>(chance: &mut fastrand::Rng, items: &[(T, u32)]) -> T {
    let total: u32 = items.iter().map(|(_, weight)| weight).sum();
    let mut drawn = chance.u32(0..total);
    for (item, weight) in items {
        if drawn < *weight {
            return *item;
        }
        drawn -= weight;
    }
    items.first().expect("the list is not empty").0
}

/// Cents as an amount: `1250.50`.
fn amount(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

/// The moment in RFC 3339, with milliseconds and `Z`.
fn rfc3339(time: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or_default();
    format!("{moment:.3}")
}

/// The day, `2024-01-15`.
fn day(time: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// A random UUID (version 4).
fn uuid(chance: &mut fastrand::Rng) -> String {
    let bits = chance.u128(..);
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

/// The text of a top-level string field.
pub fn text_field<'a>(event: &'a [u8], field: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(event).ok()?;
    let start = text.split_once(&format!("\"{field}\":"))?.1;
    match start.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => start.split([',', '}']).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const TIME: Timestamp = Timestamp::from_millis(1_705_314_600_123);

    fn event(kind: EventKind, seed: u64, index: u64) -> Value {
        let mut out = Vec::new();
        kind.write(seed, index, TIME, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn cents(value: &Value) -> i64 {
        (value.as_f64().unwrap() * 100.0).round() as i64
    }

    #[test]
    fn events_have_exactly_the_declared_fields_in_order() {
        for kind in EventKind::ALL {
            let event = event(kind, 1, 0);
            let names: Vec<_> = event
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(names, kind.fields());
        }
    }

    #[test]
    fn the_same_seed_and_index_make_the_same_event_and_others_do_not() {
        for kind in EventKind::ALL {
            assert_eq!(event(kind, 7, 41), event(kind, 7, 41));
            assert_ne!(event(kind, 7, 41), event(kind, 7, 42));
            assert_ne!(event(kind, 7, 41)[kind.id_field()], Value::Null);
            assert_ne!(event(kind, 7, 41), event(kind, 8, 41), "{kind:?}");
        }
    }

    #[test]
    fn totals_of_sales_add_up_to_the_cent() {
        for index in 0..2_000 {
            let sale = event(EventKind::Sales, 3, index);
            let gross = cents(&sale["unit_price"]) * sale["quantity"].as_i64().unwrap();
            let percent = 100 - cents(&sale["discount"]);
            assert_eq!(
                cents(&sale["total_price"]),
                (gross * percent + 50) / 100,
                "{sale}"
            );
        }
    }

    #[test]
    fn sales_look_as_described() {
        let sale = event(EventKind::Sales, 1, 5);
        assert_eq!(sale["order_id"].as_str().unwrap().len(), 36);
        assert!(sale["store_id"].as_str().unwrap().starts_with("STORE_"));
        assert!(sale["customer_id"].as_str().unwrap().starts_with("CUST_"));
        let category = sale["category"].as_str().unwrap();
        assert!(sale["product_id"].as_str().unwrap().starts_with(category));
        assert_eq!(sale["sale_timestamp"], "2024-01-15T10:30:00.123Z");
    }

    #[test]
    fn orders_count_up_and_carry_their_day() {
        let order = event(EventKind::Orders, 1, 0);
        assert_eq!(order["order_id"], "ORD-100000");
        assert_eq!(
            event(EventKind::Orders, 1, 23_456)["order_id"],
            "ORD-123456"
        );
        assert_eq!(order["order_date"], "2024-01-15");
    }

    #[test]
    fn a_customer_has_one_account_and_refunds_give_money_back() {
        let mut accounts = std::collections::HashMap::new();
        for index in 0..5_000 {
            let made = event(EventKind::Transactions, 1, index);
            let customer = made["customer_id"].to_string();
            let account = accounts
                .entry(customer)
                .or_insert_with(|| made["account_id"].clone());
            assert_eq!(*account, made["account_id"]);
            assert_eq!(
                cents(&made["amount"]) < 0,
                made["transaction_type"] == "refund",
                "{made}"
            );
            let is_shop =
                made["transaction_type"] == "purchase" || made["transaction_type"] == "refund";
            assert_eq!(made["merchant_id"].is_string(), is_shop, "{made}");
        }
    }

    #[test]
    fn kinds_are_found_by_name() {
        for (name, kind) in EventKind::NAMES.into_iter().zip(EventKind::ALL) {
            assert_eq!(EventKind::named(name), Some(kind));
            if let EventKind::Dealer(system) = kind {
                assert_eq!(name, format!("dealer-{}", system.name()));
            }
        }
        assert_eq!(EventKind::named("sale"), None);
    }

    #[test]
    fn few_stores_make_most_sales() {
        let mut counts = std::collections::HashMap::new();
        for index in 0..5_000 {
            let store = event(EventKind::Sales, 1, index)["store_id"].to_string();
            *counts.entry(store).or_insert(0_u32) += 1;
        }
        let (least, most) = (
            counts.values().min().unwrap(),
            counts.values().max().unwrap(),
        );
        assert!(most > &(least * 3), "{counts:?}");
    }

    #[test]
    fn a_field_is_found_in_the_bytes() {
        let mut out = Vec::new();
        EventKind::Orders.write(1, 7, TIME, &mut out);
        assert_eq!(text_field(&out, "order_id"), Some("ORD-100007"));
    }
}
