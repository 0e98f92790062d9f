//! Events: one recorder, which counts repetitions. An Event that cannot be written never fails a pass.

use crate::context::Context;
use crate::kubernetes::chain;
use crate::memory::Memories;
use crate::outcome::{ActError, Outcome};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType};
use porpoise_core::event::{LONGEST_NOTE, shorten};
use porpoise_core::plan::Plan;
use porpoise_crds::MySQLCluster;
use std::time::Duration;

/// Events are a courtesy: they may not hold up a cluster.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) async fn emit(context: &Context, object: &MySQLCluster, plan: &Plan, outcome: &Outcome) {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let all = plan.events.iter().map(planned).chain(outcome.failures.iter().map(failure));
    tell(context, &context.memories, &uid, &object.object_ref(&()), all).await;
}

/// Publishes what is news about one object.
pub(super) async fn tell(
    context: &Context,
    memories: &Memories,
    uid: &str,
    regarding: &ObjectReference,
    events: impl Iterator<Item = Event>,
) {
    for event in events {
        let news = format!("{} {}", event.reason, event.note.as_deref().unwrap_or_default());
        if memories.of(uid, |memory| memory.is_news(&news)) {
            publish(context, regarding, &event).await;
        }
    }
}

/// An Event of the plan.
pub(super) fn planned(event: &porpoise_core::event::Event) -> Event {
    Event {
        type_: if event.warning { EventType::Warning } else { EventType::Normal },
        reason: event.reason.to_owned(),
        note: Some(event.note.clone()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

/// A step that failed.
pub(super) fn failure(error: &ActError) -> Event {
    Event {
        type_: EventType::Warning,
        reason: error.category().to_owned(),
        note: Some(shorten(&format!("cannot {}", chain(error)), LONGEST_NOTE).to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

async fn publish(context: &Context, regarding: &ObjectReference, event: &Event) {
    let reason = &event.reason;
    match tokio::time::timeout(LIMIT, context.recorder.publish(event, regarding)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(reason, error = chain(&error), "cannot write an Event"),
        Err(_) => tracing::debug!(reason, "no answer to an Event in time"),
    }
}
