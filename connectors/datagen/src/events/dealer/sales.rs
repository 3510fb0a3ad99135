//! Cars sold, and their payments: payment number n pays sale number n, to the cent.

use super::super::fields::Fields;
use super::super::{skewed, weighted};
use super::vehicle::{Model, Vehicle};
use super::{System, customer, stock};

pub(super) const SALE_FIELDS: &[&str] = &[
    "event_type",
    "event_id",
    "timestamp",
    "customer_id",
    "vin",
    "make",
    "model",
    "model_year",
    "colour",
    "dealership_id",
    "salesperson_id",
    "list_price",
    "discount",
    "total_price",
    "currency",
    "payment_method",
];

pub(super) const PAYMENT_FIELDS: &[&str] = &[
    "event_type",
    "event_id",
    "timestamp",
    "sale_id",
    "customer_id",
    "vin",
    "payment_method",
    "amount",
    "down_payment",
    "financed_amount",
    "term_months",
    "currency",
    "status",
];

const COLOURS: [&str; 7] = ["white", "black", "grey", "silver", "blue", "red", "green"];
const DEALERSHIPS: [&str; 5] = ["DLR-01", "DLR-02", "DLR-03", "DLR-04", "DLR-05"];
const METHODS: &[(&str, u32)] = &[
    ("loan", 58),
    ("lease", 22),
    ("bank_transfer", 15),
    ("card", 5),
];
/// Tenths of a percent off the list price.
const DISCOUNTS: &[(i64, u32)] = &[(0, 30), (20, 30), (45, 25), (70, 12), (100, 3)];

/// What both the sale and its payment know.
pub(super) struct Sale {
    pub(super) event_id: String,
    pub(super) customer: String,
    pub(super) model: &'static Model,
    pub(super) vehicle: Vehicle,
    colour: &'static str,
    dealership: &'static str,
    salesperson: u32,
    discount: i64,
    total: i64,
    payment_method: &'static str,
}

impl Sale {
    pub(super) fn number(seed: u64, index: u64) -> Self {
        let mut chance = System::Sales.chance(seed, index);
        let model = stock::sold_model(seed, index);
        let vehicle = Vehicle::new(&mut chance, model, 100_000 + index);
        let customer_number = 1 + chance.u32(0..400) * chance.u32(0..400);
        let price = model.price + 1_000 * chance.i64(0..400);
        let discount = price * weighted(&mut chance, DISCOUNTS) / 1_000;
        let dealership = *skewed(&mut chance, &DEALERSHIPS);
        let colour = *skewed(&mut chance, &COLOURS);
        Self {
            event_id: System::Sales.event_id(seed, index),
            customer: customer(customer_number),
            model,
            vehicle,
            colour,
            dealership,
            salesperson: 1 + chance.u32(0..6) * chance.u32(0..6),
            discount,
            total: price - discount,
            payment_method: weighted(&mut chance, METHODS),
        }
    }
}

pub(super) fn write_sale(seed: u64, index: u64, fields: &mut Fields<'_>) {
    let sale = Sale::number(seed, index);
    fields
        .text("customer_id", &sale.customer)
        .text("vin", &sale.vehicle.vin)
        .text("make", sale.model.make)
        .text("model", sale.model.name)
        .plain("model_year", sale.vehicle.year)
        .text("colour", sale.colour)
        .text("dealership_id", sale.dealership)
        .text(
            "salesperson_id",
            format_args!("EMP-{:03}", sale.salesperson),
        )
        .cents("list_price", sale.total + sale.discount)
        .cents("discount", sale.discount)
        .cents("total_price", sale.total)
        .text("currency", "USD")
        .text("payment_method", sale.payment_method);
}

pub(super) fn write_payment(seed: u64, index: u64, fields: &mut Fields<'_>) {
    let sale = Sale::number(seed, index);
    let mut chance = System::Payments.chance(seed, index);
    let is_financed = matches!(sale.payment_method, "loan" | "lease");
    let down = if is_financed {
        sale.total * weighted(&mut chance, &[(10, 40), (20, 40), (30, 20)]) / 100
    } else {
        sale.total
    };
    let term = weighted(&mut chance, &[(36, 30), (48, 25), (60, 45)]);
    fields
        .text("sale_id", &sale.event_id)
        .text("customer_id", &sale.customer)
        .text("vin", &sale.vehicle.vin)
        .text("payment_method", sale.payment_method)
        .cents("amount", sale.total)
        .cents("down_payment", down)
        .cents("financed_amount", sale.total - down)
        .plain_or_null("term_months", is_financed.then_some(term))
        .text("currency", "USD")
        .text(
            "status",
            weighted(&mut chance, &[("completed", 96), ("pending", 4)]),
        );
}
