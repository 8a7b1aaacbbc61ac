"""Reads /metrics with the parsers of Prometheus' client library, in both formats, and holds the
figures against INFO, the page of metrics, the dashboard and the alert rules.

    metrics.py PORT ADMIN_PORT DOCS_FOLDER
"""

import json
import pathlib
import re
import sys
import urllib.request

import redis
import yaml
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as prometheus

port, admin, docs = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])


def fetch(accept):
    request = urllib.request.Request(f"http://127.0.0.1:{admin}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.headers["Content-Type"], reply.read().decode()


kind, text = fetch("text/plain")
assert kind.startswith("text/plain; version=0.0.4"), kind
families = list(prometheus.text_string_to_metric_families(text))
names = [family.name for family in families]
assert len(names) == len(set(names)), "a family appears twice"
samples = {}
for family in families:
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family.name
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in samples, key
        samples[key] = sample.value
        assert sample.value >= 0, key

kind, text = fetch("application/openmetrics-text; version=1.0.0")
assert kind.startswith("application/openmetrics-text"), kind
# This parser is strict: order of buckets, counts, the end of the text.
strict = list(openmetrics.text_string_to_metric_families(text))
assert {family.name for family in strict} == set(names), set(names) ^ {f.name for f in strict}


def sample(name, **labels):
    return samples[name, tuple(sorted(labels.items()))]


client = redis.Redis(port=port)
info = client.info("all")
for ours, theirs in [
    ("moon_keyspace_hits_total", "keyspace_hits"),
    ("moon_keyspace_misses_total", "keyspace_misses"),
    ("moon_rejected_connections_total", "rejected_connections"),
    ("moon_evicted_keys_total", "evicted_keys"),
    ("moon_maxclients", "maxclients"),
    ("moon_blocked_clients", "blocked_clients"),
    ("moon_slowlog_length", None),
]:
    theirs = client.slowlog_len() - 1 if theirs is None else info[theirs]
    assert abs(sample(ours) - theirs) <= 2, (ours, sample(ours), theirs)
assert sample("moon_keys", db="0") == 3 and sample("moon_expires", db="0") == 1
assert sample("moon_commands_total", cmd="get") == 3
assert sample("moon_command_rejections_total", cmd="get") == 1
assert sample("moon_command_errors_total", cmd="lpush") == 1
assert sample("moon_error_replies_total", code="WRONGTYPE") == 1
assert sample("moon_command_duration_seconds_count", cmd="get") == 3
assert sample("moon_command_duration_seconds_bucket", cmd="get", le="+Inf") == 3
assert 0 < sample("moon_command_duration_seconds_sum", cmd="get") < 1
assert sample("moon_log_sync_seconds_count", shard="0") == sample("moon_log_syncs_total", shard="0") > 0
assert sample("moon_durable_lsn", shard="0") == info["durable_lsn"]
kinds = [value for (name, _), value in samples.items() if name == "moon_memory_bytes"]
used = sample("moon_used_memory_bytes")
assert abs(sum(kinds) - used) < used * 0.02, (kinds, used)
assert abs(used - info["used_memory"]) < used * 0.2
commands = sum(v for (name, _), v in samples.items() if name == "moon_commands_total")
assert commands == sample("moon_commands_processed_total"), commands

# What the page, the dashboard and the alert rules name is there.
there = {name for name, _ in samples}
page = re.findall(r"^\| `(moon_\w+)` \| (\w+)", (docs / "metrics.md").read_text(), re.M)
assert len(page) > 50
# Of replicas, of servers with some, or with consumers of changes, or with a certificate, and after the first snapshot
# or backup.
sometimes = {
    "moon_replica_link_up",
    "moon_replication_lag_bytes",
    "moon_replication_lag_ms",
    "moon_tls_cert_expiry_seconds",
    "moon_snapshot_duration_seconds",
    "moon_base_age_seconds",
    "moon_pitr_oldest_timestamp_seconds",
    "moon_backup_last_success_timestamp_seconds",
    "moon_cdc_subscriber_lag_lsn",
    "moon_cdc_lag_lsn",
    "moon_cdc_slot_held_bytes",
}
for name, kind in page:
    if name in sometimes:
        continue
    assert (name + "_count" if kind == "histogram" else name) in there, name
dashboard = json.loads((docs / "monitoring/grafana-dashboard.json").read_text())
rules = yaml.safe_load((docs / "monitoring/alerts.yml").read_text())
expressions = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
assert len(expressions) > 15
alerts = [rule for group in rules["groups"] for rule in group["rules"]]
for rule in alerts:
    assert rule["alert"] and rule["labels"]["severity"] and rule["annotations"]["summary"], rule
    expressions.append(rule["expr"])
assert len(alerts) >= 8
for expression in expressions:
    used = re.findall(r"moon_\w+", expression)
    assert used, expression
    for name in used:
        assert name in there | sometimes, f"{name} in {expression}"
print(f"{len(there)} samples, {len(expressions)} expressions")
