//! What each method asks of its caller. A method without a rule is not served; a test fails when there is one.
use super::Role;

/// What a method asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Nothing: probes have no credentials.
    Anyone,
    /// To be somebody.
    Caller,
    /// One of these roles, for some log; the method asks again for its log.
    Roles(&'static [Role]),
}

const PRODUCER: Rule = Rule::Roles(&[Role::Producer]);
const READER: Rule = Rule::Roles(&[Role::Reader]);
const ADMIN: Rule = Rule::Roles(&[Role::Admin]);
/// Proofs hold hashes, and readers check what they have read.
const PROOFS: Rule = Rule::Roles(PROOF_ROLES);
/// What is known of a log, without its events.
const ABOUT: Rule = Rule::Roles(ABOUT_ROLES);
/// The same, and a producer's own line.
const PRODUCERS: Rule = Rule::Roles(OWN_ROLES);

/// Every method that is served, by its path.
pub const RULES: [(&str, Rule); 24] = [
    ("/chancery.v1.AdminService/EraseSubject", ADMIN),
    ("/chancery.v1.AuditService/Append", PRODUCER),
    ("/chancery.v1.AuditService/AppendStream", PRODUCER),
    ("/chancery.v1.AuditService/CountEvents", READER),
    ("/chancery.v1.AuditService/GetEvent", READER),
    ("/chancery.v1.AuditService/Query", READER),
    ("/chancery.v1.CatalogService/GetEventType", Rule::Caller),
    ("/chancery.v1.CatalogService/ListEventTypes", Rule::Caller),
    ("/chancery.v1.ProducerService/GetProducer", PRODUCERS),
    ("/chancery.v1.ProducerService/ListProducers", ABOUT),
    ("/chancery.v1.ProofService/GetCheckpoint", PROOFS),
    ("/chancery.v1.ProofService/GetConsistencyProof", PROOFS),
    ("/chancery.v1.ProofService/GetInclusionProof", PROOFS),
    ("/chancery.v1.QuarantineService/DiscardQuarantined", ADMIN),
    ("/chancery.v1.QuarantineService/ListQuarantined", READER),
    ("/chancery.v1.QuarantineService/ReplayQuarantined", ADMIN),
    ("/chancery.v1.RetentionService/ApplyRetention", ADMIN),
    ("/chancery.v1.RetentionService/GetRetention", ABOUT),
    ("/chancery.v1.RetentionService/PlaceLegalHold", ADMIN),
    ("/chancery.v1.RetentionService/ReleaseLegalHold", ADMIN),
    ("/grpc.health.v1.Health/Check", Rule::Anyone),
    ("/grpc.health.v1.Health/Watch", Rule::Anyone),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Caller),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Caller),
];

/// The methods whose answer is a stream, by name.
const STREAMS: [&str; 6] = [
    "chancery.v1.AuditService/AppendStream",
    "chancery.v1.AuditService/Query",
    "chancery.v1.QuarantineService/ListQuarantined",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Whether the answer of a method of this name is a stream.
pub fn streams(method: &str) -> bool {
    STREAMS.contains(&method)
}

/// A method's name, which is its path without the slash, and its rule; `None` when there is no such method.
pub fn of(path: &str) -> Option<(&'static str, Rule)> {
    RULES.binary_search_by(|(known, _)| (*known).cmp(path)).ok().map(|at| (&RULES[at].0[1..], RULES[at].1))
}

/// Whether a method with this rule can be given up in the middle: it changes nothing, and the self-audit is not told of
/// its failure.
pub fn may_be_dropped(rule: Rule) -> bool {
    [Rule::Caller, PROOFS, ABOUT, PRODUCERS].contains(&rule)
}

/// Roles that a caller may have one of to see proofs of a log.
pub const PROOF_ROLES: &[Role] = &[Role::Auditor, Role::Reader];
/// The same of what is known of a producer that it is itself.
pub const OWN_ROLES: &[Role] = &[Role::Auditor, Role::Reader, Role::Admin, Role::Producer];
/// Roles that a caller may have one of to see what is known of a log.
pub const ABOUT_ROLES: &[Role] = &[Role::Auditor, Role::Reader, Role::Admin];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::proto::DESCRIPTORS;

    /// Path of every method that is served, and whether its answer is a stream.
    fn methods() -> BTreeMap<String, bool> {
        use prost::Message as _;
        let sets = [
            DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut methods = BTreeMap::new();
        for set in sets {
            for file in FileDescriptorSet::decode(set).expect("descriptors").file {
                for service in &file.service {
                    for method in &service.method {
                        let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        methods.insert(path, method.server_streaming());
                    }
                }
            }
        }
        methods
    }

    #[test]
    fn every_method_of_the_contract_has_a_rule_and_every_rule_a_method() {
        let ruled: Vec<_> = RULES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(ruled, methods().into_keys().collect::<Vec<_>>());
        assert!(RULES.is_sorted_by(|(one, _), (other, _)| one < other), "looked up by halving");
    }

    #[test]
    fn streams_are_known_from_single_answers() {
        for (path, is_stream) in methods() {
            assert_eq!(streams(&path[1..]), is_stream, "{path}");
        }
    }
}
