//! Log lines on their way out. Called by: `telemetry::otlp`.
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::{
    tonic::collector::logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    transform::{common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{LogBatch, LogProcessor, SdkLogRecord},
};
use tonic::transport::Channel;

use super::{
    outlet::{Outlet, PAUSES},
    queue::{Queue, Waiting},
};

/// Lines that wait: 2,048 of some 2 KiB, 4 MiB.
pub(super) const MOST_WAITING: usize = 2_048;

/// Takes lines as they are logged.
#[derive(Debug)]
pub(super) struct Logged(pub(super) Queue<SdkLogRecord>);

impl LogProcessor for Logged {
    fn emit(&self, line: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        self.0.put(line.clone());
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends them until it is stopped.
pub(super) async fn send(
    mut waiting: Waiting<SdkLogRecord>,
    channel: Channel,
    mut outlet: Outlet,
    resource: &ResourceAttributesWithSchema,
) {
    let client = LogsServiceClient::new(channel);
    let scope = InstrumentationScope::builder("chancery").build();
    let stop = outlet.stop.clone();
    while let Some(lines) = waiting.next(&stop).await {
        let pairs: Vec<_> = lines.iter().map(|line| (line, &scope)).collect();
        let resource_logs = group_logs_by_resource_and_scope(&LogBatch::new(&pairs), resource);
        let export = async |request| {
            let answer = client.clone().export(request).await?.into_inner();
            Ok(answer.partial_success.map_or(0, |partial| partial.rejected_log_records))
        };
        let request = ExportLogsServiceRequest { resource_logs };
        outlet.send(request, lines.len(), &PAUSES, export).await;
    }
}
