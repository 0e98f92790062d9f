//! Times of a schedule: five fields as in cron, in a time zone. No clock is read: the time is an input.
//!
//! The fields speak of what a clock on the wall shows. A time that the wall clock skips, in spring, comes as much later as the
//! clock was put forward; a time that it shows twice, in autumn, comes the first time only.

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions, parse_crontab_with};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// Why text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields, or one of them means nothing.
    #[error(
        "{text:?} is no schedule: {reason}; write minute, hour, day of month, month and day of week, such as 0 3 * * *"
    )]
    ReadFields {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It can be read, but no day is such a day.
    #[error("{text:?} is never; choose days that exist")]
    FindTime {
        /// What was written.
        text: String,
    },
    /// The zone is unknown.
    #[error("{zone:?} is no time zone; write its IANA name, such as Europe/Berlin or UTC")]
    FindZone {
        /// What was written.
        zone: String,
    },
}

/// A schedule that can be read, in a zone that exists.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    crontab: Crontab,
    zone: TimeZone,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

/// How far back missed times are looked for, the nearest first: so that few times are counted even for a schedule of every
/// minute after a long absence.
const WINDOWS: [SignedDuration; 4] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(24 * 32),
    SignedDuration::from_hours(24 * 366 * 5),
];

impl Schedule {
    /// Reads a schedule.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let unreadable = |reason: String| ScheduleError::ReadFields { text: text.to_owned(), reason };
        let fields = text.split_whitespace().count();
        // A sixth one would be taken for a zone.
        if fields != 5 {
            return Err(unreadable(format!("it has {fields} fields instead of 5")));
        }
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let crontab = parse_crontab_with(text, options).map_err(|error| unreadable(one_line(&error)))?;
        let zone = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| ScheduleError::FindZone { zone: zone.to_owned() })?;
        let schedule = Self { text: text.to_owned(), crontab, zone };
        let begins = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
        let comes = schedule.wall_times(begins).next().is_some();
        if comes { Ok(schedule) } else { Err(ScheduleError::FindTime { text: text.to_owned() }) }
    }

    /// The first time after `after`, or none within four years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.times(after).next()
    }

    /// The newest time after `after` and not after `until`: what is due, however many were missed.
    pub fn newest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        WINDOWS.iter().find_map(|window| {
            let from = until.checked_sub(*window).map_or(after, |from| from.max(after));
            self.times(from).take_while(|time| *time <= until).last()
        })
    }

    /// All times after `after`.
    fn times(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        // The hour before, too: of a time that the wall clock skipped nothing is left to see after it was put forward.
        let from = after.checked_sub(SignedDuration::from_hours(3)).unwrap_or(after);
        let mut newest = after;
        self.wall_times(self.zone.to_datetime(from))
            .filter_map(|wall| self.zone.to_ambiguous_timestamp(wall).compatible().ok())
            .filter(move |time| {
                let is_new = *time > newest;
                newest = newest.max(*time);
                is_new
            })
    }

    /// What the wall clock shows at each time after `from`.
    fn wall_times(&self, from: DateTime) -> impl Iterator<Item = DateTime> {
        // The crontab is read as UTC, so that a wall clock is all that it sees.
        let next = |wall: &DateTime| {
            let shown = TimeZone::UTC.to_timestamp(*wall).ok().filter(|shown| *shown < far_future())?;
            Some(self.crontab.find_next(MakeTimestamp(shown)).ok()?.datetime())
        };
        std::iter::successors(next(&from), next)
    }
}

/// Beyond this, adding four years for the search could leave the calendar.
fn far_future() -> Timestamp {
    Timestamp::MAX.checked_sub(SignedDuration::from_hours(24 * 366 * 10)).unwrap_or(Timestamp::MAX)
}

