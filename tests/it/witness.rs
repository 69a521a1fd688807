//! `chancery witness` cosigns what extends the last head of a log, and nothing else, with the statuses of the
//! specification.
use std::{fs, path::Path};

use chancery::note::{self, Key, Submission};
use tokio::task::JoinSet;

use crate::harness::{
    block_on,
    cli::run,
    server::chancery,
    witness::{Log, Witness, key},
};

/// A cosigned answer.
fn is_cosigned(witness: &Witness, log: &Log, size: u64, answer: &(u16, String, String)) {
    assert_eq!(answer.0, 200, "{answer:?}");
    let note = note::joined(&log.note(size), answer.2.split_inclusive('\n')).expect("a note");
    let opened = note::open(&note, &[log.verifier(), witness.key.clone()]).expect("a cosigned note");
    let cosigned = opened.signatures.iter().find(|signed| signed.key == witness.key).expect("a cosignature");
    assert!(cosigned.time.expect("a time") > 1_700_000_000);
}

/// Files of a witness's folder that end so.
fn files(folder: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.join("witness")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").path());
    names
        .filter(|path| path.to_string_lossy().ends_with(end))
        .map(|path| fs::read_to_string(path).expect("text"))
        .collect()
}

#[test]
fn it_cosigns_extensions_and_says_why_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, other) = (Log::new("main"), Log::new("other"));
    let witness = Witness::start(folder.path(), &[log.verifier()]);
    let conflict = |size: u64| (409, "text/x.tlog.size".to_owned(), format!("{size}\n"));
    block_on(async {
        let send = |submission: Submission| witness.submit(submission.text());
        // The first head needs no proof.
        assert_eq!(send(log.submission(3, 7)).await, conflict(0));
        is_cosigned(&witness, &log, 4, &send(log.submission(0, 4)).await);
        is_cosigned(&witness, &log, 9, &send(log.submission(4, 9)).await);
        // The same once more, and from a size that is no longer the last.
        is_cosigned(&witness, &log, 9, &send(log.submission(9, 9)).await);
        assert_eq!(send(log.submission(4, 12)).await, conflict(9));
        assert_eq!(send(log.submission(0, 12)).await, conflict(9));
        // Backwards.
        assert_eq!(send(log.submission(0, 4)).await, conflict(9));
        assert_eq!(send(log.submission(9, 4)).await.0, 400);
        // Not proved: the last one is kept.
        assert_eq!(files(folder.path(), ".refused"), [""; 0]);
        for size in [13, 14] {
            let submission = Submission { old: 9, proof: Vec::new(), note: log.note(size) };
            assert_eq!(send(submission).await.0, 422);
            assert_eq!(files(folder.path(), ".refused"), [log.note(size)]);
        }
        // A fork: of the same size, whatever else there is, and grown.
        let fork = log.forked();
        let head = files(folder.path(), ".checkpoint").remove(0);
        assert_eq!(files(folder.path(), ".forked"), [""; 0]);
        for old in [0, 9] {
            assert_eq!(send(Submission { old, proof: Vec::new(), note: fork.note(9) }).await, conflict(9));
            assert_eq!(files(folder.path(), ".forked"), [format!("{head}\n\n{}", fork.note(9))]);
            assert_eq!(files(folder.path(), ".refused"), [log.note(14)]);
        }
        assert_eq!(send(fork.submission(9, 12)).await.0, 422);
        // Proofs that are not: none, another one, one hash more.
        let good = log.submission(9, 12);
        assert_eq!(send(Submission { proof: Vec::new(), ..good.clone() }).await.0, 422);
        assert_eq!(send(Submission { proof: log.submission(8, 12).proof, ..good.clone() }).await.0, 422);
        let longer = [good.proof.clone(), vec![[0; 32]]].concat();
        assert_eq!(send(Submission { proof: longer, ..good.clone() }).await.0, 422);
        // Strangers.
        assert_eq!(send(other.submission(0, 3)).await.0, 404);
        let stranger =
            Log { key: Key::new("audit.example.com/test", &[8; 32]).expect("a key"), ..Log::new("main") };
        assert_eq!(send(stranger.submission(9, 12)).await.0, 403);
        // What is no submission.
        let text = good.text();
        for bad in [
            "",
            "old 9\n",
            "old 9\n\n",
            &text.replace("old 9", "old 09"),
            &text.replace("\n\n", "\n"),
            &text[..text.len() - 1],
        ] {
            assert_eq!(witness.submit(bad.to_owned()).await.0, 400, "{bad:?}");
        }
        assert_eq!(witness.submit(vec![0xff_u8; 100]).await.0, 400);
        assert_eq!(witness.submit("x".repeat(1 << 20)).await.0, 413);
        let get = reqwest::get(format!("{}/add-checkpoint", witness.url)).await.expect("an answer");
        assert_eq!(get.status().as_u16(), 405);
        // None of it has moved the head.
        is_cosigned(&witness, &log, 12, &send(good).await);
    });
}

