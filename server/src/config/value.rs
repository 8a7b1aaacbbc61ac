//! Texts of options to values and back. Error texts are those of Redis' CONFIG SET
//! (`src/config.c`, the `set` functions of each config type).

use std::fmt;
use std::net::IpAddr;

use super::table::Kind;

/// A parsed option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Bool kinds.
    Bool(bool),
    /// Integers, bytes, durations in the unit of the option, file modes.
    Int(i64),
    /// Words of an enumeration, texts, file names.
    Text(String),
    /// Word lists.
    Words(Vec<String>),
    /// `save`: seconds and changes.
    Save(Vec<(u64, u64)>),
    /// `client-output-buffer-limit`: normal, replica, pubsub.
    Limits([OutputLimit; 3]),
}

/// Limit of the replies waiting in one client's output buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once; 0 is none.
    pub hard: u64,
    /// Bytes a client may exceed for a while; 0 is none.
    pub soft: u64,
    /// Seconds over `soft` after which it is closed.
    pub soft_secs: u64,
}

const CLASSES: [&str; 3] = ["normal", "replica", "pubsub"];

/// Parses the words of an option. `old` is the present value, which a partial
/// `client-output-buffer-limit` updates.
pub fn parse(kind: Kind, words: &[String], old: Option<&Value>) -> Result<Value, String> {
    match kind {
        Kind::Words => {
            return Ok(Value::Words(flatten(words).into_iter().map(str::to_string).collect()));
        }
        Kind::Master => return master(words),
        Kind::SavePoints => return save_points(words),
        Kind::StopWords => return stop_words(words),
        Kind::Percentiles => return percentiles(words),
        Kind::OutputLimits => return output_limits(words, old),
        _ => {}
    }
    let [word] = words else { return Err("wrong number of arguments".into()) };
    match kind {
        Kind::Bool => boolean(word),
        Kind::Int(lo, hi) => {
            let n = word
                .parse()
                .map_err(|_| "argument couldn't be parsed into an integer".to_string())?;
            in_range(n, lo, hi)
        }
        Kind::Memory(lo, hi) => {
            let n = memory(word).ok_or("argument must be a memory value")?;
            in_range(i64::try_from(n).unwrap_or(i64::MAX), lo, hi)
        }
        Kind::MemoryOrPercent(hi) => match word.strip_suffix('%') {
            None => {
                let n = memory(word).ok_or("argument must be a memory or percent value")?;
                in_range(i64::try_from(n).unwrap_or(i64::MAX), 0, hi)
            }
            Some(number) => match number.parse::<u64>() {
                Ok(n @ 0..=100) => Ok(Value::Int(-(n as i64))),
                Ok(_) => Err("percentage argument must be less or equal to 100".into()),
                Err(_) => Err("argument must be a memory or percent value".into()),
            },
        },
        Kind::Secs(lo, hi) => duration(word, 1_000_000, lo, hi),
        Kind::Millis(lo, hi) => duration(word, 1_000, lo, hi),
        Kind::Micros(lo, hi) => duration(word, 1, lo, hi),
        Kind::Mode => match i64::from_str_radix(word, 8) {
            Ok(n) if (0..=0o777).contains(&n) => Ok(Value::Int(n)),
            Ok(_) => Err("argument must be between 0 and 777 inclusive".into()),
            Err(_) => Err("argument couldn't be parsed as an octal number".into()),
        },
        Kind::Enum(allowed) => {
            match allowed.iter().find(|known| known.eq_ignore_ascii_case(word)) {
                Some(known) => Ok(Value::Text((*known).to_string())),
                None => {
                    Err(format!("argument(s) must be one of the following: {}", allowed.join(", ")))
                }
            }
        }
        Kind::FileName if word.contains('/') => {
            Err("argument can't be a path, just a filename".into())
        }
        Kind::FileName if word.is_empty() => Err("argument can't be empty".into()),
        Kind::EventClasses => match moon_engine::event::Class::parse(word) {
            Some(classes) => Ok(Value::Text(classes.letters())),
            None => Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
        },
        Kind::Address if !word.is_empty() && word.parse::<IpAddr>().is_err() => {
            Err("argument must be an IP address".into())
        }
        Kind::Text | Kind::Address | Kind::FileName => Ok(Value::Text(word.clone())),
        Kind::Words
        | Kind::Master
        | Kind::SavePoints
        | Kind::StopWords
        | Kind::Percentiles
        | Kind::OutputLimits => {
            unreachable!("handled above")
        }
    }
}

fn boolean(word: &str) -> Result<Value, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(Value::Bool(true)),
        "no" | "false" | "0" => Ok(Value::Bool(false)),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

fn in_range(n: i64, lo: i64, hi: i64) -> Result<Value, String> {
    if (lo..=hi).contains(&n) {
        Ok(Value::Int(n))
    } else {
        Err(format!("argument must be between {lo} and {hi} inclusive"))
    }
}

