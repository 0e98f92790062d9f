//! Whether an order is taken: pure.

use super::{Goal, Identity, Promise, Volume};
use crate::protocol::{Action, Order, Seen};

/// What the answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// UID of the cluster in `agent.json`.
    pub cluster: &'a str,
    /// `NAMESPACE/NAME` of the cluster.
    pub owner: &'a str,
    /// Name of this instance.
    pub instance: &'a str,
    /// Whose volume it is.
    pub volume: &'a Volume,
    /// What was promised.
    pub promise: &'a Promise,
    /// What the agent works towards.
    pub goal: Option<&'a Goal>,
    /// What an order must have been decided on.
    pub seen: &'a Seen,
}

/// What becomes of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Promise, then work towards it.
    Accept,
    /// Promise, then make the former cluster's volume ours.
    Adopt(Identity),
    /// Nothing changes; why, in a sentence.
    Refuse(String),
}

/// Total: every order has an answer.
pub fn judge(standing: Standing<'_>, order: &Order) -> Verdict {
    match objection(standing, order) {
        Some(reason) => Verdict::Refuse(reason),
        None => match (&order.action, standing.volume) {
            (Action::Adopt { .. }, Volume::Foreign(former)) => Verdict::Adopt(former.clone()),
            _ => Verdict::Accept,
        },
    }
}

fn objection(standing: Standing<'_>, order: &Order) -> Option<String> {
    let Standing { cluster, owner: _, instance, volume, promise, goal: _, seen } = standing;
    if order.cluster != cluster {
        return Some(format!("this agent is of cluster {cluster}"));
    }
    if order.instance != instance {
        return Some(format!("this is instance {instance}"));
    }
    if let Some(wanted) = &order.volume
        && volume.id() != Some(wanted.as_str())
    {
        return Some(format!("the volume is {}", volume.id().unwrap_or("unknown")));
    }
    if order.term < promise.term {
        return Some(format!("term {} is promised", promise.term));
    }
    if let (Some(told), Some(known)) = (&order.claim, &promise.claim)
        && told.version < known.version
    {
        return Some(format!("claim {} is known", known.version));
    }
    if order.seen != *seen {
        return Some("the order was decided on an older state of this member".into());
    }
    match volume {
        Volume::Ours(_) => of_action(standing, order),
        Volume::Foreign(found) => of_adoption(standing, found, &order.action),
        Volume::Unusable(reason) => Some(reason.clone()),
        Volume::InUse => Some("another process works on the volume".into()),
    }
}

fn of_adoption(standing: Standing<'_>, found: &Identity, action: &Action) -> Option<String> {
    match action {
        Action::Adopt { former } | Action::TakeOver { former, .. } if *former != found.cluster => {
            Some(format!("the volume belongs to cluster {}", found.cluster))
        }
        Action::Adopt { .. } if standing.owner != found.owner => {
            Some(format!("the volume belongs to {}", found.owner))
        }
        // Whoever orders the latter made the volume for this cluster.
        Action::Adopt { .. } | Action::TakeOver { .. } => None,
        Action::Seal
        | Action::Promote { .. }
        | Action::Follow { .. }
        | Action::Clone { .. }
        | Action::Restore { .. }
        | Action::Begin { .. }
        | Action::Shutdown => Some(format!("the volume belongs to another cluster, {}", found.owner)),
    }
}

