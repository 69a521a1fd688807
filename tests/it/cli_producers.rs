//! `chancery producers`: list and show from the shell, with the exit codes of the others.
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::append,
    cli::{Ran, run},
    events::hold,
    producers::{batch, numbered},
    server::Server,
};

fn producers(server: &Server, flags: &[&str]) -> Ran {
    run(server.cli(&["producers"]).args(flags), "")
}

#[test]
fn list_and_show_work_from_the_shell() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let none = producers(&server, &["-o", "json"]);
        assert_eq!((none.code, none.json().as_array().map(Vec::len)), (0, Some(0)));
        block_on(async {
            let mut audit = server.audit().await;
            let events = [1, 2, 9].map(|number| numbered(hold("x"), Some(3), number));
            append(&mut audit, batch("cms-1", events.to_vec())).await;
            append(&mut audit, batch("cms-2", vec![hold("x")])).await;
        });
        let table = producers(&server, &[]);
        assert_eq!((table.code, table.err.as_str()), (0, "2 producers\n"));
        let lines = table.lines();
        assert!(lines[0].contains("silent for") && lines[0].contains("missing"), "{table:?}");
        let cells: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(
            (cells[0], cells[1], &cells[5..]),
            ("main", "cms-1", ["3", "0", "2", "6", "1"].as_slice())
        );
        assert!(cells[4].ends_with('s'), "{table:?}");
        // The flags are the same with and without the word.
        for flags in [["list", "-o", "csv"].as_slice(), &["-o", "csv"]] {
            let csv = producers(&server, flags);
            assert_eq!(csv.code, 0, "{csv:?}");
            assert!(
                csv.lines()[0].starts_with("log,producer,first_seen,last_seen,last_position,"),
                "{csv:?}"
            );
            assert!(csv.lines()[1].ends_with("Z,2,3,0,6,1"), "{csv:?}");
        }
        let rows = producers(&server, &["list", "--log", "main", "-o", "ndjson"]).ndjson();
        assert_eq!((&rows[0]["producer"], &rows[0]["missingSequences"]), (&"cms-1".into(), &"6".into()));
        assert!(rows[0]["lastSeen"].as_str().is_some_and(|at| at.ends_with('Z')), "{rows:?}");
        assert!(producers(&server, &["--silent-for", "1h", "-o", "ndjson"]).ndjson().is_empty());
        assert_eq!(producers(&server, &["list", "--silent-for", "0s", "-o", "ndjson"]).ndjson().len(), 2);
        let url = server.url();
        assert_eq!(producers(&server, &["list", "--server", &url]).code, 0);
        assert_eq!(producers(&server, &["--server", &url]).code, 0);

        let page = producers(&server, &["show", "cms-1"]);
        assert_eq!(page.code, 0, "{page:?}");
        for words in ["cms-1 in log main", "missing numbers: 6, in 1 gaps", "gap in epoch", "position 2"] {
            assert!(page.out.contains(words), "{words:?}: {}", page.out);
        }
        let shown = producers(&server, &["show", "cms-1", "-o", "json"]).json();
        assert_eq!(
            (&shown["epochs"][0]["epoch"], &shown["gaps"][0]["toSequence"]),
            (&"3".into(), &"8".into())
        );
        assert!(shown["gaps"][0]["seenAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
        let unnumbered = producers(&server, &["show", "cms-2"]);
        assert!(!unnumbered.out.contains("epoch"), "{unnumbered:?}");

        let unknown = producers(&server, &["show", "nobody"]);
        assert!(unknown.code == 6 && unknown.err.contains("PRODUCER_NOT_FOUND"), "{unknown:?}");
        assert_eq!(producers(&server, &["show", "cms-1", "--log", "other"]).code, 6);
        assert_eq!(producers(&server, &["show"]).code, 2);
        assert_eq!(producers(&server, &["--silent-for", "soon"]).code, 2);
        assert_eq!(producers(&server, &["list", "--silent-for", "99999d"]).code, 1);
    }
}
