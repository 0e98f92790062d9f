//! The application of the documentation, as it stands there.

use anyhow::{Result, bail, ensure};
use porpoise_crds::Phase;
use porpoise_e2e::programs::checkout;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, until};

#[tokio::test]
async fn an_application_of_the_documentation_writes_and_reads() -> Result<()> {
    crate::beside_others("guests", async |namespace| {
        apply(namespace).await?;
        let guests = Database { namespace, name: "guests".to_owned() };
        guests.until_phase(Phase::Healthy).await?;
        let stage = namespace.stage();
        let rollout =
            ["rollout", "status", "deployment/guest-book", "-n", namespace.name(), "--timeout=120s"];
        if let Err(error) = stage.kubectl(&rollout).await {
            let logs = ["logs", "deployment/guest-book", "-n", namespace.name(), "--tail=20"];
            bail!("{error:#}: {}", stage.kubectl(&logs).await?);
        }
        let account = Account::app(namespace, "guests").await?;
        let client = Client::start(namespace).await?;
        until("guests of both Pods are in the book, and read", HEALTHY_WITHIN, async || {
            let query = "SELECT COUNT(DISTINCT name) FROM guests";
            let replicas = client.sql(&account.at("guests-ro"), query).await?;
            if replicas == "2" { Ok(Seen::Done(())) } else { Ok(Seen::Not(replicas)) }
        })
        .await?;
        let logs = stage.kubectl(&["logs", "deployment/guest-book", "-n", namespace.name()]).await?;
        ensure!(logs.contains("guests so far"), "{logs}");
        Ok(())
    })
    .await
}

/// With the image that this Kubernetes has.
async fn apply(namespace: &Namespace) -> Result<()> {
    let text = std::fs::read_to_string(checkout().join("docs/src/examples/guest-book/guest-book.yaml"))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("guest-book.yaml");
    std::fs::write(&file, text.replace("mysql:9.7", namespace.stage().client_image()))?;
    let file = file.to_string_lossy().into_owned();
    namespace.stage().kubectl(&["apply", "-n", namespace.name(), "-f", &file]).await.map(drop)
}
