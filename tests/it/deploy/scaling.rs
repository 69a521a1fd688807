//! How many pods there are: on SQLite one, whatever happens; on PostgreSQL enough to lose one.
use super::render::{all, container, dev, list, name, pod, production, selects, variable};

#[test]
fn sqlite_is_held_to_one_pod() {
    let mut on_sqlite = 0;
    for rendered in all() {
        for workload in rendered.servers() {
            let Some(store) = variable(container(workload), "CHANCERY_STORE") else { continue };
            let who = name(workload);
            on_sqlite += 1;
            assert!(store.starts_with("sqlite:"), "{who}");
            assert_eq!(
                (workload["kind"].as_str(), workload["spec"]["replicas"].as_u64()),
                (Some("StatefulSet"), Some(1))
            );
            assert_eq!(rendered.of("HorizontalPodAutoscaler").count(), 0, "{who}");
            // A claim of every pod's own would give a second pod an empty store under the same name.
            assert!(workload["spec"]["volumeClaimTemplates"].is_null(), "{who}");
            let folder = store.trim_start_matches("sqlite:").rsplit_once('/').expect("a folder").0;
            let mount =
                list(&container(workload)["volumeMounts"]).iter().find(|mount| mount["mountPath"] == folder);
            let volume = &mount.unwrap_or_else(|| panic!("{who}: nothing is mounted at {folder}"))["name"];
            let volume = list(&pod(workload)["volumes"])
                .iter()
                .find(|each| each["name"] == *volume)
                .expect("a volume");
            let claim = volume["persistentVolumeClaim"]["claimName"].as_str().expect("a claim");
            let modes = &rendered.named("PersistentVolumeClaim", claim)["spec"]["accessModes"];
            assert_eq!(*modes, serde_json::json!(["ReadWriteOncePod"]), "{who}");
        }
    }
    assert_eq!(on_sqlite, 1);
    assert!(dev().of("Deployment").next().is_none());
}

#[test]
fn production_loses_a_pod_without_losing_the_service() {
    let rendered = production();
    let deployment = rendered.named("Deployment", "chancery");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let scaler = rendered.named("HorizontalPodAutoscaler", "chancery");
    // Whoever has an autoscaler says nothing of replicas, or every apply would undo what it did.
    assert!(deployment["spec"]["replicas"].is_null());
    assert_eq!(scaler["spec"]["scaleTargetRef"]["kind"], "Deployment");
    assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"]);
    let least = scaler["spec"]["minReplicas"].as_u64().expect("a number");
    assert!(scaler["spec"]["maxReplicas"].as_u64().expect("a number") > least);
    let budget = rendered.named("PodDisruptionBudget", "chancery");
    assert!(selects(&budget["spec"]["selector"]["matchLabels"], labels));
    assert!(budget["spec"]["maxUnavailable"].as_u64().expect("a number") < least);
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    // Connections live for 33 minutes; before that a new pod has not had its share.
    let calm = &scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"];
    assert!(calm.as_u64().expect("seconds") >= 33 * 60);
    let spread: Vec<_> = list(&pod(deployment)["topologySpreadConstraints"])
        .iter()
        .map(|each| {
            assert!(selects(&each["labelSelector"]["matchLabels"], labels));
            each["topologyKey"].as_str().expect("a key")
        })
        .collect();
    assert_eq!(spread, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
    // The budget must not hold the signer, of which there is one.
    let signer = rendered.named("StatefulSet", "chancery-signer");
    assert!(!selects(
        &budget["spec"]["selector"]["matchLabels"],
        &signer["spec"]["template"]["metadata"]["labels"]
    ));
}

/// The key is where nobody calls, and the state of the signer outlives its pod.
#[test]
fn the_signer_is_alone_with_its_key() {
    let rendered = production();
    for workload in rendered.workloads() {
        let has_key =
            list(&container(workload)["env"]).iter().any(|each| each["name"] == "CHANCERY_SIGNING_KEY");
        let is_signer = workload["metadata"]["name"] == "chancery-signer";
        assert_eq!(has_key, is_signer, "{}", name(workload));
    }
    let signer = rendered.named("StatefulSet", "chancery-signer");
    let container = container(signer);
    assert_eq!(variable(container, "CHANCERY_LISTEN"), Some("127.0.0.1:50051"));
    let state = variable(container, "CHANCERY_SIGNER_STATE").expect("a folder");
    let claim = &signer["spec"]["volumeClaimTemplates"][0]["metadata"]["name"];
    let mount =
        list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == *claim).expect("a mount");
    // The mounted folder is root's and the group's, which the signer refuses: it makes one below.
    let mounted = mount["mountPath"].as_str().expect("a path");
    assert!(state.starts_with(mounted) && state.len() > mounted.len() + 1, "{state} in {mounted}");
    // At every start the group would get rights on that one too.
    for workload in all().iter().flat_map(|each| each.servers()) {
        assert_eq!(
            pod(workload)["securityContext"]["fsGroupChangePolicy"],
            "OnRootMismatch",
            "{}",
            name(workload)
        );
    }
    assert_eq!(signer["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain");
}
