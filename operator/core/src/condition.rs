//! Conditions: built, kept and compared.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The conditions of a `MySQLCluster`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::VariantArray,
)]
pub enum ConditionType {
    /// Every member serves.
    Ready,
    /// Clients can write.
    Writable,
    /// Something is on its way: an operation, a rollout, a member that joins.
    Progressing,
    /// Something is missing or broken while the cluster goes on.
    Degraded,
    /// The spec can be carried out.
    ConfigurationValid,
    /// Every volume is bound and as large as asked.
    StorageReady,
    /// Certificates exist and are fresh.
    CertificatesReady,
    /// The last backup came to a good end. Only with `spec.backup`.
    BackupReady,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows.
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// What is to be said about one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Which condition.
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: Truth,
    /// `PascalCase` reason; never empty.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl News {
    /// News about `type_`.
    pub fn new(
        type_: ConditionType,
        status: impl Into<Truth>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status: status.into(), reason, message: message.into() }
    }
}

/// The conditions that tell `news`, in the order of [`ConditionType`].
///
/// A condition whose status did not change keeps the transition time it has in `old`; the others changed `now`.
/// Conditions of other writers in `old` are not carried over: one place writes the status.
pub fn conditions(
    old: &[Condition],
    mut news: Vec<News>,
    observed_generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    news.sort_by_key(|one| one.type_);
    news.into_iter().map(|one| condition(old, one, observed_generation, now)).collect()
}

fn condition(old: &[Condition], news: News, observed_generation: i64, now: Timestamp) -> Condition {
    let type_: &'static str = news.type_.into();
    let status: &'static str = news.status.into();
    let last_transition_time = old
        .iter()
        .find(|before| before.type_ == type_ && before.status == status)
        .map_or(Time(now), |before| before.last_transition_time.clone());
    Condition {
        last_transition_time,
        message: news.message,
        observed_generation: Some(observed_generation),
        reason: news.reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    }
}

/// Puts one condition in the place of what was said about it. `old` is what is stored, for the transition time.
pub fn replace(
    conditions: &mut Vec<Condition>,
    old: &[Condition],
    news: News,
    observed_generation: i64,
    now: Timestamp,
) {
    let told = condition(old, news, observed_generation, now);
    match conditions.iter_mut().find(|one| one.type_ == told.type_) {
        Some(place) => *place = told,
        None => conditions.push(told),
    }
}

/// Equal when both tell the user the same thing, whenever it was said.
pub fn same_news(old: &[Condition], new: &[Condition]) -> bool {
    old.len() == new.len() && new.iter().all(|n| old.iter().any(|o| same_condition(o, n)))
}

fn same_condition(old: &Condition, new: &Condition) -> bool {
    // No `..`: a new field must be compared or named here.
    let Condition { type_, status, reason, message, observed_generation, last_transition_time: _ } = new;
    old.type_ == *type_
        && old.status == *status
        && old.reason == *reason
        && old.message == *message
        && old.observed_generation == *observed_generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(status: bool, message: &str) -> News {
        News::new(ConditionType::Ready, status, "Healthy", message)
    }

    #[test]
    fn a_condition_is_exactly_this() {
        assert_eq!(
            serde_json::json!(conditions(&[], vec![ready(true, "3 of 3 serve")], 4, at(0))),
            serde_json::json!([{
                "type": "Ready",
                "status": "True",
                "reason": "Healthy",
                "message": "3 of 3 serve",
                "observedGeneration": 4,
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }])
        );
    }

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let old = conditions(&[], vec![ready(false, "starting")], 1, at(10));
        let told_again = conditions(&old, vec![ready(false, "still starting")], 2, at(20));
        assert_eq!(told_again[0].last_transition_time, Time(at(10)));
        let changed = conditions(&told_again, vec![ready(true, "up")], 2, at(30));
        assert_eq!(changed[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn news_is_anything_but_the_time() {
        let told = |message: &str, generation, second| {
            conditions(&[], vec![ready(true, message)], generation, at(second))
        };
        let old = told("up", 1, 10);
        assert!(same_news(&old, &told("up", 1, 99)));
        assert!(!same_news(&old, &told("down", 1, 10)));
        assert!(!same_news(&old, &told("up", 2, 10)));
        assert!(!same_news(&old, &[]));
        assert!(!same_news(&[], &old));
    }

    #[test]
    fn order_does_not_depend_on_the_teller() {
        let all = || ConditionType::VARIANTS.iter().map(|type_| News::new(*type_, true, "Fine", ""));
        let forth = conditions(&[], all().collect(), 1, at(1));
        let back = conditions(&[], all().rev().collect(), 1, at(1));
        assert_eq!(forth, back);
        assert_eq!(forth[0].type_, "Ready");
    }
}
