//! The optional probe of the chart `mysql-cluster` sees what an application sees (F2).

use anyhow::{Result, ensure};
use porpoise_crds::Phase;
use porpoise_e2e::programs::checkout;
use porpoise_e2e::scenario::{Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::json;

#[tokio::test]
async fn f2_the_probe_writes_and_reads_through_both_services() -> Result<()> {
    crate::beside_others("probe", async |namespace| {
        let stage = namespace.stage();
        let folder = tempfile::tempdir()?;
        let values = folder.path().join("values.json");
        let probe = json!({"enabled": true, "image": stage.operator_image(), "periodSeconds": 1});
        std::fs::write(&values, json!({"spec": small("shop", 2)["spec"], "probe": probe}).to_string())?;
        let chart = checkout().join("charts/mysql-cluster");
        let (chart, values) = (chart.to_string_lossy().into_owned(), values.to_string_lossy().into_owned());
        stage.helm(&["install", "shop", &chart, "-n", namespace.name(), "--values", &values]).await?;
        let shop = Database { namespace, name: "shop".to_owned() };
        shop.until_phase(Phase::Healthy).await?;
        until_told(namespace, "rw", 1).await?;
        let text = until_told(namespace, "ro", 1).await?;
        ensure!(text.contains("probe_duration_seconds{service=\"rw\"}"), "no duration: {text}");
        shop.patch_spec(json!({"hibernated": true})).await?;
        until_told(namespace, "rw", 0).await?;
        until_told(namespace, "ro", 0).await.map(drop)
    })
    .await
}

/// The probe's metrics, when they say this of a Service.
async fn until_told(namespace: &Namespace, service: &str, success: u8) -> Result<String> {
    let line = format!("probe_success{{service=\"{service}\"}} {success}");
    until(&format!("the probe says {line}"), HEALTHY_WITHIN, async || {
        let stage = namespace.stage();
        let label = "app.kubernetes.io/component=probe";
        let name = "jsonpath={.items[0].metadata.name}";
        let pods = ["get", "pods", "-n", namespace.name(), "-l", label, "-o", name];
        let pod = stage.kubectl(&pods).await?;
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:7307/proxy/metrics", namespace.name());
        let text = stage.kubectl(&["get", "--raw", &path]).await?;
        if text.lines().any(|found| found == line) { Ok(Seen::Done(text)) } else { Ok(Seen::Not(text)) }
    })
    .await
}