#[test]
fn of_submissions_at_once_one_is_cosigned() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Log::new("main");
    let witness = Witness::start(folder.path(), &[log.verifier()]);
    block_on(async {
        assert_eq!(witness.submit(log.submission(0, 5).text()).await.0, 200);
        for round in 1..5_u64 {
            let old = round * 5;
            let mut calls = JoinSet::new();
            for more in 1..=5 {
                // Every other one is of another tree.
                let other = Log { leaf: |position| position + 1000, ..Log::new("main") };
                let tree = if more % 2 == 0 { other } else { Log::new("main") };
                let submission = tree.submission(old, old + more).text();
                let url = format!("{}/add-checkpoint", witness.url);
                calls.spawn(async move {
                    let answer = reqwest::Client::new().post(url).body(submission).send().await;
                    (old + more, answer.expect("an answer").status().as_u16())
                });
            }
            let answers = calls.join_all().await;
            let cosigned: Vec<u64> =
                answers.iter().filter(|(_, status)| *status == 200).map(|(size, _)| *size).collect();
            assert_eq!(cosigned.len(), 1, "{answers:?}");
            assert!(answers.iter().all(|(_, status)| [200, 409, 422].contains(status)), "{answers:?}");
            if cosigned[0] < old + 5 {
                assert_eq!(witness.submit(log.submission(cosigned[0], old + 5).text()).await.0, 200);
            }
        }
    });
}

#[test]
fn its_heads_outlive_it_and_are_not_taken_for_none_when_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Log::new("main");
    let mut witness = Witness::start(folder.path(), &[log.verifier()]);
    block_on(async {
        is_cosigned(&witness, &log, 6, &witness.submit(log.submission(0, 6).text()).await);
    });
    // What is in the file is what was given away.
    let kept = files(folder.path(), ".checkpoint");
    assert_eq!(note::read(&kept[0]).expect("a head").head.size, 6);
    assert_eq!(witness.end("KILL"), None);
    let mut witness = Witness::start(folder.path(), &[log.verifier()]);
    block_on(async {
        assert_eq!(witness.submit(log.submission(0, 6).text()).await.0, 409);
        assert_eq!(witness.submit(log.forked().submission(6, 8).text()).await.0, 422);
        is_cosigned(&witness, &log, 8, &witness.submit(log.submission(6, 8).text()).await);
    });
    assert_eq!(witness.end("TERM"), Some(0));
    // A head that cannot be read, and a folder that is taken, keep it from starting.
    let start = || {
        let mut command = chancery();
        command
            .arg("witness")
            .arg("--key")
            .arg(key(folder.path(), ""))
            .arg("--log")
            .arg(log.verifier().to_string());
        command.arg("--state").arg(folder.path().join("witness")).args(["--listen", "127.0.0.1:0"]);
        run(&mut command, "")
    };
    let running = Witness::start(folder.path(), &[log.verifier()]);
    let taken = start();
    assert!(taken.code == 2 && taken.err.contains("another process"), "{taken:?}");
    drop(running);
    let entries = fs::read_dir(folder.path().join("witness")).expect("a folder");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let path = paths.iter().find(|path| path.to_string_lossy().ends_with(".checkpoint")).expect("a head");
    fs::write(path, kept[0].replace("\n6\n", "\n5\n")).expect("a file");
    let damaged = start();
    assert!(damaged.code == 2 && damaged.err.contains("setting state"), "{damaged:?}");
}

#[test]
fn wrong_settings_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, witness) = (Log::new("main"), key(folder.path(), "w"));
    let refused = |key: &Path, log: &str| {
        let mut command = chancery();
        command.arg("witness").arg("--key").arg(key).args(["--log", log, "--listen", "127.0.0.1:0"]);
        let ran = run(command.current_dir(folder.path()), "");
        assert_eq!(ran.code, 2, "{ran:?}");
        ran.err
    };
    assert!(refused(&witness, "x").contains("setting log"));
    let own = fs::read_to_string(&witness).expect("a key");
    let own = chancery::note::Cosigner::parse(own.trim_end()).expect("a key").verifier().to_string();
    assert!(refused(&witness, &own).contains("not that of a log"));
    let logs = folder.path().join("log.key");
    assert!(
        chancery()
            .args(["keys", "generate", "a", "--out"])
            .arg(&logs)
            .output()
            .expect("a key")
            .status
            .success()
    );
    assert!(refused(&logs, &log.verifier().to_string()).contains("key of a log"));
    assert!(refused(Path::new("nowhere"), &log.verifier().to_string()).contains("setting key"));
}
