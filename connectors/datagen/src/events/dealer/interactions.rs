//! Calls, e-mails and visits: two of five follow a sale up, the others come from people who may buy.

use super::super::fields::Fields;
use super::super::{skewed, weighted};
use super::sales::Sale;
use super::vehicle::MODELS;
use super::{System, customer};

pub(super) const FIELDS: &[&str] = &[
    "event_type",
    "event_id",
    "timestamp",
    "customer_id",
    "channel",
    "direction",
    "subject",
    "model_of_interest",
    "agent_id",
    "duration_seconds",
    "satisfaction",
    "sale_id",
];

const CHANNELS: &[(&str, u32)] = &[("call", 45), ("email", 35), ("visit", 20)];
const BEFORE_SALE: &[(&str, u32)] = &[
    ("price_enquiry", 40),
    ("test_drive", 30),
    ("trade_in", 15),
    ("financing", 15),
];
const AFTER_SALE: &[(&str, u32)] = &[
    ("delivery", 35),
    ("service_appointment", 35),
    ("satisfaction_survey", 20),
    ("complaint", 10),
];
/// How many sales back a follow-up may go.
const MEMORY: u64 = 50;

pub(super) fn write(seed: u64, index: u64, fields: &mut Fields<'_>) {
    let mut chance = System::Interactions.chance(seed, index);
    let is_follow_up = chance.u8(0..5) < 2;
    let sale = is_follow_up.then(|| Sale::number(seed, index - chance.u64(0..=index.min(MEMORY))));
    let number = 1 + chance.u32(0..400) * chance.u32(0..400);
    let channel = weighted(&mut chance, CHANNELS);
    let seconds = match channel {
        "call" => Some(chance.u32(30..1_200)),
        "visit" => Some(chance.u32(600..7_200)),
        _ => None,
    };
    let subjects = if is_follow_up {
        AFTER_SALE
    } else {
        BEFORE_SALE
    };
    let subject = weighted(&mut chance, subjects);
    let scores = if subject == "complaint" { 1..=2 } else { 3..=5 };
    let score = chance.u8(scores);
    let wished = skewed(&mut chance, &MODELS);
    let is_scored = chance.u8(0..3) > 0;
    let direction = weighted(&mut chance, &[("inbound", 65), ("outbound", 35)]);
    fields
        .text(
            "customer_id",
            sale.as_ref()
                .map_or_else(|| customer(number), |sale| sale.customer.clone()),
        )
        .text("channel", channel)
        .text(
            "direction",
            if channel == "visit" {
                "inbound"
            } else {
                direction
            },
        )
        .text("subject", subject)
        .text(
            "model_of_interest",
            sale.as_ref().map_or(wished, |sale| sale.model).name,
        )
        .text(
            "agent_id",
            format_args!("EMP-{:03}", 40 + chance.u32(0..25)),
        )
        .plain_or_null("duration_seconds", seconds)
        .plain_or_null("satisfaction", is_scored.then_some(score))
        .text_or_null("sale_id", sale.map(|sale| sale.event_id));
}
