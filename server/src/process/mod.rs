//! The process: command line, data directory, start, signals, stop, exit code.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | stopped as asked, everything synced |
//! | 1 | environment or configuration |
//! | 2 | an operator has to decide (foreign data, other layout) |
//! | 70 | damage found, or out of memory before anything was served |
//! | 130, 143 | stopped at once by a second signal |
//! | 134 | bug: crash report, abort |

pub(crate) mod crash;
pub(crate) mod datadir;
pub(crate) mod log;
mod notify;
mod pidfile;
pub(crate) mod point;
mod supervise;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use moon_formats::salvage::Plan;
use moon_storage::io::glommio as dma;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;
use moon_storage::recovery::{RecoveryError, salvage};

use crate::admin;
use crate::config::{self, Action, Config, ConfigError, OptionId, Value, Wanted};
use crate::net::epoll::Epoll;
use crate::net::uring::{self, Uring};
use crate::net::{Driver, listen, sys};
use crate::runtime::host;
use crate::runtime::host::DiskDriver;
use crate::service::acl;
use crate::service::pulse::Phase;
use crate::service::shared::{Facts, Listening, Shared, hex, random, unix_secs};
use crate::tls;
use datadir::DataDir;
use notify::Notify;
use pidfile::PidFile;

/// File descriptors beside those of clients: log, listeners, rings.
pub(crate) const FILES_RESERVED: u64 = 64;

const EXIT_ENVIRONMENT: u8 = 1;
const EXIT_DECISION: u8 = 2;

fn say(text: &str) {
    // A closed standard output is no reason to fail.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "moon: {text}");
}

/// Runs the server with the arguments behind the program name; returns the exit code.
pub fn run(args: &[String]) -> u8 {
    #[cfg(feature = "failpoints")]
    moon_storage::failpoint::arm(&std::env::var("MOON_FAILPOINT").unwrap_or_default());
    let (action, config) = match config::parse_args(args) {
        Ok(parsed) => parsed,
        Err(errors) => return refuse(&errors),
    };
    match action {
        Action::Help => say(&config::help()),
        Action::Version => say(&version()),
        Action::SampleConfig => say(&config::sample_file()),
        Action::PrintConfig => say(&config.print()),
        Action::CheckConfig => return check(&config),
        Action::Run => match config::wanted(&config) {
            Ok(Some(wanted)) if wanted.dry_run => return point::dry_run(&config, &wanted),
            Err(errors) if config.bool(OptionId::RecoveryDryRun) => {
                errors.iter().for_each(|error| complain(error));
                return EXIT_ENVIRONMENT;
            }
            _ => return serve(config),
        },
    }
    0
}

fn refuse(errors: &[ConfigError]) -> u8 {
    for error in errors {
        complain(&error.to_string());
    }
    EXIT_ENVIRONMENT
}

fn version() -> String {
    format!(
        "moon server v={} commit={} target={}-{} drivers=uring,epoll,posix,dma wal={}\n",
        crate::VERSION,
        crate::COMMIT,
        std::env::consts::ARCH,
        std::env::consts::OS,
        moon_formats::wal::VERSION
    )
}

/// What parsing alone cannot see.
fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let shards = config.int(OptionId::Shards);
    if shards > 1 {
        problems.push(format!("shards {shards}: only one shard is supported by this version"));
    }
    if !config.text(OptionId::Salvage).is_empty() && !config.bool(OptionId::AppendOnly) {
        problems.push("salvage is about the log, and appendonly is no".into());
    }
    let no_port = [OptionId::Port, OptionId::TlsPort].iter().all(|id| config.int(*id) == 0);
    if no_port && config.text(OptionId::UnixSocket).is_empty() {
        problems
            .push("nothing to listen on: port and tls-port are 0, unixsocket is not set".into());
    }
    problems.extend(config::wanted(config).err().unwrap_or_default());
    if let Err(e) = tls::Ends::load(config) {
        problems.push(format!("TLS: {e}"));
    }
    let users = acl::configured(config);
    if let Err(e) = users.and_then(|text| acl::initial(config, text.as_ref())) {
        problems.push(e);
    }
    problems
}

fn check(config: &Config) -> u8 {
    let mut code = 0;
    for problem in problems(config) {
        complain(&problem);
        code = EXIT_ENVIRONMENT;
    }
    let (dir, note) = datadir::choose(config);
    let databases = config.int(OptionId::Databases) as u16;
    let looked = datadir::inspect(&dir).and_then(|()| datadir::check_marker(&dir, databases));
    if let Err(e) = looked {
        complain(&e.to_string());
        code = EXIT_ENVIRONMENT;
    }
    for note in config.notes.iter().chain(&note) {
        say(&format!("note: {note}\n"));
    }
    say(&format!("dir {}\n", dir.display()));
    for &id in config::table::IDS {
        if config.is_set(id) {
            say(&format!("{} {} # {}\n", id.opt().name, config.shown(id), config.origin(id)));
        }
    }
    code
}

