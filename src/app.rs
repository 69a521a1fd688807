//! The composition root: the only file that sees everything. Starts a server in order (settings,
//! catalog, store, listeners), keeps its health, and ends it in order.
mod beats;
mod behind;
mod callers;
pub mod ceiling;
mod check;
mod connections;
mod disk;
mod doctor;
mod figures;
mod health;
mod owner;
mod partition;
mod port;
mod process;
mod replica;
mod running;
mod sequencers;
mod signals;
mod signing;
mod starting;
mod telling;
mod witness;

use behind::Behind;
pub use check::check;
use connections::{bound, listen};
use disk::Disk;
pub use doctor::doctor;
pub use partition::partition;
use port::Port;
use running::Running;
use sequencers::Sequencers;
use starting::{Started, open};
pub use witness::witness;

use std::{path::PathBuf, sync::Arc, time::Duration};

use signals::Signals;
use telling::Telling;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic_health::server::HealthReporter;

use crate::{
    auth::Authenticator,
    catalog::{Catalog, CatalogError},
    clock::{Clock, SystemClock},
    config::{ConfigError, MigrateArgs, Origins, ServeArgs, ServeConfig},
    grpc::{audit::Audit, catalog::CatalogRpc, query::Queries},
    index,
    ingest::{self, Ingest, allowance::Allowances, indexer::Indexer, streams::Streams},
    journal::Journal,
    proof::{recent::Recent, tiles::Tiler},
    query::{Engine, live::Live, token::Tokens},
    retention::Keeper,
    server::{self, ServeError},
    store::{self, StoreError, StoreUrl},
    telemetry::Metrics,
};

/// Between the moment health says NOT_SERVING and the moment the listener closes, so that load balancers
/// hear of it first.
const NOTICE: Duration = Duration::from_millis(200);
/// How long the last answers may take to reach clients that are slow or never hang up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a command ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A catalog file cannot be read.
    #[error("catalog file {0}: {1}")]
    CatalogFile(PathBuf, std::io::Error),
    /// A catalog file is wrong.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store cannot be used.
    #[error("store {0}: {1}")]
    Store(StoreUrl, StoreError),
    /// A port cannot be bound.
    #[error(transparent)]
    Listen(ConfigError),
    /// A signal handler cannot be installed.
    #[error("cannot handle signals: {0}")]
    Signal(std::io::Error),
    /// The sequencers' thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Threads(std::io::Error),
    /// The listener failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Nothing can be printed.
    #[error("cannot print: {0}")]
    Print(std::io::Error),
    /// The drain deadline passed, or a second signal came.
    #[error("ended before everything was drained")]
    NotDrained,
}

impl AppError {
    /// The same; of a setting, with where it came from.
    fn explained(self, origins: &Origins) -> Self {
        match self {
            Self::Config(error) => Self::Config(origins.explain(error)),
            Self::Listen(error) => Self::Listen(origins.explain(error)),
            error => error,
        }
    }

    /// The process's exit code: 2 for what the operator must change, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::CatalogFile(..) | Self::Catalog(_) => 2,
            Self::Store(..)
            | Self::Listen(..)
            | Self::Signal(_)
            | Self::Threads(_)
            | Self::Serve(_)
            | Self::Print(_)
            | Self::NotDrained => 1,
        }
    }
}

/// `chancery migrate`.
///
/// # Errors
/// The store cannot be reached or its schema is not one of this program's.
pub async fn migrate(args: MigrateArgs) -> Result<(), AppError> {
    let url = args.resolve()?;
    let failed = |error| AppError::Store(url.clone(), error);
    let store = store::connect(&url).await.map_err(failed)?;
    store.migrate().await.map_err(failed)?;
    store.ready().await.map_err(failed)?;
    store.close().await;
    println!("the schema of {url} is up to date");
    Ok(())
}

/// `chancery serve`: runs until a signal.
///
/// # Errors
/// Why the server could not start or did not end cleanly.
pub async fn serve(args: ServeArgs) -> Result<(), AppError> {
    let config = args.resolve()?;
    let origins = config.origins.clone();
    told(config).await.map_err(|error| error.explained(&origins))
}

