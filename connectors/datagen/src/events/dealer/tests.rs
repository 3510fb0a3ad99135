use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::vehicle::check_digit;
use super::*;

const TIME: Timestamp = Timestamp::from_millis(1_705_314_600_123);
const SEED: u64 = 42;

fn event_at(system: System, index: u64, time: Timestamp) -> Value {
    let mut out = Vec::new();
    system.write(SEED, index, time, &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn event(system: System, index: u64) -> Value {
    event_at(system, index, TIME)
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {event}"))
}

fn cents(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 100.0).round() as i64
}

#[test]
fn every_event_says_its_type_its_id_and_its_time_without_a_zone() {
    for system in System::ALL {
        let event = event(system, 17);
        assert_eq!(event["event_type"], system.name());
        let (prefix, rest) = text(&event, "event_id").split_once('-').unwrap();
        assert_eq!(prefix, system.prefix());
        assert_eq!(rest.len(), 8);
        assert!(
            rest.bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        );
        let time = text(&event, "timestamp");
        assert_eq!(time.len(), "2024-01-15T10:30:00.123456".len(), "{time}");
        assert!(time.starts_with("2024-01-15T10:30:00.123"), "{time}");
    }
}

#[test]
fn no_two_events_share_an_id() {
    for system in System::ALL {
        let ids: HashSet<_> = (0..50_000)
            .map(|index| system.event_id(SEED, index))
            .collect();
        assert_eq!(ids.len(), 50_000, "{system:?}");
    }
}

#[test]
fn check_digits_are_those_of_known_vehicles() {
    assert_eq!(check_digit(b"1M8GDM9AXKP042788"), b'X');
    assert_eq!(check_digit(b"11111111111111111"), b'1');
    assert_eq!(check_digit(b"5GZCZ43D13S812715"), b'1');
}

#[test]
fn every_vin_has_17_legal_characters_and_the_right_check_digit() {
    for system in [System::Sales, System::Payments, System::Telemetry] {
        for index in 0..2_000 {
            let event = event(system, index);
            let vin = text(&event, "vin");
            let bytes: [u8; 17] = vin.as_bytes().try_into().unwrap();
            assert!(!vin.contains(['I', 'O', 'Q']), "{vin}");
            assert_eq!(bytes[8], check_digit(&bytes), "{vin}");
        }
    }
}

#[test]
fn a_payment_pays_its_sale_to_the_cent() {
    for index in 0..2_000 {
        let (sale, payment) = (event(System::Sales, index), event(System::Payments, index));
        assert_eq!(payment["sale_id"], sale["event_id"]);
        for field in ["customer_id", "vin", "payment_method"] {
            assert_eq!(payment[field], sale[field], "{payment}");
        }
        assert_eq!(payment["amount"], sale["total_price"]);
        let parts = cents(&payment["down_payment"]) + cents(&payment["financed_amount"]);
        assert_eq!(parts, cents(&payment["amount"]));
        let price = cents(&sale["list_price"]) - cents(&sale["discount"]);
        assert_eq!(price, cents(&sale["total_price"]));
    }
}

#[test]
fn stock_falls_by_each_sale_and_rises_by_each_delivery_and_never_runs_out() {
    let mut sales: HashMap<String, (Value, u64)> = (0..1_500)
        .map(|index| event(System::Sales, index))
        .zip(0..)
        .map(|(sale, index)| (text(&sale, "event_id").to_owned(), (sale, index)))
        .collect();
    let deliveries: HashMap<String, (Value, u64)> = (0..1_500)
        .map(|index| (event(System::Procurement, index), index))
        .filter(|(order, _)| order["status"] == "delivered")
        .map(|(order, index)| (text(&order, "event_id").to_owned(), (order, index)))
        .collect();
    let mut levels: HashMap<String, i64> = HashMap::new();
    for index in 0..1_000 {
        let moved = event(System::Inventory, index);
        let change = moved["quantity_change"].as_i64().unwrap();
        let level = moved["stock_level"].as_i64().unwrap();
        let model = format!("{} {}", text(&moved, "make"), text(&moved, "model"));
        if let Some(before) = levels.insert(model.clone(), level) {
            assert_eq!(before + change, level, "event {index}: {moved}");
        }
        assert!(level > 0, "{moved}");
        let reference = text(&moved, "reference_id");
        if moved["movement"] == "sold" {
            let (sale, sold) = sales.remove(reference).expect("sold once, and known");
            assert!(sold <= index, "sold before it leaves");
            assert_eq!(
                (&sale["vin"], &sale["model"]),
                (&moved["vin"], &moved["model"])
            );
            assert_eq!(change, -1);
        } else {
            let (order, delivered) = &deliveries[reference];
            assert!(*delivered <= index, "delivered before it is there");
            assert_eq!(order["item"], model.as_str());
            assert_eq!(order["quantity"], moved["quantity_change"]);
        }
    }
    assert_eq!(levels.len(), 12, "every model moves");
}

#[test]
fn an_order_goes_from_ordered_to_delivered_without_a_change_of_content() {
    let mut orders: HashMap<String, Vec<Value>> = HashMap::new();
    for index in 0..1_200 {
        let step = event(System::Procurement, index);
        let number = text(&step, "purchase_order_id").to_owned();
        orders.entry(number).or_default().push(step);
    }
    assert_eq!(orders.len(), 300);
    for steps in orders.values() {
        let states: Vec<_> = steps.iter().map(|step| text(step, "status")).collect();
        assert_eq!(states, ["ordered", "confirmed", "shipped", "delivered"]);
        for field in ["supplier_id", "item", "quantity", "unit_cost", "total_cost"] {
            assert!(
                steps.iter().all(|step| step[field] == steps[0][field]),
                "{field}"
            );
        }
        let total = cents(&steps[0]["unit_cost"]) * steps[0]["quantity"].as_i64().unwrap();
        assert_eq!(total, cents(&steps[0]["total_cost"]));
    }
}

#[test]
fn a_follow_up_goes_to_the_customer_of_an_earlier_sale() {
    let sales: HashMap<String, (Value, u64)> = (0..1_000)
        .map(|index| (event(System::Sales, index), index))
        .map(|(sale, index)| (text(&sale, "event_id").to_owned(), (sale, index)))
        .collect();
    let mut follow_ups = 0;
    for index in 0..1_000 {
        let contact = event(System::Interactions, index);
        assert_eq!(
            contact["duration_seconds"].is_null(),
            contact["channel"] == "email"
        );
        let Some(sale) = contact["sale_id"].as_str() else {
            continue;
        };
        let (sale, sold) = &sales[sale];
        assert_eq!(contact["customer_id"], sale["customer_id"]);
        assert!(*sold <= index);
        follow_ups += 1;
    }
    assert!((300..500).contains(&follow_ups), "{follow_ups}");
}

/// Kilometres between two events of telemetry.
fn distance(from: &Value, to: &Value) -> f64 {
    let number = |event: &Value, field: &str| event[field].as_f64().unwrap();
    let north = (number(to, "latitude") - number(from, "latitude")) * 111.32;
    let east = (number(to, "longitude") - number(from, "longitude"))
        * 111.32
        * number(from, "latitude").to_radians().cos();
    north.hypot(east)
}

#[test]
fn a_car_moves_as_far_as_its_speed_says() {
    const STEP_MILLIS: i64 = 5_000;
    let mut changes = 0;
    for car in 0..20 {
        let mut before = event_at(System::Telemetry, car, TIME);
        let mut fastest = 0.0_f64;
        for step in 1..2_000_i64 {
            let time = Timestamp::from_millis(TIME.as_millis() + step * STEP_MILLIS);
            let index = car + 20 * u64::try_from(step).unwrap();
            let after = event_at(System::Telemetry, index, time);
            if before["vin"] != after["vin"] {
                // One car has left the fleet, another one begins.
                changes += 1;
                before = after;
                continue;
            }
            let hours = STEP_MILLIS as f64 / 3_600_000.0;
            let speed = (before["speed_kmh"].as_f64().unwrap()
                + after["speed_kmh"].as_f64().unwrap())
                / 2.0;
            let moved = distance(&before, &after);
            assert!(
                (moved / hours - speed).abs() < 2.0,
                "{moved} km at {speed}: {before} {after}"
            );
            let driven =
                after["odometer_km"].as_f64().unwrap() - before["odometer_km"].as_f64().unwrap();
            assert!((-0.01..0.25).contains(&driven), "{driven}");
            let fuel = after["fuel_percent"].as_f64().unwrap();
            assert!((5.0..=100.0).contains(&fuel), "{fuel}");
            fastest = fastest.max(speed);
            before = after;
        }
        assert!((50.0..110.0).contains(&fastest), "{fastest}");
    }
    assert!(changes <= 2, "a car stays in service for months");
}
