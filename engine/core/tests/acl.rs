//! Goal: rules mean what they say, a description makes the same user again, and whatever the rules,
//! a user who lacks a right is refused.

use moon_engine::acl::{Denial, Reason, Users, check};
use moon_engine::args::Args;
use moon_engine::command::CommandTable;
use moon_engine::commands::GROUPS;
use proptest::prelude::*;
use std::sync::OnceLock;

fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(|| CommandTable::new(GROUPS))
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

/// Whether `user` may run the line.
fn ask(users: &Users, user: &str, line: &str) -> Result<(), Reason> {
    let words = words(line);
    let args = Args::new(&words);
    let command = table().resolve(args).unwrap_or_else(|e| panic!("{line}: {}", e.as_str()));
    let user = users.get(user.as_bytes()).unwrap().borrow();
    check(&user, command, args, 0).map_err(|Denial { reason, .. }| reason)
}

fn with(rules: &str) -> Users {
    let mut users = Users::new(table());
    users.set(b"u", &words(rules)).unwrap();
    users
}

#[test]
fn rules_and_what_they_allow() {
    use Reason::{Command, Database, Key, Pattern};
    for (rules, line, want) in [
        ("+@all ~*", "GET k", Ok(())),
        ("+get ~*", "GET k", Ok(())),
        ("+get ~*", "SET k v", Err(Command)),
        ("+@all -@write ~*", "SET k v", Err(Command)),
        ("+@all -@write +set ~*", "SET k v", Ok(())),
        ("+@read ~a:*", "GET a:1", Ok(())),
        ("+@read ~a:*", "MGET a:1 b:1", Err(Key)),
        ("+@read %W~*", "GET k", Err(Key)),
        ("+@read %R~k", "GET k", Ok(())),
        ("+@all %R~s %W~d", "COPY s d", Ok(())),
        ("+@all %R~s %W~d", "COPY d s", Err(Key)),
        ("+@all %R~s %W~d", "ZUNIONSTORE d 1 s", Ok(())),
        ("+@all %R~s %W~d", "LMOVE s d LEFT LEFT", Err(Key)),
        ("+@all %RW~s %W~d", "LMOVE s d LEFT LEFT", Ok(())),
        ("+@all ~k", "SORT k BY w* ", Err(Pattern)),
        ("+@all ~k", "SORT k BY nosort", Ok(())),
        ("+@all ~k", "SORT k GET #", Err(Pattern)),
        ("+@all ~k %R~*", "SORT k BY w*", Ok(())),
        ("+@all ~k", "SORT k STORE d", Err(Key)),
        ("+@all ~* db=0", "GET k", Ok(())),
        ("+@all ~* db=1,2", "GET k", Err(Database)),
        ("+@all ~* db=1,2", "DBSIZE", Err(Database)),
        ("+@all ~* db=1,2", "EVAL x 1 k", Err(Database)),
        ("+@all ~* db=1,2", "EVAL x 0", Err(Database)),
        ("+@all ~* db=1 db=2", "SELECT 2", Ok(())),
        ("+@all ~* db=1 db=2", "SELECT 0", Err(Database)),
        ("+@all ~* db=1 db=2", "SELECT x", Ok(())),
        ("+@all ~* db=0", "SELECT 1", Err(Database)),
        ("+@all ~* db=0", "MOVE k 1", Err(Database)),
        ("+@all ~* db=0,1", "MOVE k 1", Ok(())),
        ("+@all ~* db=0", "COPY k d DB 1", Err(Database)),
        ("+@all ~* db=0", "COPY k d", Ok(())),
        ("+@all ~* db=0", "SWAPDB 0 1", Err(Database)),
        ("+@all ~* db=0,1", "SWAPDB 0 1", Ok(())),
        ("+@all ~* db=0", "FLUSHDB", Ok(())),
        ("+@all ~* db=0", "FLUSHALL", Err(Database)),
        ("+@all ~* db=1", "PING", Ok(())),
        ("+@all ~* resetdbs", "GET k", Err(Database)),
        ("+@all ~* resetdbs alldbs", "GET k", Ok(())),
        ("+@all ~a db=1 (+get ~b db=0)", "GET b", Ok(())),
        ("+select|0 ~*", "SELECT 0", Ok(())),
        ("+select|0 ~*", "SELECT 1", Err(Command)),
        ("+object|freq ~*", "OBJECT FREQ k", Ok(())),
        ("+object|freq ~*", "OBJECT ENCODING k", Err(Command)),
        ("+object -object|freq ~*", "OBJECT FREQ k", Err(Command)),
        // A selector grants all of a request or nothing of it.
        ("-@all (+get ~a) (+set ~b)", "GET a", Ok(())),
        ("-@all (+get ~a) (+set ~b)", "SET b 1", Ok(())),
        ("-@all (+get ~a) (+set ~b)", "GET b", Err(Key)),
        ("-@all (+mget ~a) (+mget ~b)", "MGET a b", Err(Key)),
        ("+get ~a (+get ~b) clearselectors", "GET b", Err(Key)),
    ] {
        assert_eq!(ask(&with(rules), "u", line.trim_end()), want, "{rules}: {line}");
    }
}

