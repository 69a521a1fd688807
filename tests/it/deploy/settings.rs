//! Commands, variables, secrets and files that the pods name: the binary knows them, and somebody makes them.
use std::collections::BTreeSet;

use serde_json::Value;

use super::render::{all, container, list, name, pod, production};
use crate::{documents::read, harness::server::chancery};

/// The variables that `--help` of a command names.
fn variables(command: &str) -> BTreeSet<String> {
    let output = chancery().args([command, "--help"]).output().expect("the help");
    assert!(output.status.success(), "chancery {command}");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let pattern = regex::Regex::new(r"\[env: (CHANCERY_[A-Z_]+)").expect("a pattern");
    pattern.captures_iter(&help).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_variable_and_command_exists() {
    let mut seen = 0;
    for workload in all().iter().flat_map(|rendered| rendered.workloads()) {
        let container = container(workload);
        let command: Vec<_> = list(&container["args"]).iter().filter_map(Value::as_str).collect();
        assert_eq!(command.len(), 1, "{}: settings are variables", name(workload));
        // The one secret without a flag, because flags are seen by every user of a machine.
        let mut known = variables(command[0]);
        known.insert("CHANCERY_SIGNING_KEY".to_owned());
        for variable in list(&container["env"]) {
            let variable = variable["name"].as_str().expect("a name");
            if variable.starts_with("CHANCERY_") {
                assert!(
                    known.contains(variable),
                    "{}: {variable} is no setting of {command:?}",
                    name(workload)
                );
                seen += 1;
            } else {
                // Of the runtimes of Rust and OpenTelemetry, and what those are made of.
                let others =
                    ["TOKIO_WORKER_THREADS", "OTEL_RESOURCE_ATTRIBUTES", "POD_NAME", "POD_NAMESPACE"];
                assert!(others.contains(&variable), "{}: {variable}", name(workload));
            }
        }
    }
    assert!(seen > 20, "{seen} variables");
}

/// What a pod mounts or reads is made by an object beside it, or by a command of the README.
#[test]
fn every_secret_and_file_is_made_by_somebody() {
    let readme = read("k8s/README.md");
    for rendered in all() {
        let made: BTreeSet<_> =
            rendered.of("Certificate").map(|each| each["spec"]["secretName"].to_string()).collect();
        for workload in rendered.workloads() {
            let (spec, container) = (pod(workload), container(workload));
            let mut secrets: Vec<_> =
                list(&spec["volumes"]).iter().map(|each| &each["secret"]["secretName"]).collect();
            secrets.extend(
                list(&container["env"]).iter().map(|each| &each["valueFrom"]["secretKeyRef"]["name"]),
            );
            for secret in secrets.into_iter().filter_map(Value::as_str) {
                let by_hand = readme.contains(&format!("create secret generic {secret} "));
                assert!(
                    by_hand || made.contains(&format!("{secret:?}")),
                    "{}: who makes {secret}?",
                    name(workload)
                );
            }
            for volume in list(&spec["volumes"]) {
                if let Some(file) = volume["configMap"]["name"].as_str() {
                    rendered.named("ConfigMap", file);
                }
                // As the server wants its key: readable by its group, and by nobody else.
                if volume["secret"].is_object() {
                    assert_eq!(volume["secret"]["defaultMode"], 0o440, "{}", name(workload));
                }
            }
            let mounted: BTreeSet<_> = list(&spec["volumes"])
                .iter()
                .chain(list(&workload["spec"]["volumeClaimTemplates"]).iter().map(|claim| &claim["metadata"]))
                .map(|volume| volume["name"].to_string())
                .collect();
            let mounts: BTreeSet<_> =
                list(&container["volumeMounts"]).iter().map(|mount| mount["name"].to_string()).collect();
            assert_eq!(mounted, mounts, "{}", name(workload));
        }
        // A secret in the repository is none.
        assert_eq!(rendered.of("Secret").count(), 0);
    }
}

/// An authority that is renewed with another key is another authority, which nobody trusts yet; what it signs gets a
/// new key each time.
#[test]
fn authorities_keep_their_keys_and_servers_do_not() {
    let mut authorities = 0;
    for certificate in all().iter().flat_map(|rendered| rendered.of("Certificate")) {
        let is_authority = certificate["spec"]["isCA"] == true;
        let wanted = if is_authority { "Never" } else { "Always" };
        assert_eq!(certificate["spec"]["privateKey"]["rotationPolicy"], wanted, "{}", name(certificate));
        authorities += usize::from(is_authority);
    }
    // That of the servers and that of the clients, in production and with the gateway.
    assert_eq!(authorities, 4);
}

/// A job cannot be changed: it must go away by itself before the next version's is applied, and stay long enough for
/// somebody to see why it failed. Servers may wait for it as long as it may run.
#[test]
fn the_migration_goes_to_the_database_itself_and_leaves() {
    let job = production().named("Job", "chancery-migrate");
    assert_eq!(container(job)["args"], serde_json::json!(["migrate"]));
    assert!(job["spec"]["ttlSecondsAfterFinished"].as_u64().is_some_and(|seconds| seconds == 86_400));
    assert!(job["spec"]["backoffLimit"].is_u64() && pod(job)["restartPolicy"] == "Never");
    let store = |workload: &Value| list(&pod(workload)["volumes"])[0]["secret"]["secretName"].clone();
    assert_eq!(store(job), "chancery-store-direct");
    let server = production().named("Deployment", "chancery");
    assert!(job["spec"]["activeDeadlineSeconds"].is_u64());
    assert_eq!(server["spec"]["progressDeadlineSeconds"], job["spec"]["activeDeadlineSeconds"]);
    assert!(
        list(&pod(server)["volumes"]).iter().any(|each| each["secret"]["secretName"] == "chancery-store")
    );
}