/// Which driver runs, and why.
fn choose_driver(config: &Config) -> Result<(&'static str, String), String> {
    let wanted = config.text(OptionId::IoDriver);
    if wanted == "epoll" {
        return Ok((Epoll::NAME, "io-driver epoll".into()));
    }
    if std::env::var_os("MOON_NO_URING").is_some_and(|v| v == "1") {
        return Ok((Epoll::NAME, "MOON_NO_URING=1".into()));
    }
    match uring::probe() {
        None => Ok((Uring::NAME, "io_uring works".into())),
        Some(why) if wanted == "uring" => Err(format!("io-driver uring: {why}")),
        Some(why) => Ok((Epoll::NAME, why)),
    }
}

/// Which driver the files use, and why. What the host lacks is no reason to stop: both
/// drivers keep the same promises.
fn choose_disk(config: &Config, dir: &Path) -> (DiskDriver, String) {
    match config.text(OptionId::DiskDriver) {
        "posix" => return (DiskDriver::Posix, "disk-driver posix".into()),
        // The figures are in docs/adr/0006.
        "auto" => return (DiskDriver::Posix, "commits a group sooner than dma".into()),
        _ => {}
    }
    let lack = match dma::probe(dir) {
        Ok(caps) if caps.direct_io => return (DiskDriver::Dma, "disk-driver dma".into()),
        Ok(_) => "the file system of the data directory has no direct I/O".into(),
        Err(reason) => reason.to_string(),
    };
    tracing::warn!("disk-driver dma is not possible, posix takes its place: {lack}");
    (DiskDriver::Posix, lack)
}

fn serve(mut config: Config) -> u8 {
    if let Err(e) =
        log::install(config.text(OptionId::LogFile), config.text(OptionId::LogFormat) == "json")
    {
        complain(&e.to_string());
        return EXIT_ENVIRONMENT;
    }
    log::set_level(config.text(OptionId::LogLevel));
    let problems = problems(&config);
    for problem in &problems {
        tracing::error!("{problem}");
    }
    if !problems.is_empty() {
        return EXIT_ENVIRONMENT;
    }
    let wanted = config::wanted(&config).ok().flatten();
    let (path, note) = datadir::choose(&config);
    let dir = match &wanted {
        None => datadir::open(&path),
        Some(wanted) if wanted.only_looks() => datadir::look(&path),
        // What is to be recovered is there.
        Some(_) => datadir::look(&path)
            .and_then(|dir| datadir::known(&dir, config.int(OptionId::Databases) as u16))
            .and_then(|_| datadir::open(&path)),
    };
    let dir = match dir {
        Ok(dir) => dir,
        Err(e) => {
            tracing::error!("{e}");
            return e.exit_code();
        }
    };
    config.resolve(OptionId::Dir, Value::Text(dir.path.display().to_string()));
    tracing::info!(version = crate::VERSION, dir = %dir.path.display(), "moon starts, PID: {}", std::process::id());
    for text in note.iter().chain(&dir.warnings) {
        tracing::warn!("data directory: {text}");
    }
    for note in &config.notes {
        tracing::debug!("{note}");
    }
    if !config.notes.is_empty() {
        tracing::info!(
            count = config.notes.len(),
            "options accepted without effect; loglevel verbose lists them"
        );
    }
    match start(config, dir, wanted) {
        Ok(code) => code,
        Err(e) => {
            tracing::error!("{e}");
            EXIT_ENVIRONMENT
        }
    }
}

