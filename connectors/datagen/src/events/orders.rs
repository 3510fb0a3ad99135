//! Retail orders as the lakehouse's sources report them.

use std::io::Write;

use connect_core::data::Timestamp;
use fastrand::Rng;

use super::{amount, day, skewed, weighted};

pub(super) const FIELDS: &[&str] = &[
    "order_id",
    "order_date",
    "customer_id",
    "product_id",
    "category",
    "sub_category",
    "quantity",
    "sales",
    "discount",
    "profit",
    "region",
    "state",
    "segment",
    "ship_mode",
    "ship_date",
];

/// Ids begin here.
const FIRST_ID: u64 = 100_000;
const DAY_MILLIS: i64 = 86_400_000;

/// Category, sub-category, price in cents, margin in percent.
const PRODUCTS: [(&str, &str, i64, i64); 10] = [
    ("Office Supplies", "Paper", 1_295, 42),
    ("Office Supplies", "Binders", 1_850, 38),
    ("Technology", "Phones", 34_900, 18),
    ("Furniture", "Chairs", 19_900, 15),
    ("Office Supplies", "Storage", 8_475, 22),
    ("Technology", "Accessories", 5_990, 30),
    ("Furniture", "Tables", 42_500, 9),
    ("Office Supplies", "Art", 780, 35),
    ("Technology", "Machines", 125_050, 12),
    ("Furniture", "Bookcases", 27_300, 8),
];

const PLACES: [(&str, &str); 10] = [
    ("West", "California"),
    ("East", "New York"),
    ("Central", "Texas"),
    ("West", "Washington"),
    ("East", "Pennsylvania"),
    ("Central", "Illinois"),
    ("South", "Florida"),
    ("East", "Ohio"),
    ("South", "North Carolina"),
    ("Central", "Michigan"),
];

const SEGMENTS: &[(&str, u32)] = &[("Consumer", 52), ("Corporate", 30), ("Home Office", 18)];

/// Mode with the days it takes.
const SHIP_MODES: &[((&str, i64), u32)] = &[
    (("Standard Class", 5), 60),
    (("Second Class", 3), 20),
    (("First Class", 2), 15),
    (("Same Day", 0), 5),
];

const DISCOUNTS: &[(i64, u32)] = &[(0, 55), (10, 20), (20, 20), (30, 5)];

pub(super) fn write(chance: &mut Rng, index: u64, time: Timestamp, out: &mut Vec<u8>) {
    let product = chance.usize(0..PRODUCTS.len() * 20);
    let (category, sub_category, price, margin) = skewed(chance, &PRODUCTS);
    let quantity = i64::from(weighted(
        chance,
        &[(1, 35), (2, 25), (3, 20), (5, 15), (9, 5)],
    ));
    let off = weighted(chance, DISCOUNTS);
    let gross = price * quantity;
    let sales = gross * (100 - off) / 100;
    let profit = sales - gross * (100 - margin) / 100;
    let (region, state) = skewed(chance, &PLACES);
    let (ship_mode, days) = weighted(chance, SHIP_MODES);
    let shipped = Timestamp::from_millis(time.as_millis() + days * DAY_MILLIS);
    write!(
        out,
        "{{\"order_id\":\"ORD-{}\",\"order_date\":\"{}\",\"customer_id\":\"C{:03}\",\"product_id\":\"P{:03}\",\
         \"category\":\"{category}\",\"sub_category\":\"{sub_category}\",\"quantity\":{quantity},\"sales\":{},\"discount\":{},\
         \"profit\":{},\"region\":\"{region}\",\"state\":\"{state}\",\"segment\":\"{}\",\"ship_mode\":\"{ship_mode}\",\
         \"ship_date\":\"{}\"}}",
        FIRST_ID + index,
        day(time),
        1 + chance.u32(0..32) * chance.u32(0..32),
        1 + product,
        amount(sales),
        amount(off),
        amount(profit),
        weighted(chance, SEGMENTS),
        day(shipped),
    )
    .expect("a Vec takes every byte");
}
