//! Statistics of the last half minute, kept as Kafka's clients keep theirs: a few samples, the oldest dropped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long one sample takes values.
const SAMPLE: Duration = Duration::from_secs(5);
/// Samples that count.
const SAMPLES: usize = 6;
/// A rate is of at least this long a time, so that the first batch does not look like a flood.
const SHORTEST_SPAN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
struct Sample {
    start: Instant,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

/// Values of the last half minute.
#[derive(Debug, Clone, Default)]
pub(super) struct Window(VecDeque<Sample>);

/// What a window holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Window {
    /// Adds a value.
    pub(super) fn record(&mut self, value: f64, now: Instant) {
        match self.0.back_mut() {
            Some(sample) if now.duration_since(sample.start) < SAMPLE => sample.add(value),
            _ => {
                if self.0.len() == SAMPLES {
                    self.0.pop_front();
                }
                self.0.push_back(Sample::of(value, now));
            }
        }
    }

    /// All values that still count; `None` if there are none.
    pub(super) fn summary(&self, now: Instant) -> Option<Summary> {
        let samples = self.samples(now);
        samples.map(Sample::summary).reduce(Summary::and)
    }

    /// The mean of the values that still count.
    pub(super) fn average(&self, now: Instant) -> Option<f64> {
        let summary = self.summary(now)?;
        Some(summary.sum / summary.count as f64)
    }

    /// The largest of the values that still count.
    pub(super) fn max(&self, now: Instant) -> Option<f64> {
        self.summary(now).map(|summary| summary.max)
    }

    /// The smallest of the values that still count.
    pub(super) fn min(&self, now: Instant) -> Option<f64> {
        self.summary(now).map(|summary| summary.min)
    }

    /// The sum of the values a second; 0 if none still counts.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        let (Some(summary), Some(first)) = (self.summary(now), self.samples(now).next()) else {
            return 0.0;
        };
        let span = now.duration_since(first.start).max(SHORTEST_SPAN);
        summary.sum / span.as_secs_f64()
    }

    fn samples(&self, now: Instant) -> impl Iterator<Item = &Sample> {
        let oldest = SAMPLE * u32::try_from(SAMPLES).unwrap_or(u32::MAX);
        let counts = move |sample: &&Sample| now.duration_since(sample.start) < oldest;
        self.0.iter().filter(counts)
    }
}

impl Sample {
    fn of(value: f64, start: Instant) -> Self {
        Self {
            start,
            count: 1,
            sum: value,
            min: value,
            max: value,
        }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn summary(&self) -> Summary {
        Summary {
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
        }
    }
}

impl Summary {
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

/// A total and its rate.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    total: u64,
    window: Window,
}

impl Meter {
    /// Adds to the total.
    pub(super) fn add(&mut self, amount: u64, now: Instant) {
        self.total += amount;
        self.window.record(amount as f64, now);
    }

    /// All there ever was.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// A second, of late.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        self.window.rate(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_is_of_the_time_since_the_first_value_that_counts() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.add(100, start);
        meter.add(100, after(start, 7));
        assert_eq!(meter.rate(after(start, 10)), 20.0);
        assert_eq!(meter.total(), 200);
    }

    #[test]
    fn a_first_batch_is_no_flood() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.add(500, start);
        assert_eq!(meter.rate(start), 500.0);
    }

    #[test]
    fn what_is_older_than_half_a_minute_no_longer_counts() {
        let start = Instant::now();
        let mut window = Window::default();
        window.record(9.0, start);
        window.record(1.0, after(start, 20));
        assert_eq!(window.max(after(start, 29)), Some(9.0));
        assert_eq!(window.max(after(start, 31)), Some(1.0));
        assert_eq!(window.average(after(start, 31)), Some(1.0));
        assert_eq!(window.summary(after(start, 60)), None);
        assert_eq!(window.rate(after(start, 60)), 0.0);
    }

    #[test]
    fn memory_is_bounded_however_long_it_runs() {
        let start = Instant::now();
        let mut window = Window::default();
        for second in 0..10_000 {
            window.record(1.0, after(start, second));
        }
        assert_eq!(window.0.len(), SAMPLES);
    }
}
