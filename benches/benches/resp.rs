//! The client protocol's hot path: parsing a pipelined buffer of 64 SETs, writing replies.
//!
//! Figures are per request or per reply: divide the printed time by 64.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moon_formats::resp::{Limits, Parsed, Proto, Reply, RequestParser, encode_command};
use std::hint::black_box;

const BATCH: usize = 64;

fn pipeline() -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..BATCH {
        let key = format!("key:{i:012}");
        let args: [&[u8]; 3] = [b"SET", key.as_bytes(), &[b'x'; 64]];
        encode_command(&mut out, args.into_iter());
    }
    out
}

fn parse(c: &mut Criterion) {
    let mut buf = pipeline();
    let mut parser = RequestParser::new(Limits::default());
    let mut spans = Vec::new();
    let mut group = c.benchmark_group("resp");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("parse 64 SETs of 64 bytes", |b| {
        b.iter(|| {
            let mut at = 0;
            let mut bytes = 0;
            while at < buf.len() {
                spans.clear();
                match parser.parse(&mut buf[at..], &mut spans) {
                    Ok(Parsed::Request { consumed }) => at += consumed,
                    other => panic!("{other:?}"),
                }
                bytes += spans.iter().map(|s| s.len as usize).sum::<usize>();
            }
            black_box(bytes)
        });
    });
    let mut out = Vec::with_capacity(64 * 1024);
    let value = [b'x'; 64];
    let mut replies = |name: &str, write: &dyn Fn(&mut Reply<'_>, usize)| {
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let mut reply = Reply::new(&mut out, Proto::Resp2);
                for i in 0..BATCH {
                    write(&mut reply, i);
                }
                black_box(reply.len())
            });
        });
    };
    replies("write 64 +OK", &|r, _| r.ok());
    replies("write 64 bulks of 64 bytes", &|r, _| r.bulk(&value));
    replies("write 64 integers", &|r, i| r.int(i as i64 * 1_000_003));
    replies("write 64 whole scores", &|r, i| r.double(i as f64));
    replies("write 64 fractions", &|r, i| r.double(i as f64 + 0.1));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
