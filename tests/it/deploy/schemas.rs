//! Every overlay renders, and is what the oldest and the newest supported Kubernetes take.
use super::render::{all, kustomize, name, python, yaml};
use crate::documents::read;

/// The oldest and the newest. From 1.32 on `fsGroup` holds for volumes of the mode `ReadWriteOncePod`, whatever the
/// driver says of itself.
const SUPPORTED: [&str; 2] = ["1.32", "1.37"];
/// Kinds of operators, which the schemas do not have, and all fields of their specs that are used.
const OTHERS: [(&str, &[&str]); 6] = [
    ("cert-manager.io/v1/Issuer", &["ca", "selfSigned"]),
    (
        "cert-manager.io/v1/Certificate",
        &[
            "commonName",
            "dnsNames",
            "duration",
            "isCA",
            "issuerRef",
            "privateKey",
            "renewBefore",
            "secretName",
            "usages",
        ],
    ),
    (
        "monitoring.coreos.com/v1/PodMonitor",
        &["jobLabel", "podMetricsEndpoints", "podTargetLabels", "selector"],
    ),
    ("monitoring.coreos.com/v1/PrometheusRule", &["groups"]),
    ("gateway.networking.k8s.io/v1/GRPCRoute", &["hostnames", "parentRefs", "rules"]),
    ("gateway.networking.k8s.io/v1/BackendTLSPolicy", &["targetRefs", "validation"]),
];

#[test]
fn every_overlay_is_valid_for_the_oldest_and_the_newest_kubernetes() {
    let but = format!("but={}", OTHERS.map(|(kind, _)| kind).join(","));
    let [oldest, newest] = SUPPORTED;
    let readme = read("k8s/README.md");
    assert!(
        readme.contains(&format!(
            "Kubernetes {oldest} or newer; tested by the schemas of {oldest} and {newest}."
        ))
    );
    for rendered in all() {
        assert!(rendered.objects.len() > 8, "{}: {} objects", rendered.folder, rendered.objects.len());
        let output = python(&[oldest, newest, &but], &rendered.text);
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
        for object in &rendered.objects {
            let kind = format!("{}/{}", object["apiVersion"], object["kind"]).replace('"', "");
            let Some((_, fields)) = OTHERS.iter().find(|(other, _)| *other == kind) else { continue };
            for field in object["spec"].as_object().expect("a spec").keys() {
                assert!(fields.contains(&field.as_str()), "{}: what is {field}?", name(object));
            }
        }
    }
}

/// The control of the test above: it does find what is wrong.
#[test]
fn an_unknown_field_and_an_unknown_kind_are_found() {
    let wrong = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {prots: []}}\n---\n\
                 {apiVersion: example.com/v1, kind: Unheard, metadata: {name: b}}\n";
    let said = String::from_utf8(python(&[SUPPORTED[0], "but=v1/Other"], wrong).stdout).expect("UTF-8");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("'prots' was unexpected") && said.contains("Unheard b: there is no schema"),
        "{said}"
    );
    assert_eq!(yaml(wrong).len(), 2);
}

#[test]
fn sqlite_is_not_scaled() {
    for (folder, why) in [
        ("tests/it/deploy/compositions/sqlite-then-hpa", "testing value /kind failed"),
        ("tests/it/deploy/compositions/hpa-then-sqlite", "testing value /spec/replicas failed"),
    ] {
        let output = kustomize(folder);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{folder}: {said}");
    }
}
