//! Tests of the option table, the command line and the configuration file.

use super::file::Reader;
use super::table::Kind;
use super::*;

fn args(line: &[&str]) -> Result<(Action, Config), Vec<ConfigError>> {
    parse_args(&line.iter().map(|s| s.to_string()).collect::<Vec<_>>())
}

fn text(text: &str) -> (Config, Vec<ConfigError>) {
    let mut config = Config::default();
    let mut reader = Reader::new(&mut config);
    reader.read_text("t.conf", text, 0);
    let errors = reader.finish(None);
    (config, errors)
}

#[test]
fn sample_file_is_the_defaults() {
    let uncommented: String = sample_file()
        .lines()
        .filter_map(|l| l.strip_prefix('#'))
        .filter(|l| !l.starts_with([' ', '#']))
        .map(|l| format!("{l}\n"))
        .collect();
    let (config, errors) = text(&uncommented);
    assert_eq!(errors, []);
    let default = Config::default();
    let mut real = 0;
    for &id in IDS {
        assert_eq!(config.shown(id), default.shown(id), "{}", id.opt().name);
        if id.opt().change == Change::CommandLine {
            assert!(!config.is_set(id), "{} is for no file", id.opt().name);
        } else if id.opt().effect == Effect::Real {
            assert!(config.is_set(id), "{} is missing", id.opt().name);
            real += 1;
        }
    }
    assert!(real > 20);
}

