//! Users of the server: where they come from, who was denied what (ACL LOG), and what a change
//! means to connections that are open.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_engine::acl::{Context, Denial, Handle, Reason, Users};
use moon_engine::args::Args;
use moon_engine::command::Command;
use moon_engine::exec::Session;
use moon_formats::x509;

use super::host::{NOBODY, ServerHost};
use super::logins::{Origin, Verdict};
use super::pubsub::Kind;
use crate::config::{Config, OptionId};
use crate::net::Slot;
use crate::net::hub::Order;
use crate::process::datadir;

/// Equal entries within so many milliseconds are one.
const MERGE_MS: u64 = 60_000;
/// Entries that are looked at for an equal one.
const MERGE_DEPTH: usize = 10;
/// Longest file of users.
const FILE_MAX: u64 = 16 << 20;

/// Users as text: where it comes from, and one `user NAME RULE...` a line.
pub(crate) type UsersText = (String, Vec<u8>);

/// Reads the users of the configuration: those of `aclfile`, or the `user` lines of the file.
///
/// # Errors
/// The file cannot be read, or both are given.
pub(crate) fn configured(config: &Config) -> Result<Option<UsersText>, String> {
    let file = config.text(OptionId::AclFile);
    match (file.is_empty(), config.users.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Ok(Some(("configuration".into(), config.users.join("\n").into_bytes()))),
        (false, true) => read(&path(config)).map(|text| Some((file.to_string(), text))),
        (false, false) => {
            Err("users are defined both by 'user' lines and by 'aclfile'; keep one of them".into())
        }
    }
}

/// `aclfile`; a relative name is one in the data directory.
fn path(config: &Config) -> PathBuf {
    datadir::choose(config).0.join(config.text(OptionId::AclFile))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |e: String| format!("Error loading ACLs, opening file '{}': {e}", path.display());
    let len = fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if len > FILE_MAX {
        return Err(failed("it is larger than 16 MiB".into()));
    }
    fs::read(path).map_err(|e| failed(e.to_string()))
}

/// The users that a server starts with.
///
/// # Errors
/// All that is wrong in the text.
pub(crate) fn initial(config: &Config, text: Option<&UsersText>) -> Result<Users, String> {
    let mut users = Users::new(crate::commands::table());
    users.open_channels = config.text(OptionId::AclPubsubDefault) == "allchannels";
    users.set_default_password(config.text(OptionId::RequirePass).as_bytes());
    if let Some((name, text)) = text {
        let mut text = text.clone();
        let named = |line: &[u8]| line.starts_with(b"user default ") || line == b"user default";
        if config.text(OptionId::AclFile).is_empty() && !text.split(|b| *b == b'\n').any(named) {
            text.push(b'\n');
            text.extend(users.default_user().borrow().line());
        }
        users.load(name, &text)?;
    }
    Ok(users)
}

/// One line of ACL LOG.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) count: u64,
    pub(crate) reason: &'static str,
    pub(crate) context: &'static str,
    pub(crate) object: Vec<u8>,
    pub(crate) user: Vec<u8>,
    pub(crate) client: String,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

/// Denied requests, the latest first.
#[derive(Debug, Default)]
pub(crate) struct AclLog {
    pub(crate) entries: VecDeque<Entry>,
    next_id: u64,
    max: usize,
}

impl AclLog {
    /// Sets how many entries are kept; those there are go when the next one comes.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    fn add(&mut self, new: Entry) {
        let same = |e: &Entry| {
            e.reason == new.reason
                && e.context == new.context
                && e.object == new.object
                && e.user == new.user
                && new.updated_ms.abs_diff(e.updated_ms) <= MERGE_MS
        };
        let found = self.entries.iter().take(MERGE_DEPTH).position(same);
        if let Some(mut there) = found.and_then(|at| self.entries.remove(at)) {
            there.count += 1;
            there.client = new.client;
            there.updated_ms = new.updated_ms;
            self.entries.push_front(there);
            return;
        }
        self.entries.push_front(Entry { id: self.next_id, ..new });
        self.next_id += 1;
        self.entries.truncate(self.max);
    }
}

/// Part of a client's certificate that names its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateNames {
    None,
    CommonName,
    Uri,
}

impl ServerHost {
    /// The user whom the certificate of a client names, if certificates name users. Where it names
    /// nobody who may log in, that is noted and the client stays who it was.
    pub(super) fn user_of_certificate(
        &mut self,
        slot: Slot,
        certificate: Option<&[u8]>,
    ) -> Option<Handle> {
        let read = x509::decode(certificate?).ok();
        let name = match self.certificate_names {
            CertificateNames::None => return None,
            CertificateNames::CommonName => read.and_then(|c| c.common_name.ok()),
            CertificateNames::Uri => read.and_then(|c| c.uri.ok()),
        };
        let user = name.and_then(|name| self.users.get(name.as_bytes())).cloned();
        let user = user.filter(|user| user.borrow().enabled());
        match &user {
            Some(user) => {
                if let Some(client) = self.client_mut(slot) {
                    client.user = Some(user.clone());
                }
            }
            None => {
                self.stats.denied_certificates += 1;
                self.current = slot;
                let name = name.unwrap_or_default().as_bytes().to_vec();
                self.log_denied("tls-cert", Context::Toplevel, b"", name);
                self.current = NOBODY;
            }
        }
        user
    }

