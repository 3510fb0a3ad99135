//! Makes values by a plan.

use bytes::Bytes;
use connect_core::data::{Decimal, Struct, Value};
use fastrand::Rng;

use super::plan::{Booleans, Counter, Decimals, Length, Middle, Numbers, Plan, Shape, Texts};

/// Texts that are tried until one is as long as it must be. The reader has seen that some are.
const TRIES: u32 = 1_000;

/// Makes one value after the other. What chance decides depends on the generator given for each; what counts, on how many
/// there were before.
#[derive(Debug)]
pub(crate) struct Maker {
    plan: Plan,
    counters: Vec<u64>,
}

impl Maker {
    /// A maker whose `counters` iterations stand where they do after `made` values.
    pub(crate) fn new(plan: Plan, counters: usize, made: u64) -> Self {
        Self {
            plan,
            counters: vec![made; counters],
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next value.
    pub(crate) fn make(&mut self, rng: &mut Rng) -> Value {
        let counters = &mut self.counters;
        Making { rng, counters }.value(&self.plan)
    }
}

struct Making<'a> {
    rng: &'a mut Rng,
    counters: &'a mut [u64],
}

impl Making<'_> {
    fn value(&mut self, plan: &Plan) -> Value {
        if let Some(option) = self.one_of(&plan.options) {
            return option.clone();
        }
        match &plan.shape {
            Shape::Boolean(booleans) => Value::Boolean(self.boolean(booleans)),
            Shape::Integer(kind, numbers) => kind.value(self.integer(numbers)),
            Shape::Real(kind, numbers) => kind.value(self.real(numbers)),
            Shape::Decimal(decimals) => Value::Decimal(self.decimal(decimals)),
            Shape::Text(texts) => Value::string(self.text(texts)),
            Shape::Bytes(length) => {
                let length = self.length(length);
                self.bytes(length)
            }
            Shape::Fixed(length) => self.bytes(*length),
            Shape::Enum(symbols) => {
                let symbol = self.one_of(symbols);
                symbol.map_or(Value::Null, |symbol| Value::String(symbol.clone()))
            }
            Shape::Array(length, item) => {
                let length = self.length(length);
                Value::Array((0..length).map(|_| self.value(item)).collect())
            }
            Shape::Map(length, key, value) => self.map(length, key, value),
            Shape::Record(fields) => Value::Struct(Struct {
                schema: plan.schema.clone(),
                values: fields.iter().map(|field| self.value(field)).collect(),
            }),
            Shape::Nullable(inner) if self.rng.bool() => self.value(inner),
            Shape::Nullable(_) => Value::Null,
            Shape::Union(branches) => self.union(plan, branches),
        }
    }

    /// One of the items; without drawing if there is none.
    fn one_of<'items, T>(&mut self, items: &'items [T]) -> Option<&'items T> {
        if items.is_empty() {
            return None;
        }
        items.get(self.rng.usize(..items.len()))
    }

    fn count(&mut self, counter: Counter) -> u64 {
        let Some(count) = self.counters.get_mut(counter.0) else {
            return 0;
        };
        *count += 1;
        *count - 1
    }

    fn length(&mut self, length: &Length) -> usize {
        self.rng.usize(length.clone())
    }

    fn boolean(&mut self, booleans: &Booleans) -> bool {
        match booleans {
            Booleans::Odds(odds) => self.rng.f64() < *odds,
            Booleans::Turns(counter, start) => self.count(*counter).is_multiple_of(2) == *start,
        }
    }

    fn integer(&mut self, numbers: &Numbers<i128>) -> i128 {
        match numbers {
            Numbers::Range(range) => self.rng.i128(range.clone()),
            Numbers::Iteration(counter, iteration) => iteration.number(self.count(*counter)),
        }
    }

    fn real(&mut self, numbers: &Numbers<f64>) -> f64 {
        match numbers {
            Numbers::Range(range) => {
                // The difference of two doubles may be too large for one: its halves are not.
                let (half, part) = (range.end / 2.0 - range.start / 2.0, self.rng.f64());
                let number = range.start + half * part + half * part;
                if number < range.end {
                    number
                } else {
                    range.start
                }
            }
            Numbers::Iteration(counter, iteration) => iteration.number(self.count(*counter)),
        }
    }

    fn decimal(&mut self, decimals: &Decimals) -> Decimal {
        let unscaled = self.rng.i128(decimals.unscaled.clone());
        decimals.decimal(unscaled)
    }

    fn text(&mut self, texts: &Texts) -> String {
        let middle = match &texts.middle {
            Middle::Characters(length) => {
                let length = self.length(length);
                (0..length)
                    .map(|_| char::from(self.rng.u8(..128)))
                    .collect()
            }
            Middle::Pattern(pattern, None) => pattern.sample(self.rng),
            Middle::Pattern(pattern, Some(length)) => {
                let mut text = pattern.sample(self.rng);
                for _ in 0..TRIES {
                    if length.contains(&text.chars().count()) {
                        break;
                    }
                    text = pattern.sample(self.rng);
                }
                text
            }
            Middle::Iteration(counter, iteration) => {
                iteration.number(self.count(*counter)).to_string()
            }
        };
        format!("{}{middle}{}", texts.prefix, texts.suffix)
    }

    fn bytes(&mut self, length: usize) -> Value {
        let mut bytes = vec![0; length];
        self.rng.fill(&mut bytes);
        Value::Bytes(Bytes::from(bytes))
    }

    /// A key that comes twice counts once: there may be fewer entries than asked for.
    fn map(&mut self, length: &Length, key: &Plan, value: &Plan) -> Value {
        let length = self.length(length);
        let mut entries: Vec<(Value, Value)> = Vec::with_capacity(length.min(64));
        let mut keys = std::collections::HashSet::new();
        for _ in 0..length {
            let key = self.value(key);
            let value = self.value(value);
            if keys.insert(key.as_str().unwrap_or_default().to_owned()) {
                entries.push((key, value));
            }
        }
        Value::Map(entries)
    }

    fn union(&mut self, plan: &Plan, branches: &[Option<Plan>]) -> Value {
        let chosen = self.rng.usize(..branches.len().max(1));
        if branches.get(chosen).is_some_and(Option::is_none) {
            return Value::Null;
        }
        let mut values = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            match branch {
                None => {}
                Some(branch) if index == chosen => values.push(self.value(branch)),
                Some(_) => values.push(Value::Null),
            }
        }
        Value::Struct(Struct {
            schema: plan.schema.clone(),
            values,
        })
    }
}

impl Decimals {
    /// The decimal with this unscaled number.
    pub(crate) fn decimal(&self, unscaled: i128) -> Decimal {
        Decimal::new(unscaled, self.scale)
    }
}
