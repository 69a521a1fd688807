//! Checkpoints and proofs of a real server hold for tlog-scales, a verifier of transparency logs that knows nothing
//! of this project. `test.sh` installs it; where it is not there, this fails.
use std::{fs, path::Path, process::Command};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chancery::proto::v1::GetConsistencyProofRequest;

use crate::{
    documents::tool,
    harness::{
        KINDS, TestStore, block_on,
        cli::{Ran, run},
        root,
        server::chancery,
        signing::{checkpoint, grow, note, signing, verifier},
    },
};

fn check(arguments: &[&Path], key: &str) -> Ran {
    let script = root().join("tests/it/verify_other_tool/check.py");
    let mut python = Command::new(tool("CHANCERY_TEST_PYTHON", "python3"));
    run(python.arg(script).args(arguments).arg(key), "")
}

#[test]
fn a_verifier_by_others_accepts_proofs_and_refuses_false_ones() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        let folder = store.folder.path();
        let key = verifier(&store, "main").to_string();
        let sizes = block_on(async {
            let mut sizes = Vec::new();
            for events in [7, 300, 260] {
                let (size, _) = grow(&server, "main", events).await;
                checkpoint(&store, "main", size).await;
                let text = note(&store, "main", size, |_| true).await;
                fs::write(folder.join(format!("{size}.checkpoint")), text).expect("a file");
                sizes.push(size);
            }
            sizes
        });
        let bundle = folder.join("bundle");
        let exported = run(server.cli(&["export", "-o"]).arg(&bundle), "");
        assert_eq!(exported.code, 0, "{exported:?}");

        for position in [0, 255, 256, 300, 566] {
            let position = position.to_string();
            let extract = ["--key", &key, "--extract", &position, "--into"];
            let ran = run(chancery().arg("verify").arg(&bundle).args(extract).arg(folder), "");
            assert_eq!(ran.code, 0, "{ran:?}");
            let proof = folder.join(format!("{position}.tlog-proof"));
            let record = folder.join(format!("{position}.record"));
            let ran = check(&[Path::new("inclusion"), &proof, &record], &key);
            assert_eq!(
                ran.out,
                format!("audit.example.com/test/main: {position} of 567\n"),
                "{kind:?} {ran:?}"
            );
            // It is really looked at.
            let false_record = folder.join("false.record");
            fs::write(&false_record, [&fs::read(&record).expect("a record")[..], b"x"].concat())
                .expect("a file");
            let ran = check(&[Path::new("inclusion"), &proof, &false_record], &key);
            assert!(ran.code != 0 && ran.err.contains("InclusionProofInvalid"), "{ran:?}");
        }
        for pair in sizes.windows(2) {
            let request = GetConsistencyProofRequest {
                first_size: pair[0],
                second_size: pair[1],
                ..GetConsistencyProofRequest::default()
            };
            let answer = block_on(async { server.proofs().await.get_consistency_proof(request).await });
            let hashes = answer.expect("a proof").into_inner().hashes;
            let lines: Vec<_> = hashes.iter().map(|hash| BASE64_STANDARD.encode(hash)).collect();
            let proof = folder.join("consistency");
            fs::write(&proof, lines.join("\n")).expect("a file");
            let [old, new] = [pair[0], pair[1]].map(|size| folder.join(format!("{size}.checkpoint")));
            let ran = check(&[Path::new("consistency"), &old, &new, &proof], &key);
            let expected = format!("audit.example.com/test/main: {} to {}\n", pair[0], pair[1]);
            assert_eq!(ran.out, expected, "{kind:?} {ran:?}");
            fs::write(&proof, lines[1..].join("\n")).expect("a file");
            assert_ne!(check(&[Path::new("consistency"), &old, &new, &proof], &key).code, 0);
        }
        let stranger = verifier(&TestStore::new(kind), "main").to_string();
        let (proof, record) = (folder.join("0.tlog-proof"), folder.join("0.record"));
        assert_ne!(check(&[Path::new("inclusion"), &proof, &record], &stranger).code, 0);
    }
}
