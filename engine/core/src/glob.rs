//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
//!
//! Results equal those of Redis `stringmatchlen`, oddities included: an empty text matches the
//! empty pattern only (commands that take `*` for "all" say so themselves), and without regard
//! to case an escape in a class still means its own case. A mismatch goes back to the latest `*`
//! only, so the work is at most pattern x text. Patterns that need more than [`STARS`] `*` match nothing, as in
//! Redis, which recurses for each.

/// `*` that a match may need, one at the end and those that follow each other not counted.
const STARS: usize = 1000;

/// Whether `text` matches `pattern` as a whole; `nocase` ignores ASCII case.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut stars = 0;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            if pattern.get(p + 1).is_some_and(|next| *next != b'*') {
                stars += 1;
                if stars > STARS {
                    return false;
                }
            }
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
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, byte, fold),
        b'\\' if pattern.len() > 1 => (fold(pattern[1]) == fold(byte)).then_some(2),
        other => (fold(other) == fold(byte)).then_some(1),
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
                hit |= pattern[i + 1] == byte;
                i += 2;
            }
            Some(&low) if pattern.get(i + 1) == Some(&b'-') && i + 2 < pattern.len() => {
                let high = pattern[i + 2];
                let (low, high) = (fold(low.min(high)), fold(low.max(high)));
                hit |= (low..=high).contains(&fold(byte));
                i += 3;
            }
            Some(&one) => {
                hit |= fold(one) == fold(byte);
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
            ("*", "", false),
            ("", "", true),
            ("a*", "a", true),
            ("[a-]", "]", true),
            ("[^", "x", true),
            ("[]a", "a", false),
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
        for (p, t, want) in [
            ("FOO*", "foobar", true),
            ("[A-C]", "b", true),
            ("[\\a]", "A", false),
            ("[B-a]", "a", false),
        ] {
            assert_eq!(glob_match(p.as_bytes(), t.as_bytes(), true), want, "{p} {t}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "a*".repeat(60) + "b";
        assert!(!glob_match(pattern.as_bytes(), "a".repeat(5000).as_bytes(), false));
    }
}