/// The parser draws an arrow below the text; people read this in a condition.
fn one_line(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    let last =
        text.lines().map(|line| line.trim_matches([' ', '^', '|', ':'])).rfind(|line| !line.is_empty());
    last.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::parse(text, zone).unwrap()
    }

    fn after(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
        schedule.times(at(from)).take(count).map(|time| time.to_string()).collect()
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_a_remedy() {
        for (text, zone, words) in [
            ("0 3 * *", "UTC", "it has 4 fields instead of 5"),
            ("0 3 * * * UTC", "UTC", "it has 6 fields instead of 5"),
            ("0 25 * * *", "UTC", "0 3 * * *"),
            ("at three o clock !", "UTC", "0 3 * * *"),
            ("0 3 30 2 *", "UTC", "is never; choose days that exist"),
            ("0 3 * * *", "Europe/Atlantis", "write its IANA name, such as Europe/Berlin"),
        ] {
            let error = Schedule::parse(text, zone).unwrap_err().to_string();
            assert!(error.contains(words), "{text} {zone}: {error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn fields_are_read_as_cron_does() {
        for (text, want) in [
            ("0 3 * * *", ["2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z"]),
            ("*/30 * * * *", ["2026-11-21T12:30:00Z", "2026-11-21T13:00:00Z"]),
            ("15 4 * * SUN", ["2026-11-22T04:15:00Z", "2026-11-29T04:15:00Z"]),
            ("0 0 1 1,7 *", ["2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z"]),
            ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ] {
            assert_eq!(after(&schedule(text, "UTC"), "2026-11-21T12:00:00Z", 2), want, "{text}");
        }
    }

    #[test]
    fn b28_a_zone_moves_the_time_with_the_season() {
        let berlin = schedule("0 3 * * *", "Europe/Berlin");
        assert_eq!(after(&berlin, "2026-01-10T12:00:00Z", 1), ["2026-01-11T02:00:00Z"]);
        assert_eq!(after(&berlin, "2026-07-10T12:00:00Z", 1), ["2026-07-11T01:00:00Z"]);
        let kathmandu = schedule("0 3 * * *", "Asia/Kathmandu");
        assert_eq!(after(&kathmandu, "2026-07-10T12:00:00Z", 1), ["2026-07-10T21:15:00Z"]);
    }

    #[test]
    fn a_time_that_is_skipped_in_spring_comes_an_hour_later_and_is_not_lost() {
        // On 29 March 2026 the clock goes from 2:00 to 3:00, at 01:00 UTC.
        let berlin = schedule("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            after(&berlin, "2026-03-27T12:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            after(&berlin, "2026-03-29T01:10:00Z", 1),
            ["2026-03-29T01:30:00Z"],
            "seen after the jump"
        );
        let hourly = schedule("0 * * * *", "Europe/Berlin");
        assert_eq!(
            after(&hourly, "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_in_autumn_counts_once() {
        // On 25 October 2026 the clock goes from 3:00 back to 2:00, at 01:00 UTC.
        let berlin = schedule("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            after(&berlin, "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(after(&berlin, "2026-10-25T00:45:00Z", 1), ["2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn of_many_missed_times_the_newest_is_due() {
        let daily = schedule("0 3 * * *", "UTC");
        let due = |after: &str, until: &str| daily.newest(at(after), at(until)).map(|time| time.to_string());
        assert_eq!(due("2026-11-20T03:00:00Z", "2026-11-21T02:59:59Z"), None);
        assert_eq!(
            due("2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z").as_deref(),
            Some("2026-11-21T03:00:00Z")
        );
        assert_eq!(
            due("2026-11-01T03:00:00Z", "2026-11-21T02:00:00Z").as_deref(),
            Some("2026-11-20T03:00:00Z")
        );
        let yearly = schedule("0 0 1 1 *", "UTC");
        let due = yearly.newest(at("2024-06-01T00:00:00Z"), at("2026-11-21T00:00:00Z"));
        assert_eq!(due, Some(at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn a_schedule_of_every_minute_is_no_burden_after_years() {
        let always = schedule("* * * * *", "UTC");
        let due = always.newest(at("2020-01-01T00:00:00Z"), at("2026-11-21T00:00:30Z"));
        assert_eq!(due, Some(at("2026-11-21T00:00:00Z")));
    }

    #[test]
    fn the_end_of_the_calendar_is_the_end_of_the_schedule() {
        assert_eq!(schedule("0 3 * * *", "UTC").next(Timestamp::MAX), None);
    }
}
