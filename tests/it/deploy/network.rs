//! Ports: those that the server listens on are those that the pods, the services, the policies, the monitor and the
//! image name, and no other.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::render::{Rendered, all, container, list, name, production, selects, variable};
use crate::documents::read;

/// Name and number of the ports of a workload, as its settings say.
fn listening(workload: &Value) -> BTreeSet<(String, u64)> {
    let port = |setting: &str| {
        let (host, port) =
            variable(container(workload), setting).expect(setting).rsplit_once(':').expect("a port");
        (host != "127.0.0.1").then(|| port.parse::<u64>().expect("a port"))
    };
    let ports = [("grpc", port("CHANCERY_LISTEN")), ("admin", port("CHANCERY_ADMIN_LISTEN"))];
    ports.into_iter().filter_map(|(name, port)| Some((name.to_owned(), port?))).collect()
}

/// The servers whose pods have all of these labels.
fn selected<'a>(rendered: &'a Rendered, selector: &'a Value) -> Vec<&'a Value> {
    rendered
        .servers()
        .filter(|each| selects(selector, &each["spec"]["template"]["metadata"]["labels"]))
        .collect()
}

#[test]
fn ports_are_those_that_the_server_listens_on() {
    let docker: BTreeSet<u64> = read("Dockerfile")
        .lines()
        .filter_map(|line| line.strip_prefix("EXPOSE "))
        .flat_map(|ports| ports.split(' ').map(|port| port.parse().expect("a port")).collect::<Vec<_>>())
        .collect();
    for rendered in all() {
        for workload in rendered.servers() {
            let ports = list(&container(workload)["ports"]).iter().map(|port| {
                (
                    port["name"].as_str().expect("a name").to_owned(),
                    port["containerPort"].as_u64().expect("a port"),
                )
            });
            let ports: BTreeSet<_> = ports.collect();
            assert_eq!(ports, listening(workload), "{}", name(workload));
            assert!(ports.iter().all(|(_, port)| docker.contains(port)), "{}", name(workload));
        }
        for service in rendered.of("Service") {
            let pods = selected(rendered, &service["spec"]["selector"]);
            assert_eq!(pods.len(), 1, "{}", name(service));
            for port in list(&service["spec"]["ports"]) {
                let target = port["targetPort"].as_str().expect("a name").to_owned();
                let same = (target, port["port"].as_u64().expect("a port"));
                assert!(listening(pods[0]).contains(&same), "{}: {same:?}", name(service));
            }
        }
        for set in rendered.of("StatefulSet") {
            let service = rendered.named("Service", set["spec"]["serviceName"].as_str().expect("a name"));
            assert_eq!(service["spec"]["clusterIP"], "None");
            assert_eq!(selected(rendered, &service["spec"]["selector"]), [set]);
        }
    }
}

/// The only pod of a SQLite store is not ready while its disk is nearly full, and its reads are to be had; one of several
/// that is not ready is to be left alone.
#[test]
fn the_only_server_is_reached_though_it_is_not_ready() {
    for rendered in all() {
        let sqlite = rendered.of("StatefulSet").any(|set| set["metadata"]["name"] == "chancery");
        for service in ["chancery", "chancery-headless"].map(|name| rendered.named("Service", name)) {
            let published = service["spec"]["publishNotReadyAddresses"] == true;
            assert_eq!(published, sqlite, "{}: {}", rendered.folder, name(service));
        }
    }
}

/// Both ways of balancing are there, and gateways are told what is spoken.
#[test]
fn there_is_a_service_for_gateways_and_one_for_clients_that_balance() {
    for rendered in all() {
        let [plain, headless] = ["chancery", "chancery-headless"].map(|name| rendered.named("Service", name));
        assert!(plain["spec"]["clusterIP"].is_null());
        assert_eq!(headless["spec"]["clusterIP"], "None");
        let server =
            rendered.servers().find(|each| each["metadata"]["name"] == "chancery").expect("a server");
        let is_tls = variable(container(server), "CHANCERY_TLS_CERTIFICATE").is_some();
        let spoken = if is_tls { "https" } else { "kubernetes.io/h2c" };
        for service in [plain, headless] {
            assert_eq!(service["spec"]["ports"][0]["appProtocol"], spoken, "{}", rendered.folder);
        }
    }
}