/// Runs with everything by which the process tells of itself, to its very end.
async fn told(config: ServeConfig) -> Result<(), AppError> {
    let metrics = Arc::new(Metrics::default());
    let telling = Telling::start(&config, &metrics)?;
    let ended = run(config, metrics, &telling).await;
    telling.finish_after(&ended).await;
    ended
}

async fn run(config: ServeConfig, metrics: Arc<Metrics>, telling: &Telling) -> Result<(), AppError> {
    process::protect();
    let catalog = Arc::new(catalog(&config)?);
    let access = config.access.read()?;
    let jwt = callers::jwt(config.jwt.clone()).await?;
    let mut stop = Signals::new().map_err(AppError::Signal)?;
    let port = Port::open(config.admin_listen, &metrics)?;
    let _owned = owner::own(&config.store)?;
    let (store, mut reload) = match starting::store(&config.store, &port.readiness, &mut stop).await? {
        Started::With { store, reload } => (figures::measured(store, &config.store, &metrics), reload),
        Started::Ended => {
            port.close().await;
            tracing::info!("ended before there was a store");
            return Ok(());
        }
    };
    let failed = |error| AppError::Store(config.store.clone(), error);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The stored key wins, so every replica and every restart has the same.
    let proposed = [*clock.new_id().as_bytes(), *uuid::Uuid::from_u128(random()).as_bytes()].concat();
    let preparing = async {
        if config.require_sync_replica {
            replica::require(&store, &metrics).await;
        }
        store.shared_value("resume_token_key", &proposed).await.map_err(failed)
    };
    let Some(key) = starting::unless_ended(preparing, &mut stop, &mut reload).await else {
        port.close().await;
        tracing::info!("ended before the store could be used");
        return Ok(());
    };
    let key = key?;
    // To its end, once begun: a log whose table is half made takes no events.
    partition::ensure(store.as_ref(), &config).await?;

    let listening =
        connections::open(&config.connections, callers::certificates_only(&access, jwt.as_ref()), &metrics)?;
    let grpc = listen("listen", config.listen)?;
    let address = bound("listen", &grpc, config.listen)?;
    let sequencers = Sequencers::start().map_err(AppError::Threads)?;
    beats::runtime(&port.liveness, "sequencers", &sequencers.handle());
    let live = Arc::new(Live::new(Arc::clone(&store), Arc::clone(&clock)));
    let recent = Arc::new(Recent::default());
    let ingest = Arc::new(Ingest::new(
        Arc::clone(&store),
        Arc::clone(&live),
        Arc::clone(&recent),
        Arc::clone(&metrics),
        sequencers.handle(),
    ));
    beats::groups(&port.liveness, ingest.pulse());
    let journal = Arc::new(Journal::new(Arc::clone(&clock), Arc::clone(&metrics)));
    let writing = tokio::spawn(Arc::clone(&journal).run(Arc::clone(&ingest), Arc::clone(&catalog)));
    tokio::spawn(async {
        if let Err(error) = writing.await {
            tracing::error!(%error, "the self-audit is not written any more: start the server again");
        }
    });
    let tails = Arc::default();
    figures::begin(&metrics, &config, clock.as_ref(), &sequencers, &store, &ingest, &tails);
    let drain = CancellationToken::new();
    let readers = TaskTracker::new();
    let audit = Arc::new(Audit {
        catalog: Arc::clone(&catalog),
        ingest: Arc::clone(&ingest),
        journal: Arc::clone(&journal),
        producers: Allowances::new(config.rates, callers::rates(&access), Instant::now()),
        authenticator: Arc::new(Authenticator::new(access, jwt, Arc::new(SystemClock))),
        streams: Streams::default(),
        store: Arc::clone(&store),
        engine: Engine {
            store: Arc::clone(&store),
            live: Arc::clone(&live),
            clock: Arc::clone(&clock),
            drain: drain.clone(),
            readers: readers.clone(),
            running: Arc::default(),
            metrics: Arc::clone(&metrics),
            tails: Arc::clone(&tails),
        },
        queries: Queries::default(),
        tokens: Tokens::new(&key),
        clock,
        metrics: Arc::clone(&metrics),
        drain: drain.clone(),
        readers,
        calls: TaskTracker::new(),
    });

    let tiler = Arc::new(Tiler::new(Arc::clone(&store), recent));
    let around = signing::Around {
        store: Arc::clone(&store),
        tiler: Arc::clone(&tiler),
        metrics: Arc::clone(&metrics),
        clock: Arc::new(SystemClock),
    };
    let signing = signing::open(config.signing, around)?;
    let halted = signing.halted();
    let keeper = Arc::new(Keeper {
        store: Arc::clone(&store),
        ingest: Arc::clone(&ingest),
        catalog: Arc::clone(&catalog),
        clock: Arc::new(SystemClock),
        metrics: Arc::clone(&metrics),
        policies: config.retention,
        seen: Mutex::default(),
    });
    let indexer = Indexer::new(Arc::clone(&store), Arc::clone(&metrics), index::Shape::DEFAULT);
    let behind = Behind::start(tiler, indexer, Arc::clone(&keeper));
    let following = tokio::spawn(live.watch()).abort_handle();
    let mut watching = vec![
        tokio::spawn(ingest::silence::watch(Arc::clone(&store), Arc::new(SystemClock), Arc::clone(&metrics)))
            .abort_handle(),
        figures::refresh(Arc::clone(&store), Arc::clone(&metrics)).abort_handle(),
    ];

    let disk =
        Disk::of(&config.store, config.min_free_disk, &store, &ingest, &port.readiness, &metrics).await;
    watching.extend(disk.map(|disk| tokio::spawn(disk.watch()).abort_handle()));
    starting::done(&port.readiness);
    let health = HealthReporter::new();
    health::report(&health, &port.readiness.borrow().clone(), &halted).await;
    let mirror = health::mirror(health.clone(), port.readiness.clone(), halted.clone());
    watching.push(tokio::spawn(mirror).abort_handle());
    watching.push(tokio::spawn(health::watch(store, port.readiness.clone())).abort_handle());
    tracing::info!(
        grpc = %address,
        admin = %port.address,
        store = %config.store,
        catalog = catalog.version(),
        event_types = catalog.types().count(),
        "serving"
    );
    let signing = signing.start();
    let tls = listening.tls.clone();
    watching.extend(tls.clone().map(|tls| tokio::spawn(tls.watch()).abort_handle()));
    let serving = tokio::spawn(server::serve_grpc(
        grpc,
        listening,
        Arc::clone(&audit),
        CatalogRpc { catalog },
        keeper,
        health.clone(),
        drain,
    ));
    let access = config.access;
    let mut running =
        Running { port, audit, access, tls, health, halted, behind, signing, watching, following, serving };
    if reload {
        running.reload().await;
    }
    running.serve(&mut stop).await?;
    let until = Instant::now() + config.drain;
    running.drain(until, &mut stop).await?;
    tokio::select! {
        () = telling.finish(until.saturating_duration_since(Instant::now())) => {}
        () = stop.end() => {}
    }
    Ok(())
}

/// 128 random bits from the operating system.
#[expect(clippy::disallowed_methods, reason = "a key must not come from a clock")]
fn random() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

/// The seed of a signing key, from the operating system.
///
/// # Errors
/// The system has no randomness to give.
pub fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(seed)
}

fn catalog(config: &ServeConfig) -> Result<Catalog, AppError> {
    let mut files = Vec::new();
    for path in &config.catalog {
        let text =
            std::fs::read_to_string(path).map_err(|error| AppError::CatalogFile(path.clone(), error))?;
        files.push((path.display().to_string(), text));
    }
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Ok(Catalog::load(files, config.accept_unknown.clone())?)
}
