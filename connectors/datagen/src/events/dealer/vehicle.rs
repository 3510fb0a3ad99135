//! Cars: what is sold, and vehicle identification numbers as ISO 3779 and North America's check digit want them.

use fastrand::Rng;

/// A model the dealer sells.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) make: &'static str,
    pub(super) name: &'static str,
    /// World manufacturer identifier: the first three characters of the VIN.
    manufacturer: &'static str,
    /// List price in cents.
    pub(super) price: i64,
    /// Cars of a delivery, and as many sold until the next one.
    pub(super) lot: u64,
}

const fn model(
    (make, name): (&'static str, &'static str),
    manufacturer: &'static str,
    price: i64,
    lot: u64,
) -> Model {
    Model {
        make,
        name,
        manufacturer,
        price,
        lot,
    }
}

/// The best selling first.
pub(super) static MODELS: [Model; 12] = [
    model(("Toyota", "RAV4"), "2T3", 3_234_000, 22),
    model(("Ford", "F-150"), "1FT", 4_181_000, 20),
    model(("Toyota", "Camry"), "4T1", 2_895_000, 16),
    model(("Honda", "Civic"), "2HG", 2_445_000, 14),
    model(("Toyota", "Corolla"), "2T1", 2_242_500, 12),
    model(("Chevrolet", "Silverado"), "1GC", 3_949_500, 11),
    model(("Nissan", "Rogue"), "5N1", 2_897_500, 10),
    model(("Hyundai", "Tucson"), "KM8", 2_920_000, 8),
    model(("Volkswagen", "Jetta"), "3VW", 2_216_000, 7),
    model(("Ford", "Escape"), "1FM", 2_999_500, 5),
    model(("Honda", "Pilot"), "5FN", 4_099_500, 4),
    model(("BMW", "X3"), "5UX", 5_095_000, 3),
];

/// The model at a place of the list.
pub(super) fn model_at(place: usize) -> &'static Model {
    let [first, ..] = &MODELS;
    MODELS.get(place).unwrap_or(first)
}

/// Model years with their character in the VIN.
const YEARS: [(u16, u8); 3] = [(2025, b'S'), (2024, b'R'), (2023, b'P')];

/// Characters of a VIN: letters without I, O and Q.
const CHARACTERS: &[u8; 33] = b"0123456789ABCDEFGHJKLMNPRSTUVWXYZ";

/// A car: model year and VIN.
#[derive(Debug)]
pub(super) struct Vehicle {
    pub(super) year: u16,
    pub(super) vin: String,
}

impl Vehicle {
    /// A car of `model`; its serial number is `number`, up to a million.
    pub(super) fn new(chance: &mut Rng, model: &Model, number: u64) -> Self {
        let (year, year_code) = *super::super::skewed(chance, &YEARS);
        let mut vin = [b'0'; 17];
        let mut place = |at: usize, byte: u8| {
            if let Some(slot) = vin.get_mut(at) {
                *slot = byte;
            }
        };
        for (at, byte) in model.manufacturer.bytes().enumerate() {
            place(at, byte);
        }
        for at in [3, 4, 5, 6, 7, 10] {
            place(at, *chance.choice(CHARACTERS).expect("it is not empty"));
        }
        place(9, year_code);
        for (at, byte) in format!("{:06}", number % 1_000_000).bytes().enumerate() {
            place(11 + at, byte);
        }
        vin[CHECK_PLACE] = check_digit(&vin);
        Self {
            year,
            vin: String::from_utf8_lossy(&vin).into_owned(),
        }
    }
}

const CHECK_PLACE: usize = 8;

/// The check digit of a VIN; what stands at its place is not looked at.
pub(super) fn check_digit(vin: &[u8; 17]) -> u8 {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let sum: u32 = vin
        .iter()
        .zip(WEIGHTS)
        .map(|(character, weight)| value(*character) * weight)
        .sum();
    match u8::try_from(sum % 11).unwrap_or_default() {
        10 => b'X',
        digit => b'0' + digit,
    }
}

/// What a character counts for: A to I are 1 to 9, J to R are 1 to 9, S to Z are 2 to 9.
fn value(character: u8) -> u32 {
    u32::from(match character {
        b'0'..=b'9' => character - b'0',
        b'A'..=b'I' => character - b'A' + 1,
        b'J'..=b'R' => character - b'J' + 1,
        b'S'..=b'Z' => character - b'S' + 2,
        _ => 0,
    })
}
