//! `CatalogService`: filters, pages and refusals.
use chancery::proto::v1::{
    EventFamily, EventType, ListEventTypesRequest, catalog_service_client::CatalogServiceClient,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::harness::{Kind, TestStore, block_on, server::Server, types};

type Client = CatalogServiceClient<Channel>;

fn with_client<F: AsyncFnOnce(Client)>(test: F) {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async { test(server.catalog().await).await });
}

async fn list(client: &mut Client, request: ListEventTypesRequest) -> (Vec<EventType>, String, u32) {
    let page = client.list_event_types(request).await.expect("a page").into_inner();
    (page.event_types, page.next_page_token, page.total_size)
}

async fn found(client: &mut Client, families: &[EventFamily], text: &str) -> Vec<String> {
    let request = ListEventTypesRequest {
        families: families.iter().map(|family| *family as i32).collect(),
        text: text.to_owned(),
        page_size: 1000,
        ..ListEventTypesRequest::default()
    };
    list(client, request).await.0.into_iter().map(|each| each.code).collect()
}

/// Code, reason and fields of a refusal.
fn refusal(status: &Status) -> (Code, String, Vec<String>) {
    let details = status.get_error_details();
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!(info.domain, "chancery.v1");
    let fields =
        details.bad_request().map(|bad| bad.field_violations.iter().map(|it| it.field.clone()).collect());
    (status.code(), info.reason.clone(), fields.unwrap_or_default())
}

#[test]
fn types_come_by_family_and_then_in_the_order_of_the_catalog() {
    with_client(async |mut client| {
        let all = types::all(&mut client, &[], 1000).await;
        let families: Vec<_> = all.iter().map(|each| each.family).collect();
        assert!(families.is_sorted());
        // The order of the request does not matter, and a family given twice is listed once.
        let asked = [EventFamily::TokenServer, EventFamily::CmsAudit, EventFamily::TokenServer];
        let some = types::all(&mut client, &asked, 1000).await;
        assert_eq!((some.len(), some[0].family()), (59 + 272, EventFamily::CmsAudit));
        let again: Vec<_> = all.into_iter().filter(|each| asked.contains(&each.family())).collect();
        assert_eq!(some, again);
    });
}

#[test]
fn text_is_found_in_every_documented_place_without_case() {
    with_client(async |mut client| {
        // Code, alias, name, category and summary.
        assert_eq!(found(&mut client, &[], "consent_csrf_INVALID").await, ["CONSENT_CSRF_INVALID"]);
        assert_eq!(found(&mut client, &[], "100121").await, ["10012"]);
        let synchronizing = found(&mut client, &[EventFamily::CmsAudit], "SYNCHRONIZE").await;
        assert!(synchronizing.contains(&"20151".to_owned()), "{synchronizing:?}");
        assert_eq!(found(&mut client, &[EventFamily::CmsNotification], "workflow").await, ["40006"]);
        assert_eq!(found(&mut client, &[], "blocked device; ").await, Vec::<String>::new());
        let unlock = found(&mut client, &[], "challenge of a blocked device").await;
        assert_eq!(unlock, ["20011"], "a summary");
        // Another family's code of the same number is not confused with it.
        assert_eq!(found(&mut client, &[EventFamily::CmsNotification], "20011").await, Vec::<String>::new());
    });
}

#[test]
fn pages_have_the_asked_size_and_join_to_the_whole() {
    with_client(async |mut client| {
        let whole = types::all(&mut client, &[], 1000).await;
        for size in [1, 7, 100, 509, 510] {
            assert_eq!(types::all(&mut client, &[], size).await, whole, "pages of {size}");
        }
        // 0 is 100, and more than 1000 is 1000.
        let (first, token, total) = list(&mut client, ListEventTypesRequest::default()).await;
        assert_eq!((first.len(), token.is_empty(), total), (100, false, 510));
        let over = ListEventTypesRequest { page_size: i32::MAX, ..ListEventTypesRequest::default() };
        let (all, token, _) = list(&mut client, over).await;
        assert_eq!((all.len(), token.as_str()), (510, ""));
        let nothing =
            ListEventTypesRequest { text: "no such text".to_owned(), ..ListEventTypesRequest::default() };
        assert_eq!(list(&mut client, nothing).await, (Vec::new(), String::new(), 0));
    });
}

#[test]
fn a_page_holds_at_most_1000_types() {
    let store = TestStore::new(Kind::Sqlite);
    let mut site = String::new();
    for number in 0..1000 {
        site.push_str(&format!(
            "[[token_server.event]]\ncode = \"SITE_{number}\"\ncategory = \"Site\"\nsummary = \"One.\"\noutcome = \"success\"\n"
        ));
    }
    let path = store.folder.path().join("site.toml");
    std::fs::write(&path, site).expect("a file");
    let server = Server::start_with(&store, &["--catalog", &path.display().to_string()]);
    block_on(async {
        let over = ListEventTypesRequest { page_size: 1001, ..ListEventTypesRequest::default() };
        let (page, token, total) = list(&mut server.catalog().await, over).await;
        assert_eq!((page.len(), token.is_empty(), total), (1000, false, 1510));
    });
}

