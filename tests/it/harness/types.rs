//! The catalog as a client sees it, and events built from nothing but what it says.
use chancery::proto::v1::{
    EventFamily, EventType, GetEventTypeRequest, ListEventTypesRequest,
    catalog_service_client::CatalogServiceClient,
};
use tonic::transport::Channel;

/// Every event type of these families (none: of all), read in pages of `page_size` until the token is
/// empty.
pub async fn all(
    client: &mut CatalogServiceClient<Channel>,
    families: &[EventFamily],
    page_size: i32,
) -> Vec<EventType> {
    let mut request = ListEventTypesRequest {
        families: families.iter().map(|family| *family as i32).collect(),
        page_size,
        ..ListEventTypesRequest::default()
    };
    let mut types = Vec::new();
    loop {
        let page = client.list_event_types(request.clone()).await.expect("a page").into_inner();
        assert!(page.event_types.len() <= usize::try_from(page_size).expect("a size"), "page too large");
        types.extend(page.event_types);
        if page.next_page_token.is_empty() {
            assert_eq!(types.len(), page.total_size as usize, "total_size counts all pages");
            return types;
        }
        request.page_token = page.next_page_token;
    }
}

/// One event type.
pub async fn get(
    client: &mut CatalogServiceClient<Channel>,
    family: EventFamily,
    code: &str,
) -> Result<EventType, tonic::Status> {
    let request = GetEventTypeRequest { family: family as i32, code: code.to_owned() };
    let answer = client.get_event_type(request).await?.into_inner();
    Ok(answer.event_type.expect("a type"))
}
