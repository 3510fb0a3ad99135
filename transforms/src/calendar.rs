//! The calendar of Java's `GregorianCalendar`, in UTC: Julian before 15 October 1582, Gregorian since.

/// Milliseconds of a day.
pub(crate) const MILLIS_PER_DAY: i64 = 86_400_000;

/// 15 October 1582, in days since 1970.
const FIRST_GREGORIAN_DAY: i64 = -141_427;

/// A moment, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The year; 0 is 1 BC.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 1 to 366.
    pub(crate) day_of_year: i64,
    /// 0 is Sunday.
    pub(crate) weekday: i64,
    /// Milliseconds of the day.
    pub(crate) millis: i64,
}

impl Moment {
    /// The moment so many milliseconds after the epoch.
    pub(crate) fn of(millis: i64) -> Self {
        let days = millis.div_euclid(MILLIS_PER_DAY);
        let (year, month, day) = date_of(days);
        Self {
            year,
            month,
            day,
            day_of_year: days - days_to(year, 1, 1) + 1,
            weekday: weekday(days),
            millis: millis.rem_euclid(MILLIS_PER_DAY),
        }
    }

    /// The week of the year and the year it belongs to: weeks begin on Sunday, the first holds 1 January.
    pub(crate) fn week(self) -> (i64, i64) {
        let starts_on = |year| weekday(days_to(year, 1, 1));
        let length = days_to(self.year + 1, 1, 1) - days_to(self.year, 1, 1);
        if self.day_of_year > length - starts_on(self.year + 1) {
            return (self.year + 1, 1);
        }
        (
            self.year,
            (self.day_of_year - 1 + starts_on(self.year)) / 7 + 1,
        )
    }

    /// The week of the month: weeks begin on Sunday, the first holds the first day.
    pub(crate) fn week_of_month(self) -> i64 {
        let starts_on = (self.weekday - (self.day - 1)).rem_euclid(7);
        (self.day - 1 + starts_on) / 7 + 1
    }
}

/// Days from the epoch to a date; months and days beyond their range count on into the next.
pub(crate) fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (
        year + (month - 1).div_euclid(12),
        (month - 1).rem_euclid(12) + 1,
    );
    let gregorian = days_to_first(year, month, true) + day - 1;
    // In the year of the change the day decides, in others the year, however far the day counts on.
    if year > 1582 || (year == 1582 && gregorian >= FIRST_GREGORIAN_DAY) {
        gregorian
    } else {
        days_to_first(year, month, false) + day - 1
    }
}

/// Days from the epoch to the first of a month. The year is counted from March, so that leap days come last.
fn days_to_first(year: i64, month: i64, is_gregorian: bool) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let leap_days = if is_gregorian {
        year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)
    } else {
        year.div_euclid(4) - 2
    };
    year * 365 + leap_days + (months * 153 + 2) / 5 - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let is_gregorian = days >= FIRST_GREGORIAN_DAY;
    // Never more than the year, and at most one less.
    let days_of_400_years = if is_gregorian { 146_097 } else { 146_100 };
    let guess = (days + 719_468).div_euclid(days_of_400_years) * 400;
    let guess = guess + (days + 719_468).rem_euclid(days_of_400_years) * 400 / days_of_400_years;
    let months = (guess - 1) * 12..=(guess + 2) * 12;
    let starts = |month: &i64| first_of(*month, is_gregorian) <= days;
    let month = months.rev().find(starts).unwrap_or_default();
    let day = days - first_of(month, is_gregorian) + 1;
    (month.div_euclid(12), month.rem_euclid(12) + 1, day)
}

/// Days to the first of a month, counted from January of year 0.
fn first_of(month: i64, is_gregorian: bool) -> i64 {
    days_to_first(month.div_euclid(12), month.rem_euclid(12) + 1, is_gregorian)
}

/// 0 is Sunday; the epoch was a Thursday.
fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_come_out() {
        let date = |days: i64| {
            let moment = Moment::of(days * MILLIS_PER_DAY);
            (moment.year, moment.month, moment.day, moment.weekday)
        };
        assert_eq!(date(0), (1970, 1, 1, 4));
        assert_eq!(date(19_675), (2023, 11, 14, 2));
        assert_eq!(date(11_016), (2000, 2, 29, 2));
        assert_eq!(date(FIRST_GREGORIAN_DAY), (1582, 10, 15, 5));
        assert_eq!(date(FIRST_GREGORIAN_DAY - 1), (1582, 10, 4, 4));
    }

    #[test]
    fn weeks_are_those_of_the_united_states() {
        let week = |year, month, day| Moment::of(days_to(year, month, day) * MILLIS_PER_DAY).week();
        assert_eq!(week(2023, 1, 1), (2023, 1));
        assert_eq!(week(2023, 1, 8), (2023, 2));
        assert_eq!(week(2023, 12, 30), (2023, 52));
        assert_eq!(week(2023, 12, 31), (2024, 1));
        assert_eq!(week(2024, 1, 6), (2024, 1));
    }

    proptest! {
        #[test]
        fn a_date_leads_back_to_its_day(days in -100_000_000_i64..100_000_000) {
            let moment = Moment::of(days * MILLIS_PER_DAY);
            prop_assert_eq!(days_to(moment.year, moment.month, moment.day), days);
            prop_assert!((1..=12).contains(&moment.month));
            prop_assert!((1..=31).contains(&moment.day));
            prop_assert!((1..=366).contains(&moment.day_of_year));
        }
    }
}
