//! Stock: which model each sale takes, what is ordered for it, and what is left.
//!
//! Time runs in rounds. A round sells of each model exactly one lot, in a mixed order, and delivers each lot once; so after
//! a round every model's stock is what it was before, and the level at any event follows from its round alone. A round has a
//! group of events for each model: sales, then the delivery of that model's lot.

use std::time::Duration;

use connect_core::data::Timestamp;

use super::super::fields::Fields;
use super::super::{chance, day, weighted};
use super::System;
use super::sales::Sale;
use super::vehicle::{MODELS, Model, model_at};

pub(super) const INVENTORY_FIELDS: &[&str] = &[
    "event_type",
    "event_id",
    "timestamp",
    "warehouse_id",
    "make",
    "model",
    "stock_level",
    "reorder_level",
    "movement",
    "quantity_change",
    "reference_id",
    "vin",
];

pub(super) const PROCUREMENT_FIELDS: &[&str] = &[
    "event_type",
    "event_id",
    "timestamp",
    "purchase_order_id",
    "supplier_id",
    "item_type",
    "item",
    "quantity",
    "unit_cost",
    "total_cost",
    "currency",
    "status",
    "expected_delivery",
];

const GROUPS: u64 = MODELS.len() as u64;
/// Sales of a round: all lots together.
const ROUND_SALES: u64 = lots_before(MODELS.len());
/// Sales of a group; the event after them is the delivery.
const GROUP_SALES: u64 = ROUND_SALES / GROUPS;
const GROUP_EVENTS: u64 = GROUP_SALES + 1;
/// What is left of a model in the worst case, when its lot comes last.
const RESERVE: u64 = 3;
/// Steps through a round: none has a divisor in common with [`ROUND_SALES`], so each reaches every place once.
const STRIDES: [u64; 8] = [5, 13, 19, 29, 35, 41, 47, 59];
const ORDER: u64 = 0x6f72_6465_7200;

/// Cars in the lots of the first models, up to `place`.
const fn lots_before(place: usize) -> u64 {
    let (mut rest, mut at, mut sum): (&[Model], usize, u64) = (&MODELS, 0, 0);
    while at < place
        && let [model, others @ ..] = rest
    {
        (rest, at, sum) = (others, at + 1, sum + model.lot);
    }
    sum
}

/// The mixed order in which a round sells.
struct Round {
    stride: u64,
    first: u64,
}

impl Round {
    fn number(seed: u64, round: u64) -> Self {
        let mut chance = chance(seed ^ ORDER, round);
        Self {
            stride: *chance.choice(&STRIDES).expect("it is not empty"),
            first: chance.u64(0..ROUND_SALES),
        }
    }

    /// Sale number `sale` of the round takes a car at this place, of all the round's cars in order of models.
    fn place(&self, sale: u64) -> u64 {
        (sale * self.stride + self.first) % ROUND_SALES
    }

    /// How many of the round's first `sales` take a car of the model at `place`.
    fn sold(&self, place: usize, sales: u64) -> u64 {
        let cars = lots_before(place)..lots_before(place + 1);
        let sold = (0..sales).filter(|sale| cars.contains(&self.place(*sale)));
        sold.count() as u64
    }
}

fn sold_place(seed: u64, sale: u64) -> usize {
    let car = Round::number(seed, sale / ROUND_SALES).place(sale % ROUND_SALES);
    let place = (0..MODELS.len()).find(|place| car < lots_before(place + 1));
    place.unwrap_or_default()
}

/// The model that sale number `sale` takes out of stock.
pub(super) fn sold_model(seed: u64, sale: u64) -> &'static Model {
    model_at(sold_place(seed, sale))
}

/// Cars of the model at `place` left after the sales and deliveries up to this event.
fn level(seed: u64, index: u64, place: usize) -> u64 {
    let (group, event) = (index / GROUP_EVENTS, index % GROUP_EVENTS);
    let in_round = group % GROUPS;
    let sales = in_round * GROUP_SALES + (event + 1).min(GROUP_SALES);
    let sold = Round::number(seed, group / GROUPS).sold(place, sales);
    let is_delivery = event == GROUP_SALES;
    let delivered = (place as u64) < in_round || (place as u64 == in_round && is_delivery);
    let lot = model_at(place).lot;
    RESERVE + lot + if delivered { lot } else { 0 } - sold
}