#[test]
fn what_is_no_request_is_refused() {
    with_client(async |mut client| {
        let with = |change: fn(&mut ListEventTypesRequest)| {
            let mut request = ListEventTypesRequest::default();
            change(&mut request);
            request
        };
        let cases = [
            (with(|it| it.page_size = -1), "INVALID_PAGE_SIZE", "page_size"),
            (with(|it| it.page_token = "nonsense".to_owned()), "INVALID_PAGE_TOKEN", "page_token"),
            (with(|it| it.page_token = "é".to_owned()), "INVALID_PAGE_TOKEN", "page_token"),
            (with(|it| it.families = vec![1, 0]), "INVALID_FAMILY", "families[1]"),
            (with(|it| it.families = vec![77]), "INVALID_FAMILY", "families[0]"),
        ];
        for (request, reason, field) in cases {
            let status = client.list_event_types(request.clone()).await.expect_err("refused");
            let expected = (Code::InvalidArgument, reason.to_owned(), vec![field.to_owned()]);
            assert_eq!(refusal(&status), expected, "{request:?}");
        }
    });
}

#[test]
fn a_token_is_good_for_its_own_filter_only() {
    with_client(async |mut client| {
        let request = ListEventTypesRequest {
            text: "token".to_owned(),
            page_size: 5,
            ..ListEventTypesRequest::default()
        };
        let (_, token, _) = list(&mut client, request.clone()).await;
        let same = ListEventTypesRequest { page_token: token.clone(), page_size: 9, ..request.clone() };
        assert_eq!(list(&mut client, same).await.0.len(), 9, "the size of a page may change");
        let others = [
            ListEventTypesRequest { text: "key".to_owned(), page_token: token.clone(), ..request.clone() },
            ListEventTypesRequest { families: vec![4], page_token: token, ..request },
        ];
        for other in others {
            let status = client.list_event_types(other).await.expect_err("refused");
            assert_eq!(refusal(&status).1, "INVALID_PAGE_TOKEN");
        }
    });
}

#[test]
fn a_type_is_found_by_code_alias_and_spelling() {
    with_client(async |mut client| {
        let cases = [
            (EventFamily::CmsNotification, "100121", "10012"),
            (EventFamily::CmsNotification, " 10012 ", "10012"),
            (EventFamily::TokenServer, "consent given", "CONSENT_GIVEN"),
            (EventFamily::AsAudit, "createUser", "createUser"),
            (EventFamily::CmsAudit, "20002", "20002"),
        ];
        for (family, asked, code) in cases {
            let found = types::get(&mut client, family, asked).await.expect("a type");
            assert_eq!((found.family(), found.code.as_str()), (family, code));
        }
        // One number, two events.
        let names = [EventFamily::CmsAudit, EventFamily::CmsNotification].map(|family| (family, "20002"));
        let mut found = Vec::new();
        for (family, code) in names {
            found.push(types::get(&mut client, family, code).await.expect("a type").name);
        }
        assert_eq!(found, ["RequestCredential", "CertRevoke"]);
    });
}

#[test]
fn an_unknown_type_is_not_found_and_the_nearest_are_named() {
    with_client(async |mut client| {
        let cases = [
            (EventFamily::CmsAudit, "20152", "20151 (Synchronize)"),
            (EventFamily::AsAudit, "CreateUser", "createUser"),
            (EventFamily::TokenServer, "CONSENT_GIVVEN", "CONSENT_GIVEN"),
            (EventFamily::CmsNotification, "CardIsuance", "10001 (CardIssuance)"),
        ];
        for (family, asked, nearest) in cases {
            let status = types::get(&mut client, family, asked).await.expect_err("refused");
            assert_eq!(refusal(&status), (Code::NotFound, "EVENT_TYPE_NOT_FOUND".to_owned(), Vec::new()));
            let details = status.get_error_details();
            let named = details.error_info().expect("ErrorInfo").metadata.get("nearest").cloned();
            assert!(named.as_ref().is_some_and(|named| named.contains(nearest)), "{asked}: {named:?}");
            assert!(status.message().contains(nearest), "{}", status.message());
        }
        let elsewhere = types::get(&mut client, EventFamily::CmsAudit, "10012").await.expect_err("refused");
        assert!(
            elsewhere.message().contains("cms_notification (SynchronizeDevice)"),
            "{}",
            elsewhere.message()
        );
        let none = types::get(&mut client, EventFamily::Unspecified, "20002").await.expect_err("refused");
        let expected = (Code::InvalidArgument, "INVALID_FAMILY".to_owned(), vec!["family".to_owned()]);
        assert_eq!(refusal(&none), expected);
    });
}
