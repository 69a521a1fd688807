//! The Dockerfile: nothing to lint, enough to build from, and commands that the binary has.
use std::{fs, path::Path, process::Command};

use crate::{
    documents::{read, tool},
    harness::{
        Kind, TestStore, block_on, root,
        server::{Server, chancery},
    },
};

#[test]
fn hadolint_has_nothing_to_say() {
    let output =
        Command::new(tool("CHANCERY_TEST_HADOLINT", "hadolint")).arg(root().join("Dockerfile")).output();
    let output = output.expect("hadolint");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The files that the build stage is given are all that it needs: Cargo finds every target, and every file that the
/// sources include is among them.
#[test]
fn what_is_copied_is_enough_to_build() {
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let folder = tempfile::tempdir().expect("a folder");
    let copied = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--"));
    for line in copied {
        let mut paths: Vec<_> = line.split(' ').collect();
        let to = paths.pop().expect("where to");
        for path in paths {
            assert!(ignored.contains(&format!("\n!{path}\n")), ".dockerignore leaves {path} out");
            let to = if to == "./" { folder.path().join(path) } else { folder.path().join(to) };
            copy(&root().join(path), &to);
        }
    }
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--no-deps"])
        .current_dir(&folder)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let targets = metadata["packages"][0]["targets"].as_array().expect("targets");
    for kind in ["bin", "lib", "custom-build"] {
        assert!(targets.iter().any(|target| target["kind"][0] == kind), "{kind}");
    }
    // What a build without tests includes, from the sources that were copied.
    let included = regex::Regex::new(r#"include_(?:str|bytes)!\("([^"]+)"\)"#).expect("a pattern");
    let mut folders = vec![folder.path().join("src")];
    let mut found = 0;
    while let Some(each) = folders.pop() {
        for entry in fs::read_dir(each).expect("a folder").flatten() {
            let path = entry.path();
            let is_test = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                let text = fs::read_to_string(&path).expect("a source");
                let built = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
                for file in included.captures_iter(built) {
                    let file = path.parent().expect("a folder").join(&file[1]);
                    assert!(file.is_file(), "{}: {} is not copied", path.display(), file.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 10, "{found} files");
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder").flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

/// The user, the command that looks after health, and what is not to be in a build that is repeated.
#[test]
fn the_image_runs_without_rights_and_asks_for_its_health() {
    let dockerfile = read("Dockerfile");
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let pods = super::render::production()
        .workloads()
        .map(|each| super::render::pod(each)["securityContext"].clone());
    for security in pods {
        assert_eq!(user, format!("{}:{}", security["runAsUser"], security["runAsGroup"]));
    }
    for needed in [
        "cargo build --release --locked",
        "SOURCE_DATE_EPOCH",
        "--remap-path-prefix",
        "${BUILD_IMAGE}",
        "${RUN_IMAGE}",
    ] {
        assert!(dockerfile.contains(needed), "{needed}");
    }
    assert!(
        !dockerfile.contains("apt-get") && !dockerfile.contains("ADD "),
        "what is fetched is not the same twice"
    );
    let wanted: String = read("Cargo.toml")
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("a version")
        .replace('"', "");
    assert!(dockerfile.contains(&format!("rust:{wanted}-")), "Rust {wanted}");
    let check = dockerfile
        .lines()
        .find_map(|line| line.split_once(" CMD [").filter(|_| line.starts_with("HEALTHCHECK")));
    let check: Vec<String> =
        serde_json::from_str(&format!("[{}", check.expect("a health check").1)).expect("JSON");
    assert_eq!(check[0], "chancery");
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let health = |admin: &str| {
        chancery()
            .args(&check[1..])
            .env("CHANCERY_ADMIN", format!("http://{admin}"))
            .output()
            .expect("health")
    };
    assert_eq!(health(&server.admin).status.code(), Some(0));
    // Nobody listens there.
    assert_eq!(health("127.0.0.1:1").status.code(), Some(1));
    block_on(async { assert_eq!(server.admin_get("/livez").await.0, 200) });
}
