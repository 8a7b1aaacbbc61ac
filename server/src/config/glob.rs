//! Glob patterns over option and file names: `*`, `?`, `[a-z]`, `\x`.

/// True if `text` matches `pattern` as a whole. Runs in O(pattern x text).
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(p + 1),
            Some(b'[') => class(&pattern[p..], text[t]).map(|len| p + len),
            Some(b'\\') if p + 1 < pattern.len() => (pattern[p + 1] == text[t]).then_some(p + 2),
            Some(b) => (*b == text[t]).then_some(p + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((after, at))) => {
                p = after;
                t = at + 1;
                star = Some((after, at + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// Length of the class at the start of `pattern` if it holds `byte`.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let mut i = 1;
    let negated = pattern.get(1) == Some(&b'^');
    if negated {
        i += 1;
    }
    let mut hit = false;
    while i < pattern.len() && pattern[i] != b']' {
        if i + 2 < pattern.len() && pattern[i + 1] == b'-' && pattern[i + 2] != b']' {
            let (lo, hi) = (pattern[i].min(pattern[i + 2]), pattern[i].max(pattern[i + 2]));
            hit |= (lo..=hi).contains(&byte);
            i += 3;
        } else {
            hit |= pattern[i] == byte;
            i += 1;
        }
    }
    (hit != negated).then_some((i + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (p, t, want) in [
            ("*", "", true),
            ("max*", "maxmemory", true),
            ("*x*y*z", "axbyyz", true),
            ("a?c", "abc", true),
            ("a[b-d]c", "acc", true),
            ("a[^b-d]c", "acc", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("abc", "abcd", false),
            ("[", "x", false),
        ] {
            assert_eq!(matches(p.as_bytes(), t.as_bytes()), want, "{p} {t}");
        }
    }
}