#[test]
fn a_wrong_rule_changes_nothing() {
    let mut users = with("on +get ~k");
    let before = users.get(b"u").unwrap().borrow().describe();
    for (rules, why) in [
        ("+set +nonsense", "Unknown command or category name in ACL"),
        ("+set +@nonsense", "Unknown command or category name in ACL"),
        ("+set nonsense", "Syntax error"),
        ("+set %X~k", "Syntax error"),
        ("+object|freq|x", "Allowing first-arg of a subcommand is not supported"),
        ("+select|", "Syntax error"),
        ("~* ~k", "Adding a pattern after the * pattern"),
        ("&* &k", "Adding a pattern after the * pattern"),
        ("<none", "The password you are trying to remove from the user does not exist"),
        ("#12", "The password hash must be exactly 64 characters"),
        ("(~k))", "Syntax error"),
        ("(+get", "Unmatched parenthesis in acl selector starting at '(+get'."),
    ] {
        let error = users.set(b"u", &words(rules)).err().unwrap();
        assert!(error.contains(why), "{rules}: {error}");
        assert_eq!(users.get(b"u").unwrap().borrow().describe(), before, "{rules}");
    }
    assert!(users.set(b"new", &words("+nonsense")).is_err());
    assert!(users.get(b"new").is_none());
}

#[test]
fn passwords() {
    let mut users = with("on >one >two");
    assert!(users.authenticate(b"u", b"one").is_some());
    assert!(users.authenticate(b"u", b"three").is_none());
    assert!(users.authenticate(b"nobody", b"one").is_none());
    users.set(b"u", &words("<one")).unwrap();
    assert!(users.authenticate(b"u", b"one").is_none());
    users.set(b"u", &words("off")).unwrap();
    assert!(users.authenticate(b"u", b"two").is_none());
    users.set(b"u", &words("on nopass")).unwrap();
    assert!(users.authenticate(b"u", b"anything").is_some());
    let line = with("on >secret").get(b"u").unwrap().borrow().line();
    assert!(!String::from_utf8(line).unwrap().contains("secret"));
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let mut users = with("on +get ~k");
    let saved = users.save();
    for (text, why) in [
        ("user a on\nuser a off", "f:2: Duplicate user 'a' found. "),
        ("user a +nonsense", "f:1: Error in applying operation '+nonsense': Unknown command"),
        ("\n\nnobody a on", "f:3: should start with user keyword followed by the username"),
        ("user a (+get", "f:1: Unmatched parenthesis in selector definition"),
    ] {
        let error = users.load("f", text.as_bytes()).err().unwrap();
        assert!(error.contains(why), "{text}: {error}");
        assert_eq!(users.save(), saved, "{text}");
    }
    let held = users.get(b"u").unwrap().clone();
    let gone = users.load("f", b"user v on\nuser u on +set ~*\n").unwrap();
    assert!(gone.is_empty());
    assert_eq!(ask(&users, "u", "SET k v"), Ok(()));
    assert_eq!(held.borrow().describe(), users.get(b"u").unwrap().borrow().describe());
    assert_eq!(users.load("f", b"").unwrap().len(), 2);
    assert!(users.authenticate(b"default", b"").is_some());
}

