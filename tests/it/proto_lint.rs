//! The contract builds and lints clean with buf, comments on everything included.
use std::process::Command;

use crate::{documents::tool, harness::root};

#[test]
fn buf_has_nothing_to_say() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    for arguments in [["build", "-o", "/dev/null"].as_slice(), &["lint"]] {
        let output = Command::new(tool("CHANCERY_TEST_BUF", "buf"))
            .args(arguments)
            .current_dir(root())
            .env("BUF_CACHE_DIR", cache.path())
            .output()
            .expect("buf");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "buf {arguments:?}:\n{}", String::from_utf8_lossy(&said));
    }
}
