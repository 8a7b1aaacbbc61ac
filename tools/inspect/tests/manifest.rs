//! The verbs on shard manifests.

mod rig;

use std::fs;

use moon_formats::testing::{old_shard_manifest, sample_root, sample_shard_manifest};
use rig::{TempDir, flip, inspect, shown, snapshot};

/// A shard with a manifest of two files after one commit.
fn shard() -> TempDir {
    let dir = TempDir::new();
    fs::create_dir_all(dir.0.join("shard-0")).expect("made");
    fs::write(dir.0.join("shard-0/shard-0.manifest"), sample_root(4, 2).encode_file())
        .expect("written");
    dir
}

#[test]
fn every_verb_on_a_sound_manifest() {
    let dir = shard();
    let mut all = String::new();
    let mut show = |args: &[&str], path: &std::path::Path| {
        all.push_str(&shown(&dir, args, path));
        all.push('\n');
    };
    for args in [
        &["manifest", "ls"][..],
        &["manifest", "header"],
        &["manifest", "dump"],
        &["manifest", "stats"],
        &["manifest", "verify"],
        &["manifest", "ls", "--json"],
        &["manifest", "header", "--json"],
        &["manifest", "dump", "--json", "--limit", "1"],
        &["manifest", "stats", "--json"],
        &["manifest", "verify", "--json"],
        &["manifest", "dump", "--type", "KvLeaves"],
        &["manifest", "dump", "--key", "k"],
        &["manifest", "tail"],
    ] {
        show(args, &dir.0);
    }
    let files = [
        ("three.manifest", sample_shard_manifest()),
        ("old-1.manifest", old_shard_manifest(1, 3)),
        ("old-2.manifest", old_shard_manifest(2, 71)),
    ];
    for (name, bytes) in files {
        let path = dir.0.join(name);
        fs::write(&path, bytes).expect("written");
        show(&["manifest", "verify"], &path);
        show(&["auto", "stats"], &path);
    }
    show(&["manifest", "dump", "--type", "kvleaf", "--limit", "1"], &dir.0.join("three.manifest"));
    snapshot("manifest", &all);
}

#[test]
fn one_damaged_root_is_what_a_crash_leaves() {
    let dir = shard();
    let path = dir.0.join("shard-0/shard-0.manifest");
    fs::write(&path, sample_shard_manifest()).expect("written");
    flip(&path, 100);
    let text = shown(&dir, &["manifest", "verify"], &path);
    assert!(text.contains("root B, epoch 2") && text.contains("as after a crash"), "{text}");
    assert!(text.ends_with("exit 0\n"), "{text}");
    flip(&path, 4096 + 100);
    let text = shown(&dir, &["manifest", "verify"], &path);
    assert!(text.contains("root A: offset 16") && text.contains("root B: offset 4112"), "{text}");
    assert!(text.contains("manifest rebuild") && text.ends_with("exit 70\n"), "{text}");
    for verb in ["ls", "header", "dump", "stats"] {
        assert_eq!(inspect(&["manifest", verb], &path).status.code(), Some(70), "{verb}");
    }
}

#[test]
fn files_of_the_table_must_be_there() {
    let dir = shard();
    let data = dir.0.join("shard-0/data");
    fs::create_dir(&data).expect("made");
    let text = shown(&dir, &["manifest", "verify"], &dir.0);
    assert!(text.contains("data/heap-000011.mpf: listed in the file table"), "{text}");
    assert!(text.contains("2 missing") && text.ends_with("exit 70\n"), "{text}");
    for id in [11, 12] {
        fs::write(data.join(format!("heap-{id:06}.mpf")), vec![0; 65536]).expect("written");
    }
    assert!(shown(&dir, &["manifest", "verify"], &dir.0).ends_with("exit 0\n"));
    fs::write(data.join("heap-000012.mpf"), "short").expect("written");
    let text = shown(&dir, &["manifest", "verify"], &dir.0);
    assert!(text.contains("5 bytes, the file table says 65536"), "{text}");
}
