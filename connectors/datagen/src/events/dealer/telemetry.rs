//! The fleet on the road: test cars that drive a round trip, park, and drive again.
//!
//! Where a car is follows from the time alone, so a car moves as far as its speed says, however often it is asked.

use connect_core::data::Timestamp;

use super::super::chance;
use super::super::fields::Fields;
use super::System;
use super::vehicle::{MODELS, Vehicle, model_at};

pub(super) const FIELDS: &[&str] = &[
    "event_type",
    "event_id",
    "timestamp",
    "vin",
    "latitude",
    "longitude",
    "heading",
    "speed_kmh",
    "odometer_km",
    "engine_on",
    "engine_temperature_c",
    "battery_voltage",
    "fuel_percent",
    "tyre_pressure_bar",
    "diagnostic_code",
];

/// Cars of the fleet: they report in turn.
const CARS: u64 = 20;
/// A car drives, then parks, then drives again.
const CYCLE_SECONDS: f64 = 80.0 * 60.0;
const DRIVE_SECONDS: f64 = 20.0 * 60.0;
/// After this long a car is sold and another one takes its place.
const SERVICE_SECONDS: f64 = 180.0 * 86_400.0;
/// Drives on one tank.
const TANK_DRIVES: f64 = 40.0;
const KM_PER_DEGREE: f64 = 111.32;
const FLEET: u64 = 0x0066_6c65_6574;

/// Where the dealerships are: latitude, longitude.
const CENTRES: [(f64, f64); 5] = [
    (40.7357, -74.1724),
    (41.8781, -87.6298),
    (29.7604, -95.3698),
    (33.4484, -112.0740),
    (47.6062, -122.3321),
];

/// A car at a moment.
struct State {
    vehicle: Vehicle,
    latitude: f64,
    longitude: f64,
    heading: f64,
    speed: f64,
    odometer: f64,
    is_driving: bool,
    fuel: f64,
}

impl State {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds up to 2^53")]
    fn of(seed: u64, car: u64, time: Timestamp) -> Self {
        let mut traits = chance(seed ^ FLEET, car);
        let (latitude, longitude) = *traits.choice(&CENTRES).expect("it is not empty");
        let radius = 2.0 + 4.0 * traits.f64();
        let drive_km = 10.0 + 6.0 * traits.f64();
        // Cars change over at different times: not the whole fleet at once.
        let seconds = time.as_millis() as f64 / 1_000.0 + SERVICE_SECONDS * traits.f64();
        let service = (seconds / SERVICE_SECONDS).floor();
        let age = seconds - service * SERVICE_SECONDS;
        let cycles = (age / CYCLE_SECONDS).floor();
        let share = ((age - cycles * CYCLE_SECONDS) / DRIVE_SECONDS).min(1.0);
        let (done, pace) = progress(share);
        let distance = (cycles + done) * drive_km;
        let angle = distance / radius + std::f64::consts::TAU * traits.f64();
        let east = KM_PER_DEGREE * latitude.to_radians().cos();
        Self {
            vehicle: car_in_service(seed, car, service),
            latitude: latitude + radius * angle.sin() / KM_PER_DEGREE,
            longitude: longitude + radius * angle.cos() / east,
            // Counter-clockwise, so it heads for the north when it is in the east.
            heading: (-angle.to_degrees()).round().rem_euclid(360.0),
            speed: pace * drive_km / DRIVE_SECONDS * 3_600.0,
            odometer: 12.0 + distance,
            is_driving: share < 1.0,
            fuel: 100.0 - 88.0 * ((cycles % TANK_DRIVES) + done) / TANK_DRIVES,
        }
    }
}

/// How much of a drive is done after this share of its time, and how fast it goes by then: it begins and ends at rest.
fn progress(share: f64) -> (f64, f64) {
    let turn = std::f64::consts::TAU * share;
    (share - turn.sin() / std::f64::consts::TAU, 1.0 - turn.cos())
}

/// The car that has this place in the fleet during this service.
fn car_in_service(seed: u64, car: u64, service: f64) -> Vehicle {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count; times before 1970 are none"
    )]
    let number = service.max(0.0) as u64 * CARS + car;
    let mut chance = chance(seed ^ FLEET.rotate_left(9), number);
    let model = model_at(chance.usize(0..MODELS.len()));
    Vehicle::new(&mut chance, model, number)
}

pub(super) fn write(seed: u64, index: u64, time: Timestamp, fields: &mut Fields<'_>) {
    let state = State::of(seed, index % CARS, time);
    let mut chance = System::Telemetry.chance(seed, index);
    let noise = chance.f64();
    let (temperature, voltage) = if state.is_driving {
        (86.0 + 12.0 * noise, 13.8 + 0.6 * noise)
    } else {
        (18.0 + 9.0 * noise, 12.3 + 0.3 * noise)
    };
    let code = (chance.u16(0..400) == 0).then_some("P0420");
    fields
        .text("vin", &state.vehicle.vin)
        .plain("latitude", format_args!("{:.6}", state.latitude))
        .plain("longitude", format_args!("{:.6}", state.longitude))
        .plain("heading", format_args!("{:.0}", state.heading))
        .plain("speed_kmh", format_args!("{:.1}", state.speed))
        .plain("odometer_km", format_args!("{:.1}", state.odometer))
        .plain("engine_on", state.is_driving)
        .plain("engine_temperature_c", format_args!("{temperature:.1}"))
        .plain("battery_voltage", format_args!("{voltage:.2}"))
        .plain("fuel_percent", format_args!("{:.1}", state.fuel))
        .plain(
            "tyre_pressure_bar",
            format_args!("{:.2}", 2.2 + 0.3 * chance.f64()),
        )
        .text_or_null("diagnostic_code", code);
}
