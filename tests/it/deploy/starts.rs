//! The settings of every pod start the real server, which then does what the pod is for.
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use super::render::{Rendered, container, dev, list, pod, production};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, atomic, everything},
    certificates::Authority,
    events,
    server::{Server, Trust, chancery},
    signing,
};
use chancery::proto::v1::new_event::Family;

/// What a test decides instead: ports that are free, a store of its own, a database without a standby.
const DECIDED_HERE: [&str; 6] = [
    "CHANCERY_LISTEN",
    "CHANCERY_ADMIN_LISTEN",
    "CHANCERY_STORE",
    "CHANCERY_STORE_FILE",
    "CHANCERY_LOG_FORMAT",
    "CHANCERY_REQUIRE_SYNC_REPLICA",
];

/// What a pod mounts of its settings, below `folder`.
fn mount(rendered: &Rendered, workload: &Value, folder: &Path) {
    for volume in list(&pod(workload)["volumes"]) {
        let Some(name) = volume["configMap"]["name"].as_str() else { continue };
        let mounts = list(&container(workload)["volumeMounts"]).iter();
        let mount = mounts.filter(|mount| mount["name"] == volume["name"]).map(|mount| &mount["mountPath"]);
        let below = mount.into_iter().next().and_then(Value::as_str).expect("a path").trim_start_matches('/');
        fs::create_dir_all(folder.join(below)).expect("a folder");
        for (file, text) in rendered.named("ConfigMap", name)["data"].as_object().expect("files") {
            fs::write(folder.join(below).join(file), text.as_str().expect("a text")).expect("a file");
        }
    }
}

/// The variables of a pod but for those that the test decides.
fn variables(workload: &Value, store: &TestStore, folder: &Path, decided: &[&str]) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for variable in list(&container(workload)["env"]) {
        let name = variable["name"].as_str().expect("a name");
        let value = match variable["value"].as_str() {
            _ if !name.starts_with("CHANCERY_") || decided.contains(&name) => continue,
            // Every absolute path is one of what is mounted.
            Some(path) if path.starts_with('/') => {
                folder.join(path.trim_start_matches('/')).display().to_string()
            }
            Some(value) => value.to_owned(),
            None => fs::read_to_string(signing::key(store)).expect("a key").trim_end().to_owned(),
        };
        variables.push((name.to_owned(), value));
    }
    variables
}

/// Starts the server that a pod would be, with what it mounts below `folder`.
fn start(rendered: &Rendered, workload: &Value, store: &TestStore, folder: &Path) -> Server {
    mount(rendered, workload, folder);
    let variables = variables(workload, store, folder, &DECIDED_HERE);
    let variables = variables.iter().map(|(name, value)| format!("{name}={value}"));
    let wrapper: Vec<_> = std::iter::once("env".to_owned()).chain(variables).collect();
    let wrapper: Vec<_> = wrapper.iter().map(String::as_str).collect();
    Server::start_under(store, &wrapper, &[])
}

#[test]
fn production_serves_over_mutual_tls_by_its_access_file_and_is_signed_by_the_signer() {
    let (rendered, store) = (production(), TestStore::new(Kind::Postgres));
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = folder.path().join("run/secrets/chancery");
    for each in ["tls", "clients"] {
        fs::create_dir_all(secrets.join(each)).expect("a folder");
    }
    let [servers, clients] = [Authority::new(), Authority::new()];
    servers.server(&["127.0.0.1"]).write(&secrets.join("tls"), "tls");
    fs::write(secrets.join("clients/ca.crt"), clients.pem()).expect("a file");
    let deployment = rendered.named("Deployment", "chancery");
    let server = start(rendered, deployment, &store, folder.path());
    let identity = Some(clients.client(&["spiffe://example.com/cms"]));
    let server = server.trusting(Trust { ca: servers.pem(), identity });
    let signer = start(rendered, rendered.named("StatefulSet", "chancery-signer"), &store, folder.path());
    block_on(async {
        let family =
            |event: &chancery::proto::v1::NewEvent| matches!(event.family, Some(Family::CmsAudit(_)));
        let event = events::examples("cms_audit").into_iter().find(family).expect("an example");
        assert_eq!(accept(&mut server.audit().await, atomic(vec![event])).await, [0]);
        for each in [&server, &signer] {
            assert_eq!(each.admin_get("/readyz").await.0, 200);
        }
        // The other replicas hold no key; what the signer signs is in the store.
        let state = folder.path().join("var/lib/chancery-signer/heads/main.checkpoint");
        signing::file(&state, |_| true).await;
        signing::checkpoint(&store, "main", 1).await;
    });
}

/// Its store's address in a file, its ports and its demand for a standby too.
#[test]
fn the_settings_of_production_are_taken_as_they_are() {
    let (rendered, store) = (production(), TestStore::new(Kind::Sqlite));
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = folder.path().join("run/secrets/chancery");
    for each in ["tls", "clients", "store"] {
        fs::create_dir_all(secrets.join(each)).expect("a folder");
    }
    Authority::new().server(&["127.0.0.1"]).write(&secrets.join("tls"), "tls");
    fs::write(secrets.join("clients/ca.crt"), Authority::new().pem()).expect("a file");
    fs::write(secrets.join("store/url"), "postgres://chancery@db.example.com/audit").expect("a file");
    fs::set_permissions(secrets.join("store/url"), fs::Permissions::from_mode(0o600)).expect("a mode");
    for (kind, name) in [("Deployment", "chancery"), ("StatefulSet", "chancery-signer")] {
        let workload = rendered.named(kind, name);
        mount(rendered, workload, folder.path());
        let variables = variables(workload, &store, folder.path(), &[]);
        assert!(variables.iter().any(|(name, _)| name == "CHANCERY_STORE_FILE"), "{name}: {variables:?}");
        let output = chancery().args(["config", "check"]).envs(variables).output().expect("config check");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn dev_serves_everybody_on_its_own_file() {
    let (rendered, store) = (dev(), TestStore::new(Kind::Sqlite));
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(rendered, rendered.named("StatefulSet", "chancery"), &store, folder.path());
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("device-1")])).await;
        assert_eq!(everything(&mut audit, "").await.len(), 1);
    });
}

#[test]
fn the_access_file_of_production_is_right() {
    let output = chancery()
        .arg("access")
        .arg(crate::harness::root().join("k8s/overlays/production/access.toml"))
        .output();
    let output = output.expect("chancery access");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