/// Bytes with Redis' units: `k` = 1000, `kb` = 1024, and so on to `tb`.
pub fn memory(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        "t" => 1_000_000_000_000,
        "tb" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A number in the option's own unit (`unit_us` microseconds), or with `us`, `ms`, `s`,
/// `m`, `h`, `d` behind it.
fn duration(text: &str, unit_us: i64, lo: i64, hi: i64) -> Result<Value, String> {
    let bad = || "argument couldn't be parsed into an integer".to_string();
    let split = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'-').count();
    let (number, suffix) = text.split_at(split);
    let n: i64 = number.parse().map_err(|_| bad())?;
    let suffix_us = match suffix.to_ascii_lowercase().as_str() {
        "" => return in_range(n, lo, hi),
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(bad()),
    };
    let us: i64 = n.checked_mul(suffix_us).ok_or_else(bad)?;
    if us % unit_us != 0 {
        return Err(bad());
    }
    in_range(us / unit_us, lo, hi)
}

/// Splits words that hold blanks: CONFIG SET gives a list as one argument.
fn flatten(words: &[String]) -> Vec<&str> {
    words.iter().flat_map(|w| w.split_ascii_whitespace()).collect()
}

fn percentiles(words: &[String]) -> Result<Value, String> {
    let shown = flatten(words).into_iter().map(|word| {
        let n = word.parse::<f64>();
        let n =
            n.map_err(|_| "Invalid latency-tracking-info-percentiles parameters".to_string())?;
        if (0.0..=100.0).contains(&n) {
            Ok(n.to_string())
        } else {
            Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                .to_string())
        }
    });
    shown.collect::<Result<_, _>>().map(Value::Words)
}

fn save_points(words: &[String]) -> Result<Value, String> {
    let bad = || "Invalid save parameters".to_string();
    let words = flatten(words);
    if !words.len().is_multiple_of(2) {
        return Err(bad());
    }
    let mut points = Vec::new();
    for pair in words.chunks(2) {
        let secs = pair[0].parse::<u64>().ok().filter(|n| *n >= 1).ok_or_else(bad)?;
        let changes = pair[1].parse::<u64>().map_err(|_| bad())?;
        points.push((secs, changes));
    }
    Ok(Value::Save(points))
}

/// Words of SHUTDOWN in Redis' order, each once; `default` adds nothing to others.
fn stop_words(words: &[String]) -> Result<Value, String> {
    const KNOWN: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let words = flatten(words);
    let given = |known: &str| words.iter().any(|word| word.eq_ignore_ascii_case(known));
    if !words.iter().all(|word| KNOWN.iter().any(|known| word.eq_ignore_ascii_case(known))) {
        return Err(format!("argument(s) must be one of the following: {}", KNOWN.join(", ")));
    }
    if given("save") && given("nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    let mut kept: Vec<String> =
        KNOWN.iter().skip(1).filter(|known| given(known)).map(|k| (*k).to_string()).collect();
    if kept.is_empty() {
        kept.push("default".into());
    }
    Ok(Value::Words(kept))
}

fn master(words: &[String]) -> Result<Value, String> {
    let words = flatten(words);
    let is = |i: usize, word: &str| words.get(i).is_some_and(|w| w.eq_ignore_ascii_case(word));
    match words.as_slice() {
        [] => Ok(Value::Words(Vec::new())),
        [_, _] if is(0, "no") && is(1, "one") => Ok(Value::Words(Vec::new())),
        [host, port] => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Value::Words(vec![(*host).into(), port.to_string()])),
            _ => Err("Invalid master port".into()),
        },
        _ => Err("wrong number of arguments".into()),
    }
}

fn output_limits(words: &[String], old: Option<&Value>) -> Result<Value, String> {
    let mut limits = match old {
        Some(Value::Limits(limits)) => *limits,
        _ => [OutputLimit::default(); 3],
    };
    let words = flatten(words);
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for quad in words.chunks(4) {
        let class = match quad[0].to_ascii_lowercase().as_str() {
            "normal" => 0,
            "replica" | "slave" => 1,
            "pubsub" => 2,
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        };
        let (Some(hard), Some(soft), Ok(soft_secs)) =
            (memory(quad[1]), memory(quad[2]), quad[3].parse())
        else {
            return Err(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.".into(),
            );
        };
        limits[class] = OutputLimit { hard, soft, soft_secs };
    }
    Ok(Value::Limits(limits))
}

