//! `chancery bench query`: how fast a server streams.
//!
//! Does: count messages and bytes as they arrive, undecoded; only the last one, the summary, is read.
use bytes::Bytes;
use clap::Args;
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::{Request, Status, client::Grpc};

use super::{
    raw::{Frame, RawCodec},
    report::{Report, ReportArgs},
};
use crate::{
    cli::{
        ambient,
        connect::{ConnectArgs, DECODE_LIMIT},
        exit::Exit,
        failure::Failure,
        filter::FilterArgs,
    },
    proto::v1::{QueryRequest, QueryResponse, query_response::Payload},
};

/// Flags of `chancery bench query`.
#[derive(Args, Clone, Debug)]
pub struct BenchQueryArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// At most this many events; 0 for all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: u64,
}

/// Runs the command.
pub async fn run(args: BenchQueryArgs) -> Result<Exit, Failure> {
    let request = QueryRequest {
        log: args.filter.log.clone(),
        filter: Some(args.filter.filter(ambient::now())?),
        r#where: args.filter.expression()?,
        limit: args.limit,
        ..QueryRequest::default()
    };
    let connection = args.connect.open().await?;
    let mut client = Grpc::new(connection.service()).max_decoding_message_size(DECODE_LIMIT);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;

    let start = ambient::start();
    let request = Request::new(Frame::from(Bytes::from(request.encode_to_vec())));
    let path = PathAndQuery::from_static("/chancery.v1.AuditService/Query");
    let mut stream = client.server_streaming(request, path, RawCodec).await?.into_inner();
    let (mut messages, mut bytes, mut last, mut first_after) = (0_u64, 0_u64, Bytes::new(), None);
    while let Some(message) = stream.message().await? {
        first_after.get_or_insert_with(|| start.elapsed());
        messages += 1;
        bytes += message.len() as u64;
        last = message;
    }
    let elapsed = start.elapsed();

    let last = QueryResponse::decode(last).map_err(|error| Status::internal(error.to_string()))?;
    let Some(Payload::Summary(summary)) = last.payload else {
        return Err(Failure::BrokenOff(format!(
            "the stream ended without a summary after {messages} messages"
        )));
    };
    let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
    let mut report = Report::default();
    report.number("events_per_second", summary.returned as f64 / seconds, 0);
    report.number("mb_per_second", bytes as f64 / 1e6 / seconds, 1);
    report.number("first_event_ms", first_after.unwrap_or_default().as_secs_f64() * 1e3, 2);
    report.set("events", summary.returned);
    report.set("scanned", summary.scanned);
    report.number("seconds", seconds, 2);
    report.print(args.report)?;
    Ok(Exit::Done)
}
