//! `chancery doctor`: looks over what a server stands on, with the settings of that server, and says what to do. It changes
//! nothing: a temporary file in the folder of a SQLite database is all that it writes, and removes.
mod files;
mod machine;
mod ports;

use std::io::{self, Write};

use serde::Serialize;

use super::{AppError, callers};
use crate::{
    clock::{Clock as _, SystemClock},
    config::{ConfigError, DoctorArgs, ServeConfig},
    store::{self, Finding, Standing},
};

/// A finding as a program reads it.
#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    standing: &'a str,
    found: &'a str,
    remedy: Option<&'a str>,
}

/// Runs every check and prints what was found, a line each. Whether nothing is bad.
///
/// # Errors
/// A setting cannot be used, or nothing can be printed.
pub async fn doctor(args: DoctorArgs) -> Result<bool, AppError> {
    let config = args.serve.resolve()?;
    let findings = examine(config).await;
    let mut out = io::stdout().lock();
    let printed = match args.json {
        true => print_json(&mut out, &findings),
        false => print(&mut out, &findings),
    };
    match printed {
        // Who has read enough has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        printed => printed.map_err(AppError::Print)?,
    }
    Ok(findings.iter().all(|finding| finding.standing != Standing::Bad))
}

async fn examine(config: ServeConfig) -> Vec<Finding> {
    let clock = SystemClock;
    let mut findings = Vec::new();
    let store = store::examine(&config.store, config.require_sync_replica, &clock).await;
    findings.extend(store.findings);
    findings.extend(machine::disk(&config, store.reusable));
    let access = config.access.read();
    let issuer = callers::issuer(config.jwt.clone(), true).await;
    let only = match (&access, &issuer) {
        (Ok(access), Ok(issuer)) => {
            callers::certificates_only(access, issuer.as_ref().map(|issuer| &issuer.jwt))
        }
        _ => false,
    };
    findings.push(files::access(&config, access.as_ref().err()));
    findings.extend(files::jwt(&config, &issuer));
    findings.push(files::catalog(&config));
    findings.extend(files::certificates(&config, only, clock.now_micros().div_euclid(1_000_000)));
    findings.extend(files::signing(&config));
    findings.extend(ports::ports(&config).await);
    findings.push(machine::open_files(&config));
    findings
}

const fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "ok",
        Standing::Doubtful => "warn",
        Standing::Bad => "FAIL",
    }
}

fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for Finding { check, standing, found, remedy } in findings {
        let remedy = remedy.as_ref().map(|remedy| format!(" -> {remedy}")).unwrap_or_default();
        let line = format!("{:<5} {check:<12} {found}{remedy}", name(*standing));
        // What a database says may have several lines.
        writeln!(out, "{}", line.replace(['\n', '\r'], " "))?;
    }
    Ok(())
}

fn print_json(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    let line = |finding: &Finding| {
        serde_json::to_string(&Line {
            check: finding.check,
            standing: name(finding.standing),
            found: &finding.found,
            remedy: finding.remedy.as_deref(),
        })
    };
    for finding in findings {
        writeln!(out, "{}", line(finding)?)?;
    }
    Ok(())
}

/// What is wrong with a setting, as a finding.
fn wrong(check: &'static str, error: &ConfigError) -> Finding {
    Finding::bad(check, error.to_string(), "correct it: `chancery serve` would not start")
}