fn rule() -> impl Strategy<Value = String> {
    let simple = prop::sample::select(vec![
        "on",
        "off",
        "nopass",
        "resetpass",
        ">pw",
        ">other",
        "~*",
        "~a*",
        "%R~a*",
        "%W~b",
        "resetkeys",
        "&*",
        "&c*",
        "resetchannels",
        "db=0",
        "db=3,1",
        "resetdbs",
        "alldbs",
        "+@all",
        "-@all",
        "+get",
        "-get",
        "+object",
        "-object",
        "+object|freq",
        "-object|freq",
        "+select|0",
        "-select",
        "+@read",
        "-@read",
        "+@write",
        "-@write",
        "+@fast",
        "-@slow",
        "+xgroup|create",
        "-@stream",
        "+eval",
        "reset",
        "clearselectors",
        "sanitize-payload",
        "skip-sanitize-payload",
    ]);
    let inner = prop::sample::select(vec!["(+get ~k)", "(+@all -set &c)", "(~* -@all +@string)"]);
    prop_oneof![8 => simple.prop_map(str::to_string), 1 => inner.prop_map(str::to_string)]
}

const REQUESTS: [&str; 14] = [
    "GET a1",
    "GET b",
    "SET b 1",
    "MGET a1 b",
    "OBJECT FREQ a1",
    "OBJECT ENCODING a1",
    "SELECT 0",
    "SELECT 1",
    "XGROUP CREATE a1 g $",
    "XGROUP DESTROY a1 g",
    "XADD b * f v",
    "EVAL x 1 a1",
    "PING",
    "COPY a1 b",
];

proptest! {
    #[test]
    fn a_description_makes_the_same_user(rules in prop::collection::vec(rule(), 0..14)) {
        let mut users = Users::new(table());
        users.set(b"u", &[]).unwrap();
        for rule in &rules {
            // Some do not hold where they stand; they change nothing.
            let _ = users.set(b"u", &[rule.as_bytes()]);
        }
        let text = users.save();
        let mut again = Users::new(table());
        again.load("f", &text).unwrap();
        let saved = again.save();
        prop_assert_eq!(String::from_utf8_lossy(&saved), String::from_utf8_lossy(&text));
        for line in REQUESTS {
            prop_assert_eq!(ask(&again, "u", line), ask(&users, "u", line), "{}", line);
        }
        for password in [b"pw".as_slice(), b"other", b"wrong"] {
            let there = users.authenticate(b"u", password).is_some();
            prop_assert_eq!(again.authenticate(b"u", password).is_some(), there);
        }
    }
}

const FILE: &[u8] =
    b"user default on nopass ~* &* +@all\nuser a on >pw ~k %R~r &c -@all +get +object|freq \
(~x +set) (%W~y +@list)\n# comment\nuser b off +select|0 -@write +@all -debug\n";

proptest! {
    #[test]
    fn any_file_is_taken_whole_or_refused(
        cuts in prop::collection::vec((0..FILE.len(), 0..FILE.len(), any::<u8>()), 0..6),
    ) {
        let mut text = FILE.to_vec();
        for (from, to, byte) in cuts {
            text[from] = if byte % 3 == 0 { byte } else { FILE[to] };
        }
        moon_engine::acl::hostile(&text);
    }
}
