//! Retail sales as point-of-sale systems report them.

use std::io::Write;

use connect_core::data::Timestamp;
use fastrand::Rng;

use super::{amount, rfc3339, skewed, uuid, weighted};

pub(super) const FIELDS: &[&str] = &[
    "order_id",
    "store_id",
    "product_id",
    "product_name",
    "category",
    "quantity",
    "unit_price",
    "total_price",
    "sale_timestamp",
    "customer_id",
    "payment_method",
    "discount",
    "store_location",
];

const STORES: [&str; 12] = [
    "New York",
    "Los Angeles",
    "Chicago",
    "Houston",
    "Phoenix",
    "Philadelphia",
    "San Antonio",
    "San Diego",
    "Dallas",
    "Austin",
    "Seattle",
    "Boston",
];

/// Category, id, name, price in cents.
const PRODUCTS: [(&str, u32, &str, i64); 15] = [
    ("Grocery", 101, "Coffee Beans 1kg", 1_899),
    ("Grocery", 102, "Olive Oil 1l", 1_249),
    ("Clothing", 201, "T-Shirt", 1_999),
    ("Electronics", 301, "Wireless Earbuds", 7_999),
    ("Home", 401, "Bath Towel Set", 3_499),
    ("Clothing", 202, "Jeans", 5_999),
    ("Electronics", 302, "Phone Charger", 2_499),
    ("Grocery", 103, "Dark Chocolate", 399),
    ("Home", 402, "Desk Lamp", 4_599),
    ("Sports", 501, "Yoga Mat", 2_999),
    ("Electronics", 303, "Smart Watch", 19_999),
    ("Sports", 502, "Running Shoes", 10_999),
    ("Clothing", 203, "Winter Jacket", 14_999),
    ("Home", 403, "Coffee Machine", 24_999),
    ("Electronics", 304, "Laptop", 119_999),
];

const PAYMENTS: &[(&str, u32)] = &[
    ("Credit Card", 45),
    ("Debit Card", 25),
    ("Mobile Payment", 18),
    ("Cash", 9),
    ("Gift Card", 3),
];

/// Percent off; most sales have none.
const DISCOUNTS: &[(i64, u32)] = &[(0, 70), (5, 10), (10, 10), (15, 5), (20, 4), (30, 1)];

pub(super) fn write(chance: &mut Rng, time: Timestamp, out: &mut Vec<u8>) {
    let order = uuid(chance);
    let store = skewed(chance, &STORES);
    let (category, id, name, price) = skewed(chance, &PRODUCTS);
    let quantity = if *price > 10_000 {
        1
    } else {
        i64::from(weighted(chance, &[(1, 60), (2, 25), (3, 10), (6, 5)]))
    };
    let off = weighted(chance, DISCOUNTS);
    let total = (price * quantity * (100 - off) + 50) / 100;
    let customer = 10_000 + chance.u32(0..300) * chance.u32(0..300);
    let payment = weighted(chance, PAYMENTS);
    write!(
        out,
        "{{\"order_id\":\"{order}\",\"store_id\":\"STORE_{}\",\"product_id\":\"{category}_{id}\",\"product_name\":\"{name}\",\
         \"category\":\"{category}\",\"quantity\":{quantity},\"unit_price\":{},\"total_price\":{},\"sale_timestamp\":\"{}\",\
         \"customer_id\":\"CUST_{customer}\",\"payment_method\":\"{payment}\",\"discount\":{},\"store_location\":\"{store}\"}}",
        store.replace(' ', "_").to_uppercase(),
        amount(*price),
        amount(total),
        rfc3339(time),
        amount(off),
    )
    .expect("a Vec takes every byte");
}
