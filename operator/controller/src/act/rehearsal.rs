//! The Job that tries an update on a copy: made if it is absent, deleted when it is over or nobody wants it any more.

use super::{ActError, Pass, jobs};
use crate::kinds::MANAGER;
use crate::kubernetes::bounded;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use porpoise_core::plan::{Plan, RehearsalWish};

impl Pass<'_> {
    pub(super) async fn keep_rehearsal(&self, plan: &Plan) -> Vec<ActError> {
        let mut failures = Vec::new();
        for (name, uid) in &plan.stopped_rehearsals {
            failures.extend(jobs::end(&self.namespaced(), name, uid).await.err());
        }
        if let Some(wish) = &plan.rehearsal {
            failures.extend(self.rehearse(wish).await.err());
        }
        failures
    }

    async fn rehearse(&self, wish: &RehearsalWish) -> Result<(), ActError> {
        let RehearsalWish { backup, account, job } = wish;
        // The account is the backup's, by the field manager that the backup has for it.
        let manager = PatchParams::apply(&format!("{MANAGER}-{backup}")).force();
        let accounts: Api<ServiceAccount> = self.namespaced();
        let applied = bounded(accounts.patch(&account.name_any(), &manager, &Patch::Apply(account))).await;
        let title = || format!("ServiceAccount {}", account.name_any());
        applied.map_err(|source| ActError::ApplyObject { title: title(), source })?;
        jobs::make(&self.namespaced(), job, self.names.cluster()).await
    }
}

#[cfg(test)]
mod tests {
    use crate::act::on;
    use crate::act::tests::observation;
    use crate::observation::Freshness;
    use crate::testing::{context, refusal, server};
    use porpoise_core::plan::{Plan, RehearsalWish};
    use serde_json::json;

    fn wish() -> Box<RehearsalWish> {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop-backup", "namespace": "prod"}});
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "shop-try-1", "namespace": "prod"}});
        Box::new(RehearsalWish {
            backup: "shop-a".to_owned(),
            account: serde_json::from_value(account).unwrap(),
            job: serde_json::from_value(job).unwrap(),
        })
    }

    #[tokio::test]
    async fn d15_a_rehearsal_is_made_with_its_account_and_one_that_exists_is_the_same() {
        let (client, calls) = server(|call| match call.method.as_str() {
            "POST" => Some(refusal(409, "AlreadyExists")),
            _ => Some((200, call.body.clone())),
        });
        let (context, _until) = context(&client);
        let plan = Plan { rehearsal: Some(wish()), ..Plan::default() };
        let outcome = on(&context, &observation(Freshness::Watched), &plan).await;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        let lines = calls.lines();
        assert!(
            lines[0].starts_with("PATCH /api/v1/namespaces/prod/serviceaccounts/shop-backup"),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("POST /apis/batch/v1/namespaces/prod/jobs"), "{lines:?}");
    }

    #[tokio::test]
    async fn d15_a_rehearsal_that_is_over_goes_by_its_uid() {
        let (client, calls) = server(|_| Some(refusal(404, "NotFound")));
        let (context, _until) = context(&client);
        let over = vec![("shop-try-1".to_owned(), "j0b".to_owned())];
        let plan = Plan { stopped_rehearsals: over, ..Plan::default() };
        let outcome = on(&context, &observation(Freshness::Watched), &plan).await;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        let call = calls.all().pop().unwrap();
        assert_eq!((call.method.as_str(), &call.body["preconditions"]["uid"]), ("DELETE", &json!("j0b")));
    }
}