pub(super) fn write_inventory(seed: u64, index: u64, fields: &mut Fields<'_>) {
    let (group, event) = (index / GROUP_EVENTS, index % GROUP_EVENTS);
    if event == GROUP_SALES {
        let place = usize::try_from(group % GROUPS).unwrap_or_default();
        write_stock(fields, place, level(seed, index, place));
        let delivery = System::Procurement.event_id(seed, delivery_index(group));
        fields
            .text("movement", "received")
            .plain("quantity_change", model_at(place).lot)
            .text("reference_id", delivery)
            .text_or_null("vin", None::<&str>);
    } else {
        let number = group * GROUP_SALES + event;
        let place = sold_place(seed, number);
        write_stock(fields, place, level(seed, index, place));
        let sale = Sale::number(seed, number);
        fields
            .text("movement", "sold")
            .plain("quantity_change", -1)
            .text("reference_id", sale.event_id)
            .text("vin", sale.vehicle.vin);
    }
}

fn write_stock(fields: &mut Fields<'_>, place: usize, level: u64) {
    let model = model_at(place);
    fields
        .text("warehouse_id", "WH-01")
        .text("make", model.make)
        .text("model", model.name)
        .plain("stock_level", level)
        .plain("reorder_level", model.lot / 2 + RESERVE);
}

/// The steps of an order.
const STATES: [&str; 4] = ["ordered", "confirmed", "shipped", "delivered"];

/// The events of a group of procurement: which of its three orders, and how far it is. The first order is the group's lot of
/// cars, the others are parts.
const STEPS: [(u64, usize); 12] = [
    (0, 0),
    (1, 0),
    (0, 1),
    (2, 0),
    (1, 1),
    (0, 2),
    (2, 1),
    (1, 2),
    (0, 3),
    (2, 2),
    (1, 3),
    (2, 3),
];
const LOT_DELIVERED: u64 = 8;
const GROUP_STEPS: u64 = STEPS.len() as u64;

/// Parts with their price in cents.
const PARTS: &[((&str, i64), u32)] = &[
    (("brake_pads", 4_250), 25),
    (("oil_filter", 890), 25),
    (("tyre_17_inch", 11_900), 20),
    (("battery_12v", 14_500), 12),
    (("wiper_blades", 1_690), 12),
    (("catalytic_converter", 84_000), 6),
];

/// The event that says the lot of `group` is delivered: before the inventory's own event of the delivery.
fn delivery_index(group: u64) -> u64 {
    group * GROUP_STEPS + LOT_DELIVERED
}

/// An order: the same at all its steps.
struct Order {
    number: u64,
    item_type: &'static str,
    item: String,
    supplier: u64,
    quantity: i64,
    unit_cost: i64,
    days: u64,
}

impl Order {
    fn number(seed: u64, group: u64, order: u64) -> Self {
        let number = group * 3 + order;
        let mut chance = chance(seed ^ ORDER.rotate_left(7), number);
        let days = 3 + chance.u64(0..12);
        if order > 0 {
            let (part, price) = weighted(&mut chance, PARTS);
            return Self {
                number,
                item_type: "part",
                item: part.to_owned(),
                supplier: 20 + chance.u64(0..15),
                quantity: 10 * chance.i64(1..=20),
                unit_cost: price,
                days,
            };
        }
        let place = group % GROUPS;
        let model = model_at(usize::try_from(place).unwrap_or_default());
        Self {
            number,
            item_type: "vehicle",
            item: format!("{} {}", model.make, model.name),
            supplier: 1 + place,
            quantity: i64::try_from(model.lot).unwrap_or_default(),
            unit_cost: model.price * 88 / 100,
            days,
        }
    }
}

pub(super) fn write_procurement(seed: u64, index: u64, time: Timestamp, fields: &mut Fields<'_>) {
    let (group, step) = (index / GROUP_STEPS, index % GROUP_STEPS);
    let step = usize::try_from(step).ok().and_then(|step| STEPS.get(step));
    let (order, state) = step.copied().unwrap_or_default();
    let order = Order::number(seed, group, order);
    let is_delivered = state == STATES.len() - 1;
    let expected = time.saturating_add(Duration::from_secs(order.days * 86_400));
    fields
        .text("purchase_order_id", format_args!("PO-{:06}", order.number))
        .text("supplier_id", format_args!("SUP-{:03}", order.supplier))
        .text("item_type", order.item_type)
        .text("item", &order.item)
        .plain("quantity", order.quantity)
        .cents("unit_cost", order.unit_cost)
        .cents("total_cost", order.unit_cost * order.quantity)
        .text("currency", "USD")
        .text("status", STATES.get(state).unwrap_or(&STATES[0]))
        .text(
            "expected_delivery",
            day(if is_delivered { time } else { expected }),
        );
}
