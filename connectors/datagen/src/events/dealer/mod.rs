//! A car dealer's six systems, which tell one story: a payment pays a sale, stock falls when a car is sold and rises when
//! a lot is delivered, a follow-up call goes to the customer of a sale, a car on the road moves at a plausible speed.
//!
//! Every event is a pure function of seed, index and time. What an event refers to has the same or a lower index in its own
//! system, so streams that run side by side from index 0 with the same seed never refer to what is still to come.

mod interactions;
mod sales;
mod stock;
mod telemetry;
mod vehicle;

use connect_core::data::Timestamp;
use fastrand::Rng;

use super::fields::Fields;

/// One of the dealer's systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Cars sold.
    Sales,
    /// Payments of sales.
    Payments,
    /// Calls, e-mails, visits.
    Interactions,
    /// Stock of cars, by model.
    Inventory,
    /// Orders of cars and parts, from order to delivery.
    Procurement,
    /// Position and sensors of the fleet.
    Telemetry,
}

impl System {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::Sales,
        Self::Payments,
        Self::Interactions,
        Self::Inventory,
        Self::Procurement,
        Self::Telemetry,
    ];

    /// The name, as `event_type` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::Payments => "payments",
            Self::Interactions => "interactions",
            Self::Inventory => "inventory",
            Self::Procurement => "procurement",
            Self::Telemetry => "telemetry",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Sales => "SALE",
            Self::Payments => "PAY",
            Self::Interactions => "INT",
            Self::Inventory => "INV",
            Self::Procurement => "PROC",
            Self::Telemetry => "TEL",
        }
    }

    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Sales => sales::SALE_FIELDS,
            Self::Payments => sales::PAYMENT_FIELDS,
            Self::Interactions => interactions::FIELDS,
            Self::Inventory => stock::INVENTORY_FIELDS,
            Self::Procurement => stock::PROCUREMENT_FIELDS,
            Self::Telemetry => telemetry::FIELDS,
        }
    }

    pub(super) fn write(self, seed: u64, index: u64, time: Timestamp, out: &mut Vec<u8>) {
        let mut fields = Fields::begin(out);
        fields
            .text("event_type", self.name())
            .text("event_id", self.event_id(seed, index))
            .text("timestamp", local_time(time, self.chance(seed, index)));
        match self {
            Self::Sales => sales::write_sale(seed, index, &mut fields),
            Self::Payments => sales::write_payment(seed, index, &mut fields),
            Self::Interactions => interactions::write(seed, index, &mut fields),
            Self::Inventory => stock::write_inventory(seed, index, &mut fields),
            Self::Procurement => stock::write_procurement(seed, index, time, &mut fields),
            Self::Telemetry => telemetry::write(seed, index, time, &mut fields),
        }
        fields.end();
    }

    /// Chance for event number `index` of this system.
    fn chance(self, seed: u64, index: u64) -> Rng {
        super::chance(seed ^ self.salt(), index)
    }

    fn salt(self) -> u64 {
        (self as u64 + 1).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    /// The event's id: no two of the first 2.8 million million events of a seed have the same.
    fn event_id(self, seed: u64, index: u64) -> String {
        /// 36^8 ids; the factor has no divisor in common with it, so indices and ids are one to one.
        const IDS: u128 = 36_u128.pow(8);
        const FACTOR: u128 = 1_779_033_703_951;
        let first = u128::from(super::chance(seed, self.salt()).u64(..));
        let mut rest = (u128::from(index) * FACTOR + first) % IDS;
        let mut id = [0_u8; 8];
        for place in id.iter_mut().rev() {
            let digit = u8::try_from(rest % 36).unwrap_or_default();
            *place = if digit < 10 {
                b'0' + digit
            } else {
                b'A' + digit - 10
            };
            rest /= 36;
        }
        format!("{}-{}", self.prefix(), String::from_utf8_lossy(&id))
    }
}

/// ISO 8601 in UTC with microseconds and no zone; clocks of milliseconds leave the last three digits to chance.
fn local_time(time: Timestamp, mut chance: Rng) -> String {
    let micros = time.as_millis() * 1_000 + chance.i64(0..1_000);
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn customer(number: u32) -> String {
    format!("CUST-{number:06}")
}

#[cfg(test)]
mod tests;
