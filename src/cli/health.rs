//! `chancery health`: asks a server how it is, for a container's health check.
//!
//! Does: one request to the admin port, its answer on standard output, exit code 0 or 1, or 2 for an address that
//! is none. Does not: need a shell or a client for HTTP in the image. Called by: `cli::run`.
use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::Args;

use super::{
    Exit,
    connect::{self, root_cause},
    failure::Failure,
    output::say,
};

/// Where a server of the same surroundings, such as those of a container, has its admin port.
const LISTEN: &str = "CHANCERY_ADMIN_LISTEN";
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// `chancery health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The admin port of the server [default: that of CHANCERY_ADMIN_LISTEN, or http://127.0.0.1:9464].
    #[arg(long, value_name = "URL", env = "CHANCERY_ADMIN", value_parser = address)]
    admin: Option<String>,
    /// Ask whether it takes calls (/readyz), and not only whether its process goes on (/livez).
    #[arg(long)]
    ready: bool,
}

/// Runs the command.
pub async fn run(args: HealthArgs) -> Result<Exit, Failure> {
    let admin = match args.admin {
        Some(admin) => admin,
        None => listening()?,
    };
    let path = if args.ready { "readyz" } else { "livez" };
    let url = format!("{}/{path}", admin.trim_end_matches('/'));
    match ask(&url).await {
        Ok((good, body)) => {
            std::io::stdout().write_all(body.as_bytes())?;
            Ok(if good { Exit::Done } else { Exit::Error })
        }
        Err(error) => {
            say(&format!("chancery: cannot reach {url}: {}", told(&error)));
            Ok(Exit::Error)
        }
    }
}

/// The admin port of the server that is set up by the same variables.
fn listening() -> Result<String, Failure> {
    let Some(given) = std::env::var(LISTEN).ok().filter(|text| !text.is_empty()) else {
        return Ok("http://127.0.0.1:9464".to_owned());
    };
    let mut address: SocketAddr = given
        .parse()
        .map_err(|_| Failure::Usage(format!("{LISTEN}: {given:?} is not an IP address and a port")))?;
    // Who listens on every address does so on this one.
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}"))
}

fn address(text: &str) -> Result<String, &'static str> {
    connect::url(text, "an admin URL begins with http://")
}

async fn ask(url: &str) -> reqwest::Result<(bool, String)> {
    // It is on this machine, whatever proxy leads to others.
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let answer = client?.get(url).send().await?;
    let good = answer.status().is_success();
    Ok((good, answer.text().await?))
}

/// Why there is no answer.
fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    match error.is_connect() || error.is_builder() {
        true => root_cause(error),
        // Somebody took the connection and said something else.
        false => {
            format!("the answer is not that of an admin port; gRPC has another one ({})", root_cause(error))
        }
    }
}
