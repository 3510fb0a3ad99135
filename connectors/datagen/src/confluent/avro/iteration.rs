//! Numbers that count: `{"start": 1, "restart": 10, "step": 2, "initial": 5}`.

use serde_json::{Map, Value as Json};

/// A sequence that begins at `initial`, goes on by `step` and begins again at `start` when it would reach `restart`.
///
/// Its n-th number needs none of those before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Iteration<N> {
    start: N,
    restart: N,
    step: N,
    initial: N,
}

/// What an iteration counts in.
pub(crate) trait Counted: Copy + PartialOrd {
    const ZERO: Self;
    const ONE: Self;
    fn of(json: &Json) -> Option<Self>;
    fn negated(self) -> Self;
    /// How many steps are made from `from` on before `to` is reached or passed.
    fn steps(from: Self, to: Self, step: Self) -> u128;
    fn at(from: Self, step: Self, count: u128) -> Self;
}

impl Counted for i128 {
    const ZERO: Self = 0;
    const ONE: Self = 1;

    fn of(json: &Json) -> Option<Self> {
        json.as_i64().map(Into::into)
    }

    fn negated(self) -> Self {
        -self
    }

    fn steps(from: Self, to: Self, step: Self) -> u128 {
        (to - from).unsigned_abs().div_ceil(step.unsigned_abs())
    }

    fn at(from: Self, step: Self, count: u128) -> Self {
        from + step * count.cast_signed()
    }
}

impl Counted for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(json: &Json) -> Option<Self> {
        json.as_f64()
    }

    fn negated(self) -> Self {
        -self
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of steps, at least one; what is beyond the range is its end"
    )]
    fn steps(from: Self, to: Self, step: Self) -> u128 {
        ((to - from) / step).ceil().max(1.0) as u128
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 records")]
    fn at(from: Self, step: Self, count: u128) -> Self {
        from + step * count as f64
    }
}

impl<N: Counted> Iteration<N> {
    /// Reads it; without `restart` it goes on to the end of its type.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(given: &Json, least: N, most: N) -> Result<Self, String> {
        let given = given.as_object().ok_or("iteration must be an object")?;
        let start = number(given, "start")?.ok_or("iteration needs a start")?;
        let (restart, step) = (number(given, "restart")?, number(given, "step")?);
        let falls = match (restart, step) {
            (Some(restart), _) => restart < start,
            (None, step) => step.is_some_and(|step: N| step < N::ZERO),
        };
        let iteration = Self {
            start,
            restart: restart.unwrap_or(if falls { least } else { most }),
            step: step.unwrap_or(if falls { N::ONE.negated() } else { N::ONE }),
            initial: number(given, "initial")?.unwrap_or(start),
        };
        iteration.check(falls)?;
        Ok(iteration)
    }

    fn check(&self, falls: bool) -> Result<(), String> {
        let Self {
            start,
            restart,
            step,
            initial,
        } = self;
        if start == restart {
            return Err("iteration: restart must differ from start".to_owned());
        }
        if *step == N::ZERO || (*step < N::ZERO) != falls {
            return Err("iteration: step must lead from start to restart".to_owned());
        }
        let is_within = if falls {
            restart < initial && initial <= start
        } else {
            start <= initial && initial < restart
        };
        if !is_within {
            return Err("iteration: initial must lie between start and restart".to_owned());
        }
        Ok(())
    }

    /// Its number `count`, from 0.
    pub(crate) fn number(&self, count: u64) -> N {
        let count = u128::from(count);
        let first = N::steps(self.initial, self.restart, self.step);
        if count < first {
            return N::at(self.initial, self.step, count);
        }
        let round = N::steps(self.start, self.restart, self.step).max(1);
        N::at(self.start, self.step, (count - first) % round)
    }
}

fn number<N: Counted>(given: &Map<String, Json>, key: &str) -> Result<Option<N>, String> {
    let Some(json) = given.get(key) else {
        return Ok(None);
    };
    let number =
        N::of(json).ok_or_else(|| format!("iteration: {key} is no number of this type"))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn numbers(given: &Json) -> Vec<i128> {
        let iteration = Iteration::parse(given, -100, 100).unwrap();
        (0..8).map(|count| iteration.number(count)).collect()
    }

    #[test]
    fn numbers_count_and_begin_again() {
        assert_eq!(numbers(&json!({"start": 0})), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(
            numbers(&json!({"start": 1, "step": 10})),
            [1, 11, 21, 31, 41, 51, 61, 71]
        );
        let rounds = json!({"start": 1, "restart": 6, "step": 2, "initial": 3});
        assert_eq!(numbers(&rounds), [3, 5, 1, 3, 5, 1, 3, 5]);
        assert_eq!(
            numbers(&json!({"start": 3, "restart": 0})),
            [3, 2, 1, 3, 2, 1, 3, 2]
        );
        assert_eq!(
            numbers(&json!({"start": -98, "step": -1})),
            [-98, -99, -98, -99, -98, -99, -98, -99]
        );
    }

    #[test]
    fn fractions_count_too() {
        let given = json!({"start": 0.0, "restart": 1.0, "step": 0.25});
        let iteration = Iteration::parse(&given, f64::MIN, f64::MAX).unwrap();
        let numbers: Vec<f64> = (3..6).map(|count| iteration.number(count)).collect();
        assert_eq!(numbers, [0.75, 0.0, 0.25]);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for wrong in [
            json!({}),
            json!({"start": 1, "restart": 1}),
            json!({"start": 1, "restart": 5, "step": -1}),
            json!({"start": 5, "restart": 1, "step": 1}),
            json!({"start": 1, "step": 0}),
            json!({"start": 1, "restart": 5, "initial": 5}),
            json!({"start": "1"}),
            json!(7),
        ] {
            assert!(
                Iteration::<i128>::parse(&wrong, -100, 100).is_err(),
                "{wrong}"
            );
        }
    }
}
