//! What each identity may do, asked of the API server (G12, G13, G17, G20).

use anyhow::{Result, ensure};
use porpoise_crds::permissions::PERMISSIONS;
use porpoise_e2e::scenario::{OPERATOR_NAMESPACE, Stage};

const OPERATOR: &str = "system:serviceaccount:porpoise-system:porpoise";

async fn may(stage: &Stage, who: &str, verb: &str, resource: &str) -> Result<bool> {
    let who = format!("--as={who}");
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let part = format!("--subresource={part}");
    // `kubectl auth can-i` ends with 1 and says "no" where the answer is no.
    match stage.kubectl(&["auth", "can-i", verb, resource, &part, "-n", OPERATOR_NAMESPACE, &who]).await {
        Ok(answer) => Ok(answer.trim() == "yes"),
        Err(error) if format!("{error:#}").trim_end().ends_with("no") => Ok(false),
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn the_operator_may_do_what_it_says_and_nothing_of_this() -> Result<()> {
    let stage = Stage::shared().await?;
    for permission in PERMISSIONS {
        for verb in permission.verbs {
            let resource = if permission.group.is_empty() {
                permission.resource.to_owned()
            } else {
                permission.resource.split_once('/').map_or_else(
                    || format!("{}.{}", permission.resource, permission.group),
                    |(resource, part)| format!("{resource}.{}/{part}", permission.group),
                )
            };
            ensure!(may(&stage, OPERATOR, verb, &resource).await?, "the operator may not {verb} {resource}");
        }
    }
    for (verb, resource) in [
        ("list", "secrets"),
        ("watch", "secrets"),
        ("create", "pods/exec"),
        ("delete", "nodes"),
        ("create", "clusterrolebindings"),
        ("*", "*"),
    ] {
        ensure!(!may(&stage, OPERATOR, verb, resource).await?, "the operator may {verb} {resource}");
    }
    Ok(())
}
