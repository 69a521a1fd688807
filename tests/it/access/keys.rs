//! The keys of an issuer change while the server runs, and sometimes cannot be had.
use super::{causes, heard, refused};
use crate::harness::{
    Kind, TestStore, access, block_on,
    issuer::{Page, Signer, set, settings},
    server::Server,
    until,
};

const ACCESS: &str = "[reader.ann]
logs = [\"main\"]
families = [\"*\"]
";

async fn said(server: &Server, what: &str, times: usize) {
    until(what, || async { server.log().matches(what).count() >= times }).await;
}

#[test]
fn a_file_of_keys_is_read_again_when_the_server_is_told_to() {
    let store = TestStore::new(Kind::Sqlite);
    let path = store.folder.path().join("keys.json");
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    std::fs::write(&path, set(&[&old])).expect("a file");
    let configuration = settings(path.to_str().expect("a path"), "");
    let server = access::server(&store, &access::file(ACCESS, &[]), &configuration);
    block_on(async {
        heard(&server, &old.token("ann")).await.expect("ann reads");
        refused(&heard(&server, &new.token("ann")).await.expect_err("not yet"));
        // One that cannot be used changes nothing.
        for (times, wrong) in [(1, "{"), (2, "{\"keys\": []}")] {
            std::fs::write(&path, wrong).expect("a file");
            server.signal("HUP");
            said(&server, "the keys of signed tokens were not taken", times).await;
            heard(&server, &old.token("ann")).await.expect("the last good ones");
        }
        std::fs::write(&path, set(&[&new])).expect("a file");
        let remembered = old.token("ann");
        heard(&server, &remembered).await.expect("ann reads");
        server.signal("HUP");
        said(&server, "the keys of signed tokens were read again", 1).await;
        heard(&server, &new.token("ann")).await.expect("ann reads");
        // Also a token that was checked before.
        refused(&heard(&server, &remembered).await.expect_err("its key is gone"));
    });
    let told = "the token: the issuer has no key";
    assert_eq!(causes(&server, 2), [format!("{told} \"new\""), format!("{told} \"old\"")]);
}

#[test]
fn keys_from_a_url_are_fetched_for_an_unknown_kid_and_the_last_good_ones_stay() {
    let store = TestStore::new(Kind::Sqlite);
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let page = Page::new(&set(&[&old]));
    let server = access::server(&store, &access::file(ACCESS, &[]), &settings(&page.url(), ""));
    block_on(async {
        heard(&server, &old.token("ann")).await.expect("ann reads");
        assert_eq!(page.asked(), 1, "at start");
        // The issuer is in trouble: what it answers with is no set of keys, or it sends the server elsewhere.
        let elsewhere = Page::new(&set(&[&new]));
        let location = format!("location: {}\r\n", elsewhere.url());
        let large = format!("{{\"keys\": [], \"padding\": \"{}\"}}", "x".repeat(1 << 20));
        let answers = [
            ("503 Service Unavailable", "", ""),
            ("302 Found", location.as_str(), ""),
            ("200 OK", "", "<html>"),
            ("200 OK", "", large.as_str()),
        ];
        for (times, (status, header, body)) in (1..).zip(answers) {
            page.answers(status, header, body);
            server.signal("HUP");
            said(&server, "the keys of signed tokens were not taken", times).await;
            heard(&server, &old.token("ann")).await.expect("the last good ones");
        }
        assert_eq!((page.asked(), elsewhere.asked()), (5, 0));
        // It rotates. Whoever brings the new key has the server ask for it, once the last fetch is old enough; and
        // whoever makes up keys has it ask no more often than that.
        page.answers("200 OK", "", &set(&[&old, &new]));
        let made_up = Signer::new("made up");
        until("the new key", || async {
            refused(&heard(&server, &made_up.token("ann")).await.expect_err("nobody's"));
            heard(&server, &new.token("ann")).await.is_ok()
        })
        .await;
        assert_eq!(page.asked(), 6);
        heard(&server, &old.token("ann")).await.expect("both");
        for _ in 0..20 {
            refused(&heard(&server, &made_up.token("ann")).await.expect_err("nobody's"));
        }
        assert_eq!(page.asked(), 6);
        // It is gone.
        let url = page.url();
        drop(page);
        server.signal("HUP");
        said(&server, "the keys of signed tokens were not taken", 5).await;
        heard(&server, &new.token("ann")).await.expect("the last good ones");
        assert!(server.log().contains(&url), "the log names the source");
    });
}

#[test]
fn an_issuer_that_does_not_answer_at_start_keeps_nobody_else_away() {
    let store = TestStore::new(Kind::Sqlite);
    let signer = Signer::new("one");
    let page = Page::new("");
    page.answers("500 Internal Server Error", "", "");
    let server = access::server(&store, &access::file(ACCESS, &["ann"]), &settings(&page.url(), ""));
    block_on(async {
        heard(&server, &access::token("ann")).await.expect("ann reads");
        refused(&heard(&server, &signer.token("ann")).await.expect_err("no keys"));
        page.answers("200 OK", "", &set(&[&signer]));
        server.signal("HUP");
        said(&server, "the keys of signed tokens were read again", 1).await;
        heard(&server, &signer.token("ann")).await.expect("ann reads");
    });
}
