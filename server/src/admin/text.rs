//! The text of /metrics: Prometheus 0.0.4, or OpenMetrics 1.0 for those who ask for it.
//!
//! Invariants: a family is written once, with its HELP and TYPE; label values are quoted; the bounds
//! of a histogram never change while the process runs, so its counts only grow.

use std::fmt::Write;

use super::metrics::Metric;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, but for CONFIG RESETSTAT and restarts. Its name ends with `_total`.
    Counter,
    Gauge,
    /// Counts by upper bound, with their sum.
    Histogram,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` field asks for.
    pub(super) fn asked(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Labels of a sample: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text so far, and the family that is being written.
pub(super) struct Samples {
    out: String,
    name: &'static str,
    /// Names of the labels, as the list of metrics has them.
    labels: &'static str,
    head: Option<String>,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self { out: String::with_capacity(16 << 10), name: "", labels: "", head: None }
    }

    /// Begins a family. One without samples is not written.
    pub(super) fn begin(&mut self, format: Format, metric: &Metric) {
        let Metric { name, kind, labels, help, .. } = *metric;
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        let family = match format {
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
            Format::Prometheus => name,
        };
        let kind = kind.name();
        (self.name, self.labels) = (name, labels);
        self.head = Some(format!("# HELP {family} {help}\n# TYPE {family} {kind}\n"));
    }

    /// A sample of the family.
    pub(super) fn put(&mut self, labels: Labels<'_>, value: impl std::fmt::Display) {
        self.line("", labels, None, value);
    }

    /// The sample of a family without labels.
    pub(super) fn one(&mut self, value: impl std::fmt::Display) {
        self.put(&[], value);
    }

    /// A histogram: `counts` has one more than `bounds`, for what is above all of them.
    pub(super) fn histogram(
        &mut self,
        labels: Labels<'_>,
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        debug_assert_eq!(counts.len(), bounds.len() + 1);
        let mut total = 0;
        for (i, count) in counts.iter().enumerate() {
            total += count;
            let bound = bounds.get(i).map_or_else(|| "+Inf".to_string(), f64::to_string);
            self.line("_bucket", labels, Some(&bound), total);
        }
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, total);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: impl std::fmt::Display,
    ) {
        let named = labels.iter().map(|(name, _)| *name);
        debug_assert!(named.eq(self.labels.split(", ").filter(|l| !l.is_empty())), "{}", self.name);
        if let Some(head) = self.head.take() {
            self.out.push_str(&head);
        }
        let _ = write!(self.out, "{}{suffix}", self.name);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut open = '{';
        for (name, value) in all {
            let _ = write!(self.out, "{open}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
            open = ',';
        }
        if open == ',' {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }

    /// The whole text.
    pub(super) fn finish(mut self, format: Format) -> String {
        if format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_a_head_and_quoted_labels() {
        let mut samples = Samples::new();
        samples.begin(Format::Prometheus, &Metric::test("a_total", Kind::Counter, "x, y"));
        samples.put(&[("x", "q\"\\\n"), ("y", "")], 3);
        samples.begin(Format::Prometheus, &Metric::test("empty", Kind::Gauge, ""));
        samples.begin(Format::Prometheus, &Metric::test("h", Kind::Histogram, "c"));
        samples.histogram(&[("c", "get")], &[0.001, 1.0], &[2, 0, 1], 2.5);
        let want = "# HELP a_total Help.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\",y=\"\"} 3\n\
                    # HELP h Help.\n# TYPE h histogram\n\
                    h_bucket{c=\"get\",le=\"0.001\"} 2\nh_bucket{c=\"get\",le=\"1\"} 2\n\
                    h_bucket{c=\"get\",le=\"+Inf\"} 3\nh_sum{c=\"get\"} 2.5\nh_count{c=\"get\"} 3\n";
        assert_eq!(samples.finish(Format::Prometheus), want);
        let mut samples = Samples::new();
        samples.begin(Format::OpenMetrics, &Metric::test("a_total", Kind::Counter, ""));
        samples.one(1.5);
        let want = "# HELP a Help.\n# TYPE a counter\na_total 1.5\n# EOF\n";
        assert_eq!(samples.finish(Format::OpenMetrics), want);
    }

    #[test]
    fn the_format_is_the_one_asked_for() {
        for (accept, want) in [
            ("", Format::Prometheus),
            ("text/plain;version=0.0.4", Format::Prometheus),
            ("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1", Format::OpenMetrics),
        ] {
            assert_eq!(Format::asked(accept), want, "{accept}");
        }
    }
}
