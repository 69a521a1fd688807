//! Compiles `proto/` with protox (no external protoc): message types, the server and client of every
//! service, the protobuf JSON mapping, and the descriptor set that reflection serves.
use std::{env, error::Error, path::PathBuf};

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