/// Within one term messages may come late or twice; none of them may undo or double a primary.
fn of_action(standing: Standing<'_>, order: &Order) -> Option<String> {
    let current = standing.goal.filter(|goal| goal.term == order.term).map(|goal| &goal.action);
    let reigns = matches!(current, Some(Action::Promote { .. }));
    let follows = matches!(current, Some(Action::Follow { .. }));
    match &order.action {
        Action::Promote { k, .. } if *k < 0 => Some(format!("k = {k} makes no sense")),
        Action::Promote { .. } if follows => {
            Some(format!("this member follows another one in term {}", order.term))
        }
        Action::Seal | Action::Follow { .. } | Action::Clone { .. } if reigns => {
            Some(format!("this member is the primary of term {}", order.term))
        }
        // Whoever has a claim has data that somebody may have been promised.
        Action::Restore { .. } | Action::Begin { .. }
            if standing.promise.claim.is_some() || order.claim.is_some() =>
        {
            Some("this member belongs to a claim: its data is not replaced by a cluster's first".into())
        }
        Action::TakeOver { .. } => Some("the volume is this cluster's already".into()),
        Action::Seal
        | Action::Promote { .. }
        | Action::Follow { .. }
        | Action::Clone { .. }
        | Action::Restore { .. }
        | Action::Begin { .. }
        | Action::Adopt { .. }
        | Action::Shutdown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porpoise_crds::Quorum;

    fn identity(cluster: &str) -> Identity {
        Identity {
            cluster: cluster.into(),
            owner: "prod/shop".into(),
            instance: "shop-1".into(),
            volume: "v1".into(),
            server_id: 2,
        }
    }

    fn order(term: i64, action: Action) -> Order {
        Order {
            cluster: "uid".into(),
            instance: "shop-1".into(),
            volume: Some("v1".into()),
            term,
            claim: None,
            seen: seen(),
            action,
        }
    }

    fn seen() -> Seen {
        Seen { process: "p1".into(), goal: 3 }
    }

    fn promote() -> Action {
        Action::Promote { k: 1, admit: true }
    }

    fn follow() -> Action {
        Action::Follow { source: "shop-0".into(), host: "shop-0.x".into(), acknowledge: true, keep: None }
    }

    fn verdict(volume: &Volume, promise: &Promise, goal: Option<&Goal>, order: &Order) -> Verdict {
        let standing = Standing {
            cluster: "uid",
            owner: "prod/shop",
            instance: "shop-1",
            volume,
            promise,
            goal,
            seen: &seen(),
        };
        judge(standing, order)
    }

    #[test]
    fn addressee_table() {
        let ours = Volume::Ours(identity("uid"));
        let promise = Promise { term: 5, claim: Some(Quorum { version: 7, ..Quorum::default() }) };
        let fits = order(5, Action::Seal);
        assert_eq!(verdict(&ours, &promise, None, &fits), Verdict::Accept);
        for (case, wrong) in [
            ("cluster", Order { cluster: "x".into(), ..fits.clone() }),
            ("instance", Order { instance: "shop-2".into(), ..fits.clone() }),
            ("volume", Order { volume: Some("v2".into()), ..fits.clone() }),
            ("term", Order { term: 4, ..fits.clone() }),
            ("process", Order { seen: Seen { process: "p0".into(), ..seen() }, ..fits.clone() }),
            ("goal", Order { seen: Seen { goal: 2, ..seen() }, ..fits.clone() }),
            ("claim", Order { claim: Some(Quorum { version: 6, ..Quorum::default() }), ..fits.clone() }),
        ] {
            let found = verdict(&ours, &promise, None, &wrong);
            assert!(matches!(found, Verdict::Refuse(_)), "{case}");
        }
        let anyone = Order { volume: None, ..fits };
        assert_eq!(verdict(&ours, &promise, None, &anyone), Verdict::Accept);
    }

    #[test]
    fn within_a_term_table() {
        let ours = Volume::Ours(identity("uid"));
        let promise = Promise { term: 5, ..Promise::default() };
        let primary = Goal { term: 5, action: promote() };
        let replica = Goal { term: 5, action: follow() };
        for (case, goal, order, accepted) in [
            ("again, with another k", Some(&primary), order(5, Action::Promote { k: 2, admit: true }), true),
            ("late seal", Some(&primary), order(5, Action::Seal), false),
            ("late follow", Some(&primary), order(5, follow()), false),
            ("next seal", Some(&primary), order(6, Action::Seal), true),
            ("stop", Some(&primary), order(5, Action::Shutdown), true),
            ("after a crash", None, order(5, promote()), true),
            ("after a crash, next term", None, order(6, promote()), true),
            ("second primary", Some(&replica), order(5, promote()), false),
            ("after sealing", Some(&Goal { term: 5, action: Action::Seal }), order(5, promote()), true),
            ("negative", None, order(5, Action::Promote { k: -1, admit: true }), false),
        ] {
            let found = verdict(&ours, &promise, goal, &order);
            assert_eq!(found == Verdict::Accept, accepted, "{case}: {found:?}");
        }
    }

    #[test]
    fn a_volume_that_cannot_be_read_takes_no_order() {
        let anyone = |term, action| Order { volume: None, ..order(term, action) };
        for volume in [Volume::Unusable("understand promise.json".into()), Volume::InUse] {
            for action in [Action::Seal, promote(), follow(), Action::Adopt { former: "old".into() }] {
                let found = verdict(&volume, &Promise::default(), None, &anyone(9, action));
                assert!(matches!(found, Verdict::Refuse(_)), "{volume:?}");
            }
        }
    }

    #[test]
    fn foreign_volumes_are_adopted_by_name_and_uid() {
        let foreign = Volume::Foreign(identity("old"));
        let promise = Promise::default();
        let adopt = |former: &str| order(1, Action::Adopt { former: former.into() });
        assert_eq!(verdict(&foreign, &promise, None, &adopt("old")), Verdict::Adopt(identity("old")));
        let take = |former: &str| {
            order(1, Action::TakeOver { former: former.into(), request: "restore-uid".into() })
        };
        assert_eq!(verdict(&foreign, &promise, None, &take("old")), Verdict::Accept);
        let ours = Volume::Ours(identity("uid"));
        assert!(matches!(verdict(&ours, &promise, None, &take("uid")), Verdict::Refuse(_)), "never twice");
        for wrong in [adopt("older"), take("older"), order(1, Action::Seal), order(1, promote())] {
            let found = verdict(&foreign, &promise, None, &wrong);
            assert!(matches!(found, Verdict::Refuse(_)));
        }
        let namesake = Volume::Foreign(Identity { owner: "test/shop".into(), ..identity("old") });
        assert!(matches!(verdict(&namesake, &promise, None, &adopt("old")), Verdict::Refuse(_)));
        assert_eq!(
            verdict(&namesake, &promise, None, &take("old")),
            Verdict::Accept,
            "made for this cluster"
        );
    }
}
