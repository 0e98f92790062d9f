//! What is told of a change of passwords (G8).

use super::world::World;
use crate::decide;
use crate::fixture;
use crate::plan::Plan;
use crate::protocol::{ACCOUNTS_STAY, MemberState};
use crate::view::{ClusterView, Look};

/// The next look at a primary that says this; what became of it is in the view.
fn look(view: &mut ClusterView, change: impl FnOnce(&mut MemberState)) -> Plan {
    let Some(Look::Answered(state)) = view.members.get_mut("shop-0") else { panic!("shop-0 answers") };
    change(state);
    let plan = decide::plan(view, &fixture::settings());
    view.object.status = Some(plan.status.clone());
    plan
}

fn told(plan: &Plan) -> Vec<(&str, &str)> {
    let all = plan.events.iter().map(|event| (event.reason, event.note.as_str()));
    all.filter(|(reason, _)| reason.starts_with("Password")).collect()
}

#[test]
fn g8_a_change_of_passwords_is_told_when_it_begins_and_when_it_is_over() {
    let mut view = World::healthy(3).view();
    let says = |users: &[&str]| Some(users.iter().map(|user| (*user).to_owned()).collect::<Vec<_>>());
    assert!(told(&look(&mut view, |one| one.former_passwords = says(&[]))).is_empty());
    let plan = look(&mut view, |one| one.former_passwords = says(&["app", "porpoise_agent"]));
    let note = "app, porpoise_agent got new passwords; the former ones are accepted beside them for an hour";
    assert_eq!(told(&plan), [("PasswordsChanging", note)]);
    assert_eq!(plan.status.changing_accounts, ["app", "porpoise_agent"]);
    assert!(told(&look(&mut view, |_| ())).is_empty(), "once");
    // A successor that has not looked yet takes nothing back.
    let plan = look(&mut view, |one| one.former_passwords = None);
    assert_eq!((told(&plan).len(), plan.status.changing_accounts.len()), (0, 2));
    let plan = look(&mut view, |one| one.former_passwords = says(&[]));
    assert_eq!(told(&plan), [("PasswordsChanged", "no former password is accepted any more")]);
    assert!(plan.status.changing_accounts.is_empty());
}

#[test]
fn g8_a_password_that_cannot_be_used_is_told_once_with_what_to_do() {
    let mut view = World::healthy(3).view();
    let words = format!("use the new clone of the Secret: it is empty; write one; {ACCOUNTS_STAY}");
    let plan = look(&mut view, |one| one.message.clone_from(&words));
    let note = format!("shop-0: {words}");
    assert_eq!(told(&plan), [("PasswordRefused", note.as_str())]);
    assert!(told(&look(&mut view, |_| ())).is_empty());
    assert!(told(&look(&mut view, |one| one.message.clear())).is_empty());
}
