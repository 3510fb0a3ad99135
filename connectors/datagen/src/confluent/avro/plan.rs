//! How values of a schema are made.

use std::ops::Range;
use std::sync::Arc;

use connect_core::data::{Schema, Value};

use super::iteration::Iteration;
use super::pattern::Pattern;

/// A schema, and how values of it are made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) schema: Arc<Schema>,
    pub(crate) shape: Shape,
    /// If there are some, one of these is taken, and the shape only says what they are.
    pub(crate) options: Vec<Value>,
}

/// What kind of values, and from where they come.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Boolean(Booleans),
    Integer(IntegerKind, Numbers<i128>),
    Real(RealKind, Numbers<f64>),
    Decimal(Decimals),
    Text(Texts),
    Bytes(Length),
    Fixed(usize),
    Enum(Vec<Arc<str>>),
    Array(Length, Box<Plan>),
    Map(Length, Box<Plan>, Box<Plan>),
    Record(Vec<Plan>),
    /// Null, or a value: each half the time.
    Nullable(Box<Plan>),
    /// Any of these: a struct with a field for each. `None` is null.
    Union(Vec<Option<Plan>>),
}

#[derive(Debug, Clone)]
pub(crate) enum Booleans {
    /// How often true comes.
    Odds(f64),
    /// In turns, beginning with this one.
    Turns(Counter, bool),
}

/// Integers by what they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntegerKind {
    Int,
    Long,
    Date,
    Time,
    Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RealKind {
    Float,
    Double,
}

#[derive(Debug, Clone)]
pub(crate) enum Numbers<N> {
    /// The first is one of them, the last is not.
    Range(Range<N>),
    Iteration(Counter, Iteration<N>),
}

/// Decimals as whole numbers of their last digit.
#[derive(Debug, Clone)]
pub(crate) struct Decimals {
    pub(crate) scale: i32,
    pub(crate) unscaled: Range<i128>,
}

#[derive(Debug, Clone)]
pub(crate) struct Texts {
    pub(crate) prefix: String,
    pub(crate) middle: Middle,
    pub(crate) suffix: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Middle {
    Characters(Length),
    Pattern(Pattern, Option<Length>),
    Iteration(Counter, Iteration<i128>),
}

/// How many items: the first number is possible, the last is not.
pub(crate) type Length = Range<usize>;

/// Which of a maker's counters an iteration goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counter(pub(crate) usize);

impl IntegerKind {
    /// The numbers of its Avro type.
    pub(crate) fn type_range(self) -> Range<i128> {
        match self {
            Self::Int | Self::Date | Self::Time => i32::MIN.into()..i128::from(i32::MAX) + 1,
            Self::Long | Self::Timestamp => i64::MIN.into()..i128::from(i64::MAX) + 1,
        }
    }

    /// What is made if nothing is said: for times such as make sense to those who read them.
    pub(crate) fn usual_range(self) -> Range<i128> {
        /// 2020-01-01 and 2030-01-01.
        const DAYS: Range<i128> = 18_262..21_915;
        const MILLIS_PER_DAY: i128 = 86_400_000;
        match self {
            Self::Int | Self::Long => self.type_range(),
            Self::Date => DAYS,
            Self::Time => 0..MILLIS_PER_DAY,
            Self::Timestamp => DAYS.start * MILLIS_PER_DAY..DAYS.end * MILLIS_PER_DAY,
        }
    }

    /// `number` as a value. It is within [`IntegerKind::type_range`].
    pub(crate) fn value(self, number: i128) -> Value {
        let int = i32::try_from(number).unwrap_or_default();
        let long = i64::try_from(number).unwrap_or_default();
        match self {
            Self::Int => Value::Int32(int),
            Self::Long => Value::Int64(long),
            Self::Date => Value::Date(int),
            Self::Time => Value::Time(int),
            Self::Timestamp => Value::Timestamp(long),
        }
    }
}

impl RealKind {
    /// `number` as a value.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the nearest float is what is wanted"
    )]
    pub(crate) fn value(self, number: f64) -> Value {
        match self {
            Self::Float => Value::Float32(number as f32),
            Self::Double => Value::Float64(number),
        }
    }
}