/// The text CONFIG GET answers: plain numbers, `yes`/`no`, lists joined by blanks.
pub struct Shown<'a>(pub Kind, pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (_, Value::Bool(b)) => f.write_str(if *b { "yes" } else { "no" }),
            (Kind::MemoryOrPercent(_), Value::Int(n)) if *n < 0 => {
                write!(f, "{}%", n.unsigned_abs())
            }
            (Kind::Mode, Value::Int(n)) => write!(f, "{n:o}"),
            (_, Value::Int(n)) => write!(f, "{n}"),
            (_, Value::Text(s)) => f.write_str(s),
            (_, Value::Words(words)) => f.write_str(&words.join(" ")),
            (_, Value::Save(points)) => {
                for (i, (secs, changes)) in points.iter().enumerate() {
                    write!(f, "{}{secs} {changes}", if i > 0 { " " } else { "" })?;
                }
                Ok(())
            }
            (_, Value::Limits(limits)) => {
                for (i, (class, l)) in CLASSES.iter().zip(limits).enumerate() {
                    let class = if *class == "replica" { "slave" } else { class };
                    let sep = if i > 0 { " " } else { "" };
                    write!(f, "{sep}{class} {} {} {}", l.hard, l.soft, l.soft_secs)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: Kind, text: &str) -> Result<Value, String> {
        parse(kind, &[text.to_string()], None)
    }

    #[test]
    fn memory_units() {
        assert_eq!(memory("1k"), Some(1000));
        assert_eq!(memory("1KB"), Some(1024));
        assert_eq!(memory("2gb"), Some(2 << 30));
        assert_eq!(memory("7"), Some(7));
        for bad in ["", "kb", "-1", "1x", "1.5gb", "99999999999999999999", "18446744073709551615tb"]
        {
            assert_eq!(memory(bad), None, "{bad}");
        }
    }

    #[test]
    fn percentiles_are_numbers_up_to_100() {
        let shown =
            |text| one(Kind::Percentiles, text).map(|v| Shown(Kind::Percentiles, &v).to_string());
        assert_eq!(shown("0.0 50.0 99.90 100"), Ok("0 50 99.9 100".into()));
        assert_eq!(shown(""), Ok(String::new()));
        for bad in ["a", "101", "-1", "nan", "50 x"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percentages() {
        let kind = Kind::MemoryOrPercent(i64::MAX);
        let shown = |text| one(kind, text).map(|v| Shown(kind, &v).to_string());
        assert_eq!(shown("5%"), Ok("5%".into()));
        assert_eq!(shown("1kb"), Ok("1024".into()));
        assert_eq!(shown("0%"), Ok("0".into()));
        let over = "percentage argument must be less or equal to 100";
        assert_eq!(one(kind, "200%").unwrap_err(), over);
        for bad in ["-1%", "%", "x%", "-1", ""] {
            assert!(one(kind, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_take_units() {
        let secs = Kind::Secs(0, 100_000);
        assert_eq!(one(secs, "5m"), Ok(Value::Int(300)));
        assert_eq!(one(secs, "60"), Ok(Value::Int(60)));
        assert!(one(secs, "1500ms").is_err());
        assert_eq!(one(Kind::Millis(0, 100_000), "10s"), Ok(Value::Int(10_000)));
        assert!(one(secs, "-1").unwrap_err().contains("between 0 and"));
        assert!(one(secs, "9223372036854775807h").is_err());
    }

    #[test]
    fn texts_of_redis() {
        assert_eq!(one(Kind::Bool, "maybe").unwrap_err(), "argument must be 'yes' or 'no'");
        assert_eq!(
            one(Kind::Enum(&["a", "b"]), "c").unwrap_err(),
            "argument(s) must be one of the following: a, b"
        );
        assert_eq!(
            one(Kind::Int(0, 9), "10").unwrap_err(),
            "argument must be between 0 and 9 inclusive"
        );
        assert_eq!(
            one(Kind::Mode, "0755").map(|v| Shown(Kind::Mode, &v).to_string()),
            Ok("755".into())
        );
    }

    #[test]
    fn save_and_limits() {
        assert_eq!(
            one(Kind::SavePoints, "3600 1 300 100"),
            Ok(Value::Save(vec![(3600, 1), (300, 100)]))
        );
        assert_eq!(one(Kind::SavePoints, ""), Ok(Value::Save(vec![])));
        assert!(one(Kind::SavePoints, "1").is_err());
        assert!(one(Kind::SavePoints, "0 1").is_err());
        let stop =
            |text| one(Kind::StopWords, text).map(|v| Shown(Kind::StopWords, &v).to_string());
        assert_eq!(stop("force NOSAVE now"), Ok("nosave now force".into()));
        assert_eq!(stop("default"), Ok("default".into()));
        assert_eq!(stop("default now"), Ok("now".into()));
        assert!(stop("save nosave").unwrap_err().contains("simultaneously"));
        assert!(stop("never").unwrap_err().ends_with("default, save, nosave, now, force"));
        let all = one(Kind::OutputLimits, "normal 1 2 3 slave 4 5 6 pubsub 7 8 9").unwrap();
        let part = parse(Kind::OutputLimits, &["pubsub 32mb 8mb 60".into()], Some(&all)).unwrap();
        assert_eq!(
            Shown(Kind::OutputLimits, &part).to_string(),
            "normal 1 2 3 slave 4 5 6 pubsub 33554432 8388608 60"
        );
        assert!(one(Kind::OutputLimits, "master 1 2 3").is_err());
    }
}