/// Opens everything, runs the shard on a thread of its own and waits for its end.
fn start(mut config: Config, dir: DataDir, wanted: Option<Wanted>) -> io::Result<u8> {
    sys::block_signals()?;
    crash::install();
    let notify = Notify::from_env(&config);
    let _pid_file = PidFile::write(config.text(OptionId::PidFile));
    fit_maxclients(&mut config)?;
    let databases = config.int(OptionId::Databases) as u16;
    let marker = match &wanted {
        Some(wanted) if wanted.only_looks() => datadir::known(&dir, databases),
        _ => datadir::marker(&dir, databases),
    };
    let marker = match marker {
        Ok(marker) => marker,
        Err(e) => {
            tracing::error!("{e}");
            return Ok(EXIT_DECISION);
        }
    };
    let point = match wanted.map(|wanted| point::decide(&config, &wanted, &dir.path)).transpose() {
        Ok(point) => point,
        Err(e) => {
            tracing::error!("{e}");
            return Ok(e.exit_code());
        }
    };
    let salvage = match read_salvage_plan(&config, &dir) {
        Ok(plan) => plan,
        Err(e) => {
            tracing::error!("{e}");
            return Ok(e.exit_code());
        }
    };
    let (driver, driver_why) = choose_driver(&config).map_err(io::Error::other)?;
    let (disk, disk_why) = choose_disk(&config, &dir.path);
    let listeners = listen::open(&config)?;
    let admin_listeners = listen::open_admin(&config)?;
    let mut random_bytes = [0; 28];
    random(&mut random_bytes)?;
    let seed = u64::from_le_bytes(std::array::from_fn(|i| random_bytes[20 + i]));
    let users = acl::configured(&config).map_err(io::Error::other)?;
    acl::initial(&config, users.as_ref()).map_err(io::Error::other)?;
    let facts = Facts {
        run_id: hex(&random_bytes[..20]),
        dir: dir.path.clone(),
        uuid: marker.uuid,
        executable: std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_default(),
        driver,
        driver_why,
        disk: disk.name(),
        disk_why,
        users,
        point,
        salvage,
        started: Instant::now(),
        started_unix_secs: unix_secs(),
    };
    let names: Vec<&str> = listeners.iter().map(|l| l.name.as_str()).collect();
    let admin_names: Vec<&str> = admin_listeners.iter().map(|l| l.name.as_str()).collect();
    tracing::info!(
        shards = marker.shards,
        driver,
        why = facts.driver_why,
        disk = facts.disk,
        disk_why = facts.disk_why,
        appendonly = config.bool(OptionId::AppendOnly),
        appendfsync = config.text(OptionId::AppendFsync),
        listen = names.join(","),
        admin = admin_names.join(","),
        "listening, recovering"
    );
    let entries = config.int(OptionId::UringEntries) as u32;
    let listening =
        |l: &listen::Listener| Listening { name: l.name.clone(), kind: l.kind, is_open: true };
    let listening = listeners.iter().map(listening).collect();
    let tls = tls::Ends::load(&config).map_err(|e| io::Error::other(format!("TLS: {e}")))?;
    let shared = Shared::new(config, listening, tls, facts, Arc::new(sys::eventfd()?));
    if !admin_listeners.is_empty() {
        admin::start(admin_listeners, shared.clone())?;
    }
    let (for_thread, for_end) = (shared.clone(), shared.clone());
    let thread = std::thread::Builder::new().name("shard-0".into()).spawn(move || {
        let end = if driver == Uring::NAME {
            host::run(|| Uring::new(entries), disk, for_thread, listeners, seed)
        } else {
            host::run(Epoll::new, disk, for_thread, listeners, seed)
        };
        for_end.pulse.set_phase(Phase::Ended);
        sys::wake_main();
        end
    })?;
    let code = supervise::supervise(&shared, thread, notify);
    shared.with_config(listen::unlink);
    Ok(code)
}

/// The plan that `--salvage` names.
fn read_salvage_plan(config: &Config, dir: &DataDir) -> Result<Option<Plan>, RecoveryError> {
    let name = config.text(OptionId::Salvage);
    if name.is_empty() {
        return Ok(None);
    }
    let path = Path::new(name);
    let rt = LocalRuntime::new().map_err(|e| RecoveryError::Io(dir.path.clone(), e))?;
    let plan = rt.block_on(salvage::read_plan(&PosixDisk::new(), path));
    plan.map(Some).map_err(RecoveryError::Salvage)
}

/// Raises the limit of open files; lowers `maxclients` if that does not go far enough.
fn fit_maxclients(config: &mut Config) -> io::Result<()> {
    let clients = config.int(OptionId::MaxClients);
    let want = clients as u64 + FILES_RESERVED;
    let got = sys::raise_nofile(want)?;
    if got < want {
        let fits = got.saturating_sub(FILES_RESERVED).max(1) as i64;
        tracing::warn!(asked = clients, fits, "maxclients lowered to the limit of open files");
        config.resolve(OptionId::MaxClients, Value::Int(fits));
    }
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if let Ok(limit) = somaxconn.trim().parse::<i64>()
        && limit < config.int(OptionId::TcpBacklog)
    {
        tracing::warn!(limit, "tcp-backlog is over net.core.somaxconn, which counts");
    }
    Ok(())
}
