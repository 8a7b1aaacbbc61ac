//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
//!
//! A mismatch goes back to the latest `*` only, so the work is at most pattern x text.

/// Whether `text` matches `pattern` as a whole; `nocase` ignores ASCII case.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        match step(&pattern[p..], text[t], nocase) {
            Some(used) => {
                p += used;
                t += 1;
            }
            None => match star {
                Some((after, at)) => {
                    p = after;
                    t = at + 1;
                    star = Some((after, t));
                }
                None => return false,
            },
        }
    }
}

/// Matches one byte; the length of the pattern element that did.
fn step(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let fold = |b: u8| if nocase { b.to_ascii_lowercase() } else { b };
    let byte = fold(byte);
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, byte, fold),
        b'\\' if pattern.len() > 1 => (fold(pattern[1]) == byte).then_some(2),
        other => (fold(other) == byte).then_some(1),
    }
}

/// A `[...]` element; an unclosed one ends with the pattern, as in Redis `stringmatchlen`.
fn class(pattern: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let mut i = 1;
    let negated = pattern.get(i) == Some(&b'^');
    i += usize::from(negated);
    let mut hit = false;
    loop {
        match pattern.get(i) {
            None => break,
            Some(b']') => {
                i += 1;
                break;
            }
            Some(b'\\') if i + 1 < pattern.len() => {
                hit |= fold(pattern[i + 1]) == byte;
                i += 2;
            }
            Some(&low) if pattern.get(i + 1) == Some(&b'-') && i + 2 < pattern.len() => {
                let (a, b) = (fold(low), fold(pattern[i + 2]));
                hit |= (a.min(b)..=a.max(b)).contains(&byte);
                i += 3;
            }
            Some(&one) => {
                hit |= fold(one) == byte;
                i += 1;
            }
        }
    }
    (hit != negated).then_some(i)
}

#[cfg(test)]
mod tests {
    use super::glob_match;

    #[test]
    fn patterns() {
        for (p, t, want) in [
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hxllo", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("[abc", "a", true),
            ("\\", "\\", true),
            ("foo", "foobar", false),
        ] {
            assert_eq!(glob_match(p.as_bytes(), t.as_bytes(), false), want, "{p} {t}");
        }
        assert!(glob_match(b"FOO*", b"foobar", true));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "a*".repeat(60) + "b";
        assert!(!glob_match(pattern.as_bytes(), "a".repeat(5000).as_bytes(), false));
    }
}