    /// Notes that a request was denied.
    #[cold]
    pub(super) fn note_denied(
        &mut self,
        session: &Session,
        command: &Command,
        args: Args<'_>,
        denial: Denial,
        context: Context,
    ) {
        let (reason, object) = match denial.reason {
            Reason::Command => {
                self.stats.denied_commands += 1;
                ("command", command.spec.name.as_bytes())
            }
            Reason::Key => {
                self.stats.denied_keys += 1;
                ("key", args.get(denial.at))
            }
            Reason::Channel => {
                self.stats.denied_channels += 1;
                ("channel", args.get(denial.at))
            }
            Reason::Database => {
                self.stats.denied_databases += 1;
                let object = match denial.at {
                    0 => session.db.to_string().into_bytes(),
                    at => args.get(at).to_vec(),
                };
                let user = session.user.as_ref().map(|u| u.borrow().name().to_vec());
                return self.log_denied("database", context, &object, user.unwrap_or_default());
            }
            // Redis keeps no record of it: the command itself refuses.
            Reason::Pattern => return,
        };
        if context != Context::Lua
            && !session.in_exec()
            && let Some(client) = self.client_mut(self.current)
        {
            client.last_command = command.spec.name;
        }
        let user = session.user.as_ref().map(|u| u.borrow().name().to_vec());
        self.log_denied(reason, context, object, user.unwrap_or_default());
    }

    /// Whether the current connection may try a password now; inside EXEC nobody waits.
    pub(crate) fn attempt_login(&mut self, in_multi: bool, now_ms: u64) -> Verdict {
        let slot = self.current;
        let origin = self.login_origin();
        self.logins.attempt(slot, &origin, now_ms, !in_multi)
    }

    fn login_origin(&self) -> Origin {
        self.client(self.current).map_or(Origin::Local, |c| Origin::of(&c.peer.addr))
    }

    /// Notes a login that was refused unseen.
    #[cold]
    pub(crate) fn note_refused_login(&mut self, user: &[u8], in_multi: bool) {
        let context = if in_multi { Context::Multi } else { Context::Toplevel };
        self.log_denied("auth", context, b"auth-rate-limit", user.to_vec());
    }

    /// Notes a login that failed.
    #[cold]
    pub(crate) fn note_failed_login(
        &mut self,
        command: &[u8],
        user: &[u8],
        in_multi: bool,
        now_ms: u64,
    ) {
        self.stats.auth_failures += 1;
        let origin = self.login_origin();
        self.logins.failed(origin, now_ms);
        let context = if in_multi { Context::Multi } else { Context::Toplevel };
        self.log_denied("auth", context, command, user.to_vec());
    }

    fn log_denied(&mut self, reason: &'static str, context: Context, object: &[u8], user: Vec<u8>) {
        if self.acl_log.max == 0 {
            self.acl_log.entries.clear();
            return;
        }
        let now_ms = super::shared::unix_ms();
        let mono_ms = self.shared.facts.started.elapsed().as_millis() as u64;
        let client = self.client(self.current).map(|c| c.line(mono_ms)).unwrap_or_default();
        self.acl_log.add(Entry {
            id: 0,
            count: 1,
            reason,
            context: context.name(),
            object: object.to_vec(),
            user,
            client,
            created_ms: now_ms,
            updated_ms: now_ms,
        });
    }

    /// Closes the connections of users that are gone, and those that listen to what their user may
    /// not any more: channels, and changes. True if the current one is among them.
    pub(crate) fn drop_unentitled(&mut self, gone: &[Handle]) -> bool {
        let doomed: Vec<Slot> = self
            .clients()
            .filter(|(slot, c)| {
                let Some(user) = &c.user else { return false };
                gone.iter().any(|g| Rc::ptr_eq(g, user)) || {
                    let user = user.borrow();
                    self.reads_unentitled(*slot, &user)
                        || [Kind::Channel, Kind::Pattern, Kind::Shard].into_iter().any(|kind| {
                            let is_pattern = kind == Kind::Pattern;
                            let mut topics = c.topics[kind as usize].iter();
                            topics.any(|t| !user.may_use_channel(t, is_pattern))
                        })
                }
            })
            .map(|(slot, _)| slot)
            .collect();
        let current = self.current;
        let others = doomed.iter().copied().filter(|slot| *slot != current);
        self.orders.extend(others.map(Order::Kill));
        doomed.contains(&current)
    }

    /// Replaces all users by those of `aclfile`. True if the current connection must close.
    ///
    /// # Errors
    /// What is wrong with the file; nothing has changed then.
    pub(crate) fn load_users(&mut self) -> Result<bool, String> {
        let (name, path) =
            self.shared.with_config(|c| (c.text(OptionId::AclFile).to_string(), path(c)));
        let text = read(&path)?;
        let gone = self.users.load(&name, &text)?;
        Ok(self.drop_unentitled(&gone))
    }

    /// Writes all users into `aclfile`.
    ///
    /// # Errors
    /// The file cannot be written; the old one is still there.
    pub(crate) fn save_users(&self) -> std::io::Result<()> {
        crate::config::replace_file(&self.shared.with_config(path), &self.users.save())
    }
}
