//! The pods: without rights, with probes that the server answers, and with time enough to end in order.
use serde_json::{Value, json};

use super::render::{all, container, list, name, pod, variable};
use crate::{
    documents::{read, table},
    harness::{Kind, TestStore, block_on, server::Server},
};

#[test]
fn every_pod_keeps_to_the_restricted_pod_security_standard() {
    for rendered in all() {
        let namespaces: Vec<_> = rendered.of("Namespace").collect();
        assert_eq!(namespaces.len(), 1, "{}", rendered.folder);
        for mode in ["enforce", "audit", "warn"] {
            let label = format!("pod-security.kubernetes.io/{mode}");
            assert_eq!(namespaces[0]["metadata"]["labels"][&label], "restricted", "{}", rendered.folder);
        }
        assert!(rendered.workloads().count() >= 1, "{}", rendered.folder);
        for workload in rendered.workloads() {
            let (who, spec, container) = (name(workload), pod(workload), container(workload));
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{who}");
            assert!(security["runAsUser"].as_u64().is_some_and(|user| user > 0), "{who}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{who}");
            let own = &container["securityContext"];
            assert_eq!(own["allowPrivilegeEscalation"], false, "{who}");
            assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}), "{who}");
            assert_eq!(own["readOnlyRootFilesystem"], true, "{who}");
            for never in ["hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"] {
                assert!(spec[never].is_null(), "{who}: {never}");
            }
            for never in ["privileged", "procMount", "runAsUser", "seLinuxOptions"] {
                assert!(own[never].is_null(), "{who}: {never}");
            }
            for port in list(&container["ports"]) {
                assert!(port["hostPort"].is_null(), "{who}");
            }
            for volume in list(&spec["volumes"]) {
                let kinds: Vec<_> = volume.as_object().expect("a volume").keys().collect();
                let kind = kinds.iter().find(|key| **key != "name").expect("a kind");
                let allowed = ["configMap", "emptyDir", "persistentVolumeClaim", "secret"];
                assert!(allowed.contains(&kind.as_str()), "{who}: {kind}");
            }
            assert_eq!(spec["automountServiceAccountToken"], false, "{who}");
            let account = spec["serviceAccountName"].as_str().expect("an account");
            assert_eq!(rendered.named("ServiceAccount", account)["automountServiceAccountToken"], false);
        }
        for never in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
            assert_eq!(
                rendered.of(never).count(),
                0,
                "{}: the server asks nothing of Kubernetes",
                rendered.folder
            );
        }
    }
}

/// From its deletion a pod has so many seconds; the hook and the drain must fit, with room.
#[test]
fn a_pod_has_the_time_to_drain() {
    for workload in all().iter().flat_map(|rendered| rendered.servers()) {
        let (who, container) = (name(workload), container(workload));
        let grace = pod(workload)["terminationGracePeriodSeconds"].as_u64().expect("seconds");
        let notice = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("seconds");
        let drain: u64 =
            variable(container, "CHANCERY_DRAIN_SECONDS").expect("seconds").parse().expect("seconds");
        // Two turns of kube-proxy's and the clients' news.
        assert!(notice >= 5, "{who}");
        assert!(grace >= notice + drain + 10, "{who}: {grace} s for {notice} s and {drain} s");
    }
}

#[test]
fn probes_ask_what_the_server_answers() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    for workload in all().iter().flat_map(|rendered| rendered.servers()) {
        let (who, container) = (name(workload), container(workload));
        for (probe, path) in
            [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
        {
            let asked = &container[probe]["httpGet"];
            assert_eq!(
                (asked["path"].as_str(), asked["port"].as_str()),
                (Some(path), Some("admin")),
                "{who}"
            );
            assert_eq!(block_on(server.admin_get(path)).0, 200, "{who}");
        }
        // A server on SQLite brings a large file up to date before it is ready.
        let (period, tries) =
            (&container["startupProbe"]["periodSeconds"], &container["startupProbe"]["failureThreshold"]);
        let patience = period.as_u64().unwrap_or(10) * tries.as_u64().unwrap_or(3);
        let least = if variable(container, "CHANCERY_STORE").is_some() { 3600 } else { 600 };
        assert!(patience >= least, "{who}: {patience} s");
    }
}

/// What the documents say is taken at most fits into the limit, and the limit is asked for as well.
#[test]
fn memory_is_enough_for_what_the_server_may_take() {
    let limits = read("docs/limits.md");
    let mib = |sentence: &str| {
        let (_, after) = limits.split_once(sentence).unwrap_or_else(|| panic!("docs/limits.md: {sentence}"));
        let number: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
        number.parse::<u64>().unwrap_or_else(|_| panic!("docs/limits.md: no number after {sentence}"))
    };
    let fixed = mib("14 KiB each before a message,")
        + mib("large batches from everybody at once |")
        + mib("that arrive,");
    let index: u64 = table("docs/index.md", "## What is bounded")
        .iter()
        .filter(|row| row[0].contains("segment") || row[0] == "merging")
        .flat_map(|row| {
            row[1]
                .split(" MB")
                .filter_map(|part| part.rsplit(' ').next()?.parse::<u64>().ok())
                .collect::<Vec<_>>()
        })
        .sum();
    let pages = mib("queries that are not read |") * 4;
    assert!(fixed > 200 && index > 50 && pages == 1024, "{fixed} {index} {pages}");
    // 30 MiB of an idle server.
    let most = 30 + fixed + index + pages;
    for workload in all().iter().flat_map(|rendered| rendered.servers()) {
        let (who, resources) = (name(workload), &container(workload)["resources"]);
        let limit = mebibytes(&resources["limits"]["memory"]);
        assert_eq!(resources["limits"]["memory"], resources["requests"]["memory"], "{who}");
        assert!(resources["limits"]["cpu"].is_null(), "{who}: a throttled server is a slow one");
        assert!(resources["requests"]["cpu"].is_string(), "{who}");
        // The signer takes no calls, and so no queries.
        let takes_calls = list(&container(workload)["ports"]).iter().any(|port| port["name"] == "grpc");
        assert!(limit >= if takes_calls { most } else { most - pages }, "{who}: {limit} MiB of {most}");
        let threads =
            list(&container(workload)["env"]).iter().find(|each| each["name"] == "TOKIO_WORKER_THREADS");
        let from = &threads.expect("threads")["valueFrom"]["resourceFieldRef"];
        assert_eq!(*from, json!({"resource": "requests.cpu", "divisor": "1"}), "{who}");
    }
}

fn mebibytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().expect("a quantity");
    match (text.strip_suffix("Mi"), text.strip_suffix("Gi")) {
        (Some(mib), _) => mib.parse().expect("a number"),
        (_, Some(gib)) => gib.parse::<u64>().expect("a number") * 1024,
        _ => panic!("{text}"),
    }
}

/// By tag nobody knows what runs; a placeholder that was left cannot run.
#[test]
fn production_runs_one_image_by_its_digest() {
    let images: std::collections::BTreeSet<_> = super::render::production()
        .workloads()
        .map(|workload| container(workload)["image"].to_string())
        .collect();
    assert_eq!(images.len(), 1, "{images:?}");
    assert!(images.iter().all(|image| image.contains("@sha256:")), "{images:?}");
}