#[test]
fn the_sample_file_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/moon.conf");
    if std::env::var_os("MOON_WRITE_PAGES").is_some() {
        std::fs::write(path, sample_file()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert_eq!(file, sample_file(), "run: cargo xtask gen");
}

#[test]
fn flags_beat_the_file() {
    let dir = tempdir("flags");
    let path = dir.join("m.conf");
    std::fs::write(&path, "port 7000\ntimeout 5m # five minutes\nbind \"127.0.0.1\" ::1\n")
        .unwrap();
    let path = path.to_str().unwrap();
    let (action, config) =
        args(&[path, "--port", "7001", "--maxclients=5", "--save", "60", "1", "--save", "10", "2"])
            .unwrap();
    assert_eq!(action, Action::Run);
    assert_eq!(config.int(OptionId::Port), 7001);
    assert_eq!(config.int(OptionId::Timeout), 300);
    assert_eq!(config.words(OptionId::Bind), ["127.0.0.1", "::1"]);
    assert_eq!(config.shown(OptionId::Save), "60 1 10 2");
    assert_eq!(config.origin(OptionId::Timeout), &Origin::File(path.into(), 2));
    assert!(args(&[path, "--config", path]).is_err());
}

#[test]
fn all_errors_are_reported_with_their_place() {
    let (_, errors) =
        text("port x\nbogus 1\ntimeout 1\ntimeout 2\ndir \"a\nappendfsync sometimes\nport\n");
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    for place in ["t.conf:1", "t.conf:2", "t.conf:4", "t.conf:5", "t.conf:6", "t.conf:7"] {
        assert!(
            lines.iter().any(|l| l.starts_with(&format!("{place}: "))),
            "{place} in {lines:#?}"
        );
    }
    let (config, errors) = text("strict-config no\nbogus 1\n");
    assert_eq!(errors, []);
    assert!(config.notes[0].contains("bogus"));
    let errors = args(&["--bogus", "1", "--port", "99999", "x"]).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn unknown_options_are_notes_if_the_command_line_says_so() {
    let dir = tempdir("strict");
    let path = dir.join("m.conf");
    std::fs::write(&path, "bogus 1\nport 7000\n").unwrap();
    let path = path.to_str().unwrap();
    assert!(args(&[path]).unwrap_err()[0].what.contains("unknown option 'bogus'"));
    let (_, config) = args(&[path, "--strict-config", "no"]).unwrap();
    assert!(config.notes[0].contains("bogus"), "{:?}", config.notes);
    assert_eq!(config.int(OptionId::Port), 7000);
    std::fs::write(path, "bogus 1\nstrict-config no\n").unwrap();
    assert!(args(&[path]).is_ok());
    assert!(args(&[path, "--strict-config=yes"]).is_err());
}

/// Another value than the default, as a file would have it.
fn another(id: OptionId) -> Option<String> {
    let default = id.opt().default;
    let two = |a: &str, b: &str| if default == a { b.to_string() } else { a.to_string() };
    let number = |lo: i64, hi: i64| {
        let lo = lo.max(1);
        if default == lo.to_string() { (lo + 1).min(hi) } else { lo }.to_string()
    };
    Some(match id.opt().kind {
        Kind::Bool => two("no", "yes"),
        Kind::Int(lo, hi)
        | Kind::Memory(lo, hi)
        | Kind::Secs(lo, hi)
        | Kind::Millis(lo, hi)
        | Kind::Micros(lo, hi) => number(lo, hi),
        Kind::MemoryOrPercent(_) => "5%".into(),
        Kind::Mode => "755".into(),
        Kind::Enum(words) => (*words.iter().find(|w| **w != default)?).to_string(),
        Kind::Text => "some text".into(),
        Kind::FileName => "name".into(),
        Kind::Address => "127.0.0.2".into(),
        Kind::Words => "one two".into(),
        Kind::Master => "other.example 6379".into(),
        Kind::SavePoints => "60 7".into(),
        Kind::StopWords => "nosave now".into(),
        Kind::EventClasses => "Ex".into(),
        Kind::Percentiles => "25 75".into(),
        Kind::OutputLimits => "normal 1 2 3 slave 4 5 6 pubsub 7 8 9".into(),
    })
}

#[test]
fn every_option_goes_through_every_door() {
    let mut changed = 0;
    for &id in IDS {
        let (opt, Some(value)) = (id.opt(), another(id)) else { continue };
        let quoted = file::quote(&value, opt.kind);
        if opt.change == Change::CommandLine {
            only_on_the_command_line(id, &value);
            continue;
        }
        let (by_file, errors) = text(&format!("{} {quoted}\n", opt.name));
        assert_eq!(errors, [], "{} in a file", opt.name);
        let (_, by_flag) =
            args(&[&format!("--{}", opt.name), &value]).unwrap_or_else(|e| panic!("{e:?}"));
        let shown = by_file.shown(id);
        assert_eq!(by_flag.shown(id), shown, "{} as a flag", opt.name);
        assert_ne!(shown, Config::default().shown(id), "{}: another value", opt.name);
        assert_eq!(by_file.get(&[opt.name.as_bytes()]), [(opt.name.to_string(), shown.clone())]);
        let mut set = Config::default();
        let result = set.set(&[(opt.name.as_bytes(), value.as_bytes())], true);
        match opt.change {
            Change::Live | Change::Protected => {
                assert!(result.is_ok(), "{}: {result:?}", opt.name);
                assert_eq!(set.shown(id), shown, "{} by CONFIG SET", opt.name);
                let (again, errors) = text(&rewrite::render(&set, "# mine\n", false));
                assert_eq!(errors, [], "{} rewritten", opt.name);
                assert_eq!(again.shown(id), shown, "{} rewritten", opt.name);
                changed += 1;
            }
            Change::CommandLine => unreachable!("skipped above"),
            Change::Immutable => {
                assert!(result.is_err(), "{} is fixed at the start", opt.name);
            }
        }
    }
    assert!(changed > 80, "{changed}");
}

/// It is a flag and nothing else, and does not get into a file by CONFIG REWRITE.
fn only_on_the_command_line(id: OptionId, value: &str) {
    let name = id.opt().name;
    let (_, errors) = text(&format!("{name} \"{value}\"\n"));
    assert!(errors[0].to_string().contains("on the command line only"), "{errors:?}");
    let (_, mut config) = args(&[&format!("--{name}"), value]).unwrap();
    assert_eq!(config.shown(id), value);
    let other = config.set(&[(name.as_bytes(), id.opt().default.as_bytes())], true).unwrap_err();
    assert!(other.ends_with("is given on the command line only"), "{other}");
    assert_eq!(config.set(&[(name.as_bytes(), value.as_bytes())], true).unwrap().len(), 1);
    for all in [false, true] {
        let file = rewrite::render(&config, "# mine\n", all);
        assert!(!file.contains(&format!("\n{name} ")), "{name}");
    }
}

#[test]
fn includes_are_read_in_place_and_bounded() {
    let dir = tempdir("include");
    std::fs::write(dir.join("a.conf"), "include b-*.conf\nport 7002\n").unwrap();
    std::fs::write(dir.join("b-1.conf"), "timeout 9\n").unwrap();
    std::fs::write(dir.join("b-2.conf"), "hz 20\n").unwrap();
    let (_, config) = args(&[dir.join("a.conf").to_str().unwrap()]).unwrap();
    assert_eq!((config.int(OptionId::Timeout), config.int(OptionId::Hz)), (9, 20));
    std::fs::write(dir.join("loop.conf"), "include loop.conf\n").unwrap();
    let errors = args(&[dir.join("loop.conf").to_str().unwrap()]).unwrap_err();
    assert!(errors[0].what.contains("deeper"), "{errors:?}");
    assert!(args(&[dir.join("missing.conf").to_str().unwrap()]).is_err());
}

#[test]
fn config_set_is_all_or_none() {
    let mut config = Config::default();
    let err = config.set(&[(b"timeout", b"7"), (b"hz", b"x")], false).unwrap_err();
    assert_eq!(
        err,
        "CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer"
    );
    assert_eq!(config.int(OptionId::Timeout), 0);
    assert!(!config.is_set(OptionId::Timeout));
    assert_eq!(
        config.set(&[(b"nope", b"1")], false).unwrap_err(),
        "Unknown option or number of arguments for CONFIG SET - 'nope'"
    );
    // What is fixed at start may be set to what it is.
    let fixed = config.set(&[(b"databases", b"17")], false).unwrap_err();
    assert!(fixed.ends_with("can't set immutable config"), "{fixed}");
    assert_eq!(config.set(&[(b"databases", b"16")], false).unwrap().len(), 1);
    assert!(!config.is_set(OptionId::Databases));
    assert!(
        config
            .set(&[(b"hz", b"1"), (b"HZ", b"2")], false)
            .unwrap_err()
            .ends_with("duplicate parameter")
    );
    assert_eq!(config.set(&[(b"timeout", b"7"), (b"hz", b"9")], false).unwrap().len(), 2);
    assert_eq!(
        config.get(&[b"timeout", b"h?", b"TIMEOUT"]),
        [("timeout".to_string(), "7".to_string()), ("hz".to_string(), "9".to_string())]
    );
    assert!(config.get(&[b"*"]).len() >= TABLE.len());
    // Hidden options are found by their full name only.
    assert!(config.get(&[b"key-load-dela?"]).is_empty());
    assert_eq!(config.get(&[b"key-load-delay"]).len(), 1);
}

#[test]
fn quoting_round_trips() {
    for s in ["", "a b", "plain", "q\"uote", "back\\slash", "#no comment"] {
        let line = format!("x {}", file::quote(s, Kind::Text));
        assert_eq!(file::split_words(&line).unwrap(), ["x", s]);
    }
    assert_eq!(file::split_words(r#"a "\x41\n" 'it\'s' # c"#).unwrap(), ["a", "A\n", "it's"]);
    for bad in ["\"a", "'a", "\"a\"b", "'"] {
        assert!(file::split_words(bad).is_err(), "{bad}");
    }
}

#[test]
fn stock_redis_conf_loads() {
    // The directives that a stock redis.conf 7.x sets, without its comments.
    let stock = include_str!("../../tests/data/redis-7.conf");
    let (config, errors) = text(stock);
    assert_eq!(errors, []);
    assert_eq!(config.words(OptionId::Bind), ["127.0.0.1", "-::1"]);
    assert!(!config.notes.is_empty());
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("moon-config-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn users_keep_the_hashes_of_their_passwords() {
    let (config, errors) = text("user a on #00 ~k # ~l\nUSER b off\nport 7000 # comment\n");
    assert_eq!(errors, []);
    assert_eq!(config.users, ["user a on #00 ~k # ~l", "user b off"]);
    assert_eq!(config.int(OptionId::Port), 7000);
    for bad in ["user a \"\"", "user a 'x y'", "user \"\\\"a\""] {
        assert_eq!(text(bad).1.len(), 1, "{bad}");
    }
}

#[test]
fn any_text_is_read_or_refused_and_rewritten_as_it_was_read() {
    let stock = include_bytes!("../../tests/data/redis-7.conf");
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    hostile(stock);
    for _ in 0..300 {
        let mut text = stock.to_vec();
        for _ in 0..1 + random(3) {
            let (from, to) = (random(text.len()), random(text.len()));
            text[to] = text[from];
        }
        hostile(&text);
    }
}
