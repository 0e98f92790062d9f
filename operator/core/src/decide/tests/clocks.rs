//! Clocks that jump, by hours and days, ahead and back: what is made, kept and told of backups (A29, `backup.md`).

use super::archive;
use super::backups::{at, daily, decided, good, later, names, over, retired, status, view};
use crate::view::{BackupSeen, ClusterView};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::BackupPhase;
use serde_json::json;

const SERVER: &str = "ab14ab2d-e585-11f1-8f73-02fc00000001";

/// Looks at these times, each backup being complete a minute after it was asked for: what was made at which. The API server's
/// clock is right, and goes on by a minute with every look.
fn made(schedule: &str, looks: &[&str]) -> Vec<String> {
    let mut seen = view(looks[0], &json!({"schedule": schedule}));
    let mut right = seen.now;
    let mut made = Vec::new();
    for look in looks {
        let plan = decided(&seen);
        seen = later(seen, &plan, look);
        let plan = decided(&seen);
        right += jiff::SignedDuration::from_mins(1);
        let asked: Vec<String> = names(&plan).into_iter().map(str::to_owned).collect();
        seen = later(seen, &plan, look);
        for name in asked {
            seen.backups.get_mut(&name).unwrap().created = Some(right);
            seen.now += jiff::SignedDuration::from_mins(1);
            over(&mut seen, &name);
            made.push(name);
        }
    }
    made
}

/// As long as the clock was ahead each of its times was answered. When it shows them once more they come once more: what was
/// made ahead of time holds nothing of what was written since.
#[test]
fn a29_a_clock_that_was_ahead_costs_no_time_of_the_schedule() {
    let looks = [
        "2026-11-21T02:30:00Z",
        "2026-11-22T03:00:05Z",
        "2026-11-22T04:00:05Z",
        "2026-11-21T05:00:05Z",
        "2026-11-21T06:00:05Z",
        "2026-11-22T03:00:06Z",
        "2026-11-22T03:05:00Z",
        "2026-11-22T04:00:06Z",
        "2026-11-22T05:00:05Z",
    ];
    let wanted = ["22-03", "22-04", "21-06", "22-03-2", "22-04-2", "22-05"];
    let short = |name: &String| {
        let time = name.trim_start_matches("shop-202611");
        let (day, rest) = time.split_at(2);
        format!("{day}-{}{}", &rest[..2], &rest[4..])
    };
    let found: Vec<String> = made("0 * * * *", &looks).iter().map(short).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a29_a_time_that_a_clock_shows_twice_is_answered_once() {
    let looks =
        ["2026-11-21T02:30:00Z", "2026-11-21T03:00:05Z", "2026-11-21T02:15:00Z", "2026-11-21T03:00:04Z"];
    assert_eq!(made("0 3 * * *", &looks), [daily(21)]);
    // By years, and ahead again.
    let looks =
        ["2026-11-21T02:30:00Z", "2026-11-21T03:00:05Z", "1970-01-01T00:00:00Z", "2026-11-21T03:30:00Z"];
    let found = made("0 3 * * *", &looks);
    assert_eq!(found.len(), 1, "{found:?}");
}

/// Every jump, from every hour: at most one backup for a jump, and the next time of the schedule is never far.
#[test]
fn a29_no_jump_stops_a_schedule_or_makes_it_run_wild() {
    for hours in [-24 * 365 * 20, -24 * 40, -25, -1, 1, 25, 24 * 40, 24 * 365 * 20] {
        let mut seen = view("2026-11-21T02:30:00Z", &json!({"schedule": "0 3 * * *"}));
        let plan = decided(&seen);
        seen.object.status = Some(plan.status.clone());
        seen.now += jiff::SignedDuration::from_hours(hours);
        let mut count = 0;
        for _ in 0..48 {
            let plan = decided(&seen);
            let next = status(&plan).next_run.unwrap().0;
            assert!(next.duration_since(seen.now) <= jiff::SignedDuration::from_hours(24), "{hours}");
            let asked: Vec<String> = names(&plan).into_iter().map(str::to_owned).collect();
            let now = (seen.now + jiff::SignedDuration::from_mins(30)).to_string();
            seen = later(seen, &plan, &now);
            for name in &asked {
                over(&mut seen, name);
            }
            count += asked.len();
        }
        // A day passes, and the jump may have passed a time of its own.
        assert!((1..=2).contains(&count), "{count} backups in a day after a jump by {hours} h");
    }
}

/// Backups of this cluster: day, time of completion, and the last transaction that they hold.
fn holding(view: &mut ClusterView, backups: &[(u8, &str, u64)]) {
    let cluster = view.object.metadata.uid.clone();
    for (day, completed, last) in backups {
        let gtid_set = Some(format!("{SERVER}:1-{last}"));
        let backup =
            BackupSeen { completed: Some(at(completed)), cluster: cluster.clone(), gtid_set, ..good(*day) };
        view.backups.insert(daily(*day), backup);
    }
}

#[test]
fn a29_what_a_backup_holds_says_which_is_newer_before_any_clock_does() {
    type Case<'a> = (&'a str, &'a [(u8, &'a str, u64)], &'a [u8]);
    let cases: [Case<'_>; 4] = [
        (
            "made by a clock that was days ahead, and the newest",
            &[(19, "2026-11-19T03:10:00Z", 40), (20, "2026-11-25T03:10:00Z", 50)],
            &[19],
        ),
        (
            "made by a clock that was days ahead, and not the newest any more",
            &[(20, "2026-11-25T03:10:00Z", 50), (21, "2026-11-21T03:10:00Z", 60)],
            &[20],
        ),
        (
            "made by a clock that was days behind, and the newest",
            &[(20, "2026-11-20T03:10:00Z", 50), (21, "2026-11-10T03:10:00Z", 60)],
            &[20],
        ),
        (
            "nothing was written between",
            &[(20, "2026-11-20T03:10:00Z", 50), (21, "2026-11-21T03:10:00Z", 50)],
            &[20],
        ),
    ];
    for (case, backups, gone) in cases {
        let mut seen = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
        holding(&mut seen, backups);
        let gone: Vec<String> = gone.iter().map(|day| daily(*day)).collect();
        assert_eq!(retired(&decided(&seen)), gone, "{case}");
    }
}