#[test]
fn policies_open_the_listening_ports_and_no_other() {
    for rendered in all() {
        let policies: Vec<_> = rendered.of("NetworkPolicy").collect();
        let deny = rendered.named("NetworkPolicy", "default-deny");
        assert_eq!(deny["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        for workload in rendered.workloads() {
            let labels = &workload["spec"]["template"]["metadata"]["labels"];
            let mine = |policy: &&&Value| selects(&policy["spec"]["podSelector"]["matchLabels"], labels);
            let (mut inward, mut outward) = (BTreeSet::new(), BTreeSet::new());
            for policy in policies.iter().filter(mine) {
                for (direction, peer, ports) in
                    [("ingress", "from", &mut inward), ("egress", "to", &mut outward)]
                {
                    for rule in list(&policy["spec"][direction]) {
                        // A rule without peers is for everybody.
                        assert!(
                            !list(&rule[peer]).is_empty() && !list(&rule["ports"]).is_empty(),
                            "{}",
                            name(policy)
                        );
                        ports.extend(
                            list(&rule["ports"]).iter().map(|port| port["port"].to_string().replace('"', "")),
                        );
                    }
                }
            }
            if container(workload)["args"][0] == "serve" {
                let names: BTreeSet<_> = listening(workload).into_iter().map(|(name, _)| name).collect();
                assert_eq!(inward, names, "{}", name(workload));
            }
            // Names, PostgreSQL, a pooler, OTLP.
            let wanted = ["53", "5432", "6432", "4317"].map(str::to_owned);
            assert_eq!(outward, BTreeSet::from(wanted), "{}", name(workload));
            if let Some(endpoint) = variable(container(workload), "CHANCERY_OTLP_ENDPOINT") {
                assert!(endpoint.ends_with(":4317"), "{endpoint}");
            }
        }
    }
}

/// Names are asked of pods, and of who answers on the node without being one. Such an address is open for names alone:
/// one of them is a cloud's metadata server, too.
#[test]
fn addresses_of_the_node_are_open_for_names_and_nothing_else() {
    for rendered in all() {
        let rules = |direction: &str| -> Vec<Value> {
            rendered.of("NetworkPolicy").flat_map(|each| list(&each["spec"][direction]).to_vec()).collect()
        };
        let has_53 = |rule: &&Value| list(&rule["ports"]).iter().any(|port| port["port"] == 53);
        let outward = rules("egress");
        let [names] = outward.iter().filter(has_53).collect::<Vec<_>>()[..] else {
            panic!("{}: {outward:?}", rendered.folder)
        };
        let system = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
        assert_eq!(
            *names,
            json!({
                "to": [
                    {"namespaceSelector": system},
                    {"ipBlock": {"cidr": "169.254.20.10/32"}},
                    {"ipBlock": {"cidr": "169.254.169.254/32"}},
                ],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
            }),
            "{}",
            rendered.folder
        );
        for rule in outward.iter().filter(|rule| *rule != names).chain(&rules("ingress")) {
            assert!(!rule.to_string().contains("ipBlock"), "{}: {rule}", rendered.folder);
        }
    }
}

/// In the servers' own namespace nothing would get into the gateway's pods; elsewhere they must be let through to the
/// servers, which whoever follows the README does.
#[test]
fn the_gateway_is_in_a_namespace_that_may_call_the_servers() {
    let readme = read("k8s/README.md");
    let mut parents = 0;
    for route in all().iter().flat_map(|rendered| rendered.of("GRPCRoute")) {
        for parent in list(&route["spec"]["parentRefs"]) {
            let namespace = parent["namespace"].as_str().expect("a namespace");
            assert_ne!(route["metadata"]["namespace"], namespace);
            let label = format!("kubectl label namespace {namespace} chancery.example.com/client=true");
            assert!(readme.contains(&label), "k8s/README.md does not say: {label}");
            parents += 1;
        }
    }
    assert_eq!(parents, 1);
}

#[test]
fn the_monitor_scrapes_every_server_where_it_answers() {
    let rendered = production();
    let monitor = &rendered.named("PodMonitor", "chancery")["spec"];
    assert_eq!(list(&monitor["podMetricsEndpoints"]).len(), 1);
    assert_eq!(
        (&monitor["podMetricsEndpoints"][0]["port"], &monitor["podMetricsEndpoints"][0]["path"]),
        (&json!("admin"), &json!("/metrics"))
    );
    assert_eq!(selected(rendered, &monitor["selector"]["matchLabels"]).len(), rendered.servers().count());
    let component = "app.kubernetes.io/component";
    assert_eq!(monitor["selector"]["matchExpressions"][0]["key"], component);
    let chosen = list(&monitor["selector"]["matchExpressions"][0]["values"]);
    for workload in rendered.servers() {
        assert!(
            chosen.contains(&workload["spec"]["template"]["metadata"]["labels"][component]),
            "{}",
            name(workload)
        );
    }
    // The rules ask for this job and this label.
    assert_eq!(monitor["jobLabel"], "app.kubernetes.io/name");
    assert!(list(&monitor["podTargetLabels"]).contains(&json!(component)));
}

/// A client that goes by any of the services' names finds it in the certificate, and so does the gateway.
#[test]
fn the_certificate_has_the_names_of_the_services() {
    for rendered in all().iter().filter(|each| each.of("Certificate").count() > 0) {
        let certificate = &rendered.named("Certificate", "chancery-server")["spec"];
        let names = list(&certificate["dnsNames"]);
        for service in ["chancery", "chancery-headless"] {
            let namespace =
                rendered.named("Service", service)["metadata"]["namespace"].as_str().expect("a name");
            for end in [
                "",
                &format!(".{namespace}"),
                &format!(".{namespace}.svc"),
                &format!(".{namespace}.svc.cluster.local"),
            ] {
                assert!(
                    names.contains(&json!(format!("{service}{end}"))),
                    "{}: {service}{end}",
                    rendered.folder
                );
            }
        }
        for policy in rendered.of("BackendTLSPolicy") {
            assert!(names.contains(&policy["spec"]["validation"]["hostname"]));
        }
        for route in rendered.of("GRPCRoute") {
            let backend = &route["spec"]["rules"][0]["backendRefs"][0];
            let service = rendered.named("Service", backend["name"].as_str().expect("a name"));
            assert_eq!(service["spec"]["ports"][0]["port"], backend["port"]);
            let routed = list(&route["spec"]["rules"][0]["matches"]).iter();
            let routed: BTreeSet<_> =
                routed.map(|each| each["method"]["service"].as_str().expect("a name")).collect();
            let served: BTreeSet<_> = chancery::server::SERVICES
                .into_iter()
                .filter(|name| !name.is_empty())
                .chain(["grpc.health.v1.Health"])
                .collect();
            assert_eq!(routed, served);
        }
    }
}
