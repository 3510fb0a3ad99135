//! Payments with cards and accounts, for the lakehouse's bronze table.

use connect_core::data::Timestamp;
use fastrand::Rng;

use super::fields::Fields;
use super::{rfc3339, skewed, uuid, weighted};

pub(super) const FIELDS: &[&str] = &[
    "transaction_id",
    "transaction_timestamp",
    "account_id",
    "customer_id",
    "transaction_type",
    "amount",
    "currency",
    "merchant_id",
    "merchant_category",
    "payment_channel",
    "country",
    "status",
];

/// Where customers spend: category, smallest and largest amount in cents.
const CATEGORIES: [(&str, i64, i64); 9] = [
    ("grocery", 350, 18_000),
    ("restaurant", 600, 12_000),
    ("fuel", 1_500, 11_000),
    ("online_retail", 499, 45_000),
    ("transport", 180, 6_000),
    ("pharmacy", 399, 9_500),
    ("utilities", 2_500, 32_000),
    ("electronics", 1_999, 220_000),
    ("travel", 8_000, 450_000),
];

const TYPES: &[(&str, u32)] = &[
    ("purchase", 84),
    ("withdrawal", 8),
    ("transfer", 5),
    ("refund", 3),
];

const CHANNELS: &[(&str, u32)] = &[("pos", 48), ("online", 30), ("mobile", 22)];

/// Country with its currency.
const COUNTRIES: &[((&str, &str), u32)] = &[
    (("US", "USD"), 70),
    (("CA", "CAD"), 10),
    (("GB", "GBP"), 8),
    (("DE", "EUR"), 7),
    (("FR", "EUR"), 5),
];

const STATES: &[(&str, u32)] = &[("completed", 93), ("pending", 4), ("declined", 3)];

pub(super) fn write(chance: &mut Rng, time: Timestamp, out: &mut Vec<u8>) {
    let id = uuid(chance);
    let customer = chance.u32(0..200) * chance.u32(0..200);
    let kind = weighted(chance, TYPES);
    let (category, least, most) = skewed(chance, &CATEGORIES);
    // Small amounts are far more frequent than large ones, and refunds give money back.
    let share = chance.f64().powi(3);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "cents far below 2^53"
    )]
    let cents = least + ((most - least) as f64 * share) as i64;
    let is_shop = matches!(kind, "purchase" | "refund");
    let (country, currency) = weighted(chance, COUNTRIES);
    let merchant =
        format_args!("MER_{:04}", 100 + chance.u32(0..30) * chance.u32(0..30)).to_string();
    let channel = weighted(chance, CHANNELS);
    Fields::begin(out)
        .text("transaction_id", id)
        .text("transaction_timestamp", rfc3339(time))
        // A customer has one account, and it is always the same.
        .text("account_id", format_args!("ACC_{:06}", 100_000 + customer))
        .text("customer_id", format_args!("CUST_{}", 10_000 + customer))
        .text("transaction_type", kind)
        .cents("amount", if kind == "refund" { -cents } else { cents })
        .text("currency", currency)
        .text_or_null("merchant_id", is_shop.then_some(merchant))
        .text_or_null("merchant_category", is_shop.then_some(category))
        .text(
            "payment_channel",
            if kind == "withdrawal" { "atm" } else { channel },
        )
        .text("country", country)
        .text("status", weighted(chance, STATES))
        .end();
}