/// It holds what the first one does, which a third one holds as well: two lines of writes from one beginning.
#[test]
fn a29_a_backup_is_no_older_than_any_that_it_holds() {
    let mut seen = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
    let backups = [
        (17, "2026-11-20T03:10:00Z", 50),
        (18, "2026-11-18T03:10:00Z", 60),
        (19, "2026-11-10T03:10:00Z", 50),
    ];
    holding(&mut seen, &backups);
    let other = "c1d2e3f4-e585-11f1-8f73-02fc00000002";
    seen.backups.get_mut(&daily(19)).unwrap().gtid_set = Some(format!("{SERVER}:1-50,{other}:1-20"));
    assert_eq!(retired(&decided(&seen)), [daily(18), daily(17)]);
}

/// Nobody knows what is newer by content: the API server's clock dates the object of one that is complete in what is to come.
#[test]
fn a29_a_completion_that_is_still_to_come_makes_no_backup_the_newest() {
    let mut seen = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
    seen.backups.insert(daily(20), BackupSeen { completed: Some(at("2026-11-25T03:10:00Z")), ..good(20) });
    seen.backups.insert(daily(21), good(21));
    assert_eq!(retired(&decided(&seen)), [daily(20)]);
}

/// A restore leaves a line of data behind. What is newer in the one is no answer for what is in the other.
#[test]
fn a29_the_newest_verified_backup_of_each_line_of_data_stays() {
    let mut seen = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
    for (day, cluster) in [(17, "former"), (18, "former"), (19, "present"), (20, "present")] {
        let cluster = Some(cluster.to_owned());
        seen.backups.insert(daily(day), BackupSeen { cluster, ..good(day) });
    }
    assert_eq!(retired(&decided(&seen)), [daily(19), daily(17)]);
}

/// One whose clock was behind is no reason to take those before it for older than the window.
#[test]
fn a29_a_backup_by_a_slow_clock_ends_no_window() {
    let mut seen = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1, "window": "5d"}}));
    holding(
        &mut seen,
        &[
            (18, "2026-11-18T03:10:00Z", 20),
            (19, "2026-11-19T03:10:00Z", 30),
            (20, "2026-10-01T03:10:00Z", 40),
        ],
    );
    assert!(retired(&decided(&seen)).is_empty());
}

/// Ahead by days or years, all backups are beyond the window at once. That says nothing about them, and the backup that is made
/// for what was missed takes no place of theirs: the API server's clock is right.
#[test]
fn a29_a_clock_that_jumps_ahead_retires_nothing() {
    let wish = json!({"schedule": "0 3 * * *", "retention": {"keepLast": 1, "window": "7d"}});
    for now in ["2026-12-05T12:00:00Z", "2036-11-21T12:00:00Z"] {
        let mut seen = view("2026-11-21T02:30:00Z", &wish);
        seen.backups.extend((17..=20).map(|day| (daily(day), good(day))));
        let plan = decided(&seen);
        let jumped = later(seen, &plan, now);
        let plan = decided(&jumped);
        assert!(retired(&plan).is_empty(), "{now}");
        let name = names(&plan)[0].to_owned();
        let mut next = later(jumped, &plan, now);
        over(&mut next, &name);
        next.backups.get_mut(&name).unwrap().created = Some(at("2026-11-21T02:31:00Z"));
        assert!(retired(&decided(&next)).is_empty(), "{now}");
    }
}

/// A success in what is still to come answers no time of the schedule: who waits for an alarm would wait as long.
#[test]
fn f21_a_success_by_a_clock_that_was_ahead_hides_no_missing_backup() {
    let first = view("2026-11-21T02:00:00Z", &json!({"schedule": "0 3 * * *"}));
    let plan = decided(&first);
    let mut due = later(first, &plan, "2026-11-21T03:00:05Z");
    due.backups.insert(daily(25), good(25));
    let plan = decided(&due);
    let mut failed = later(due, &plan, "2026-11-21T03:20:00Z");
    failed.backups.get_mut(&daily(21)).unwrap().phase = Some(BackupPhase::Failed);
    let plan = decided(&failed);
    assert_eq!(status(&plan).due_since, Some(Time(at("2026-11-21T03:00:00Z"))));
}

/// The archive is a record by the primary's clock. When that is put right the record is right with the next look.
#[test]
fn a30_the_restorable_window_follows_a_clock_that_is_put_right() {
    let mut seen = archive::archiving();
    archive::add(&mut seen, 3, 20);
    let mut window = |reached: &str| {
        archive::says(&mut seen, |one| one.reached_at = Some(reached.to_owned()));
        let plan = decided(&seen);
        seen.object.status = Some(plan.status.clone());
        let found = archive::status(&plan);
        (found.restorable_from.map(|time| time.0), found.restorable_to.map(|time| time.0))
    };
    let from = at("2026-11-21T03:00:00Z");
    for reached in ["2036-11-21T12:00:00Z", "2026-11-21T11:59:59Z"] {
        assert_eq!(window(reached), (Some(from), Some(at(reached))));
    }
    assert_eq!(window("2026-11-20T12:00:00Z"), (None, None), "no moment lies between");
    let now = "2026-11-21T12:00:00Z";
    assert_eq!(window(now), (Some(from), Some(at(now))));
}
