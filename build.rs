//! Compiles `proto/` with protox (no external protoc): message types, the server and client of every
//! service, the protobuf JSON mapping, and the descriptor set that reflection serves. Tells the program the commit that
//! it was built from.
use std::{env, error::Error, path::PathBuf, process::Command};

use prost::Message as _;

const PROTOS: [&str; 8] = [
    "chancery/v1/admin_service.proto",
    "chancery/v1/event.proto",
    "chancery/v1/audit_service.proto",
    "chancery/v1/catalog_service.proto",
    "chancery/v1/producer_service.proto",
    "chancery/v1/proof_service.proto",
    "chancery/v1/quarantine_service.proto",
    "chancery/v1/retention_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src/catalog/data");
    println!("cargo:rustc-env=CHANCERY_COMMIT={}", commit());

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTOS)?;
    let descriptors = compiler.file_descriptor_set();
    let encoded = compiler.encode_file_descriptor_set();
    std::fs::write(out.join("descriptors.bin"), &encoded)?;

    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .build_server(false)
        .codec_path("crate::server::codec::BoundedCodec")
        .bytes(".chancery.v1")
        .btree_map(".chancery.v1")
        .compile_fds(descriptors.clone())?;
    // The servers apart, over the same messages but for two: what answers with events holds stored bytes,
    // which are not decoded and encoded again.
    let servers = out.join("servers");
    std::fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".google.rpc", "crate::proto::google::rpc")
        .extern_path(".chancery.v1", "crate::proto::v1")
        .extern_path(".chancery.v1.QueryResponse", "crate::grpc::spliced::QueryMessage")
        .extern_path(".chancery.v1.GetEventResponse", "crate::grpc::spliced::GetEventMessage")
        .build_client(false)
        .codec_path("crate::server::codec::BoundedCodec")
        .out_dir(servers)
        .compile_fds(descriptors.clone())?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())?
        .btree_map([".chancery.v1"])
        .build(&[".chancery.v1", ".google.rpc"])?;
    Ok(())
}

/// The commit of the sources: the variable, or what git says when a release is built in a repository. Other builds do
/// not ask git, so that a commit does not make them again.
fn commit() -> String {
    println!("cargo:rerun-if-env-changed=CHANCERY_COMMIT");
    let given = env::var("CHANCERY_COMMIT").ok().filter(|commit| !commit.is_empty());
    let asked = || {
        if env::var("PROFILE").as_deref() != Ok("release") {
            return None;
        }
        println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
        git(&["rev-parse", "--short=12", "HEAD"])
    };
    given.or_else(asked).unwrap_or_else(|| "unknown".to_owned())
}

/// One line of git's answer, if there is a git, and a repository here.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
