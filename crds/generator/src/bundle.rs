//! The bundle for the Operator Lifecycle Manager.

use crate::{Definition, GenerateError, csv, yaml};

/// Release channel of this bundle; `stable` follows when the API leaves alpha.
const CHANNEL: &str = "alpha";

/// What the manager reads about the bundle, also as labels of the bundle image.
fn annotations() -> Vec<(&'static str, &'static str)> {
    vec![
        ("operators.operatorframework.io.bundle.mediatype.v1", "registry+v1"),
        ("operators.operatorframework.io.bundle.manifests.v1", "manifests/"),
        ("operators.operatorframework.io.bundle.metadata.v1", "metadata/"),
        ("operators.operatorframework.io.bundle.package.v1", "porpoise"),
        ("operators.operatorframework.io.bundle.channels.v1", CHANNEL),
        ("operators.operatorframework.io.bundle.channel.default.v1", CHANNEL),
    ]
}

/// The files of the bundle.
pub(crate) fn files(definitions: &[Definition]) -> Result<Vec<(String, String)>, GenerateError> {
    let service_version = yaml::document("the service version", &csv::service_version())?;
    let lines =
        |format: fn((&str, &str)) -> String| annotations().into_iter().map(format).collect::<String>();
    let metadata = lines(|(key, value)| format!("  {key}: {value}\n"));
    let labels = lines(|(key, value)| format!("LABEL {key}={value}\n"));
    let manifests = definitions.iter().map(|definition| {
        let path = format!("charts/olm/bundle/manifests/{}.crd.yaml", definition.plural);
        (path, yaml::with_header(&definition.yaml))
    });
    let mut files: Vec<_> = manifests.collect();
    files.extend([
        (
            "charts/olm/bundle/manifests/porpoise.clusterserviceversion.yaml".to_owned(),
            yaml::with_header(&service_version),
        ),
        (
            "charts/olm/bundle/metadata/annotations.yaml".to_owned(),
            yaml::with_header(&format!("annotations:\n{metadata}")),
        ),
        (
            "charts/olm/bundle.Dockerfile".to_owned(),
            yaml::with_header(&format!(
                "FROM scratch\n{labels}COPY bundle/manifests /manifests/\nCOPY bundle/metadata /metadata/\n"
            )),
        ),
    ]);
    Ok(files)
}
