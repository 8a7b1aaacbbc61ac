//! Goal: a flush of scripts or functions takes no time, whatever there is, and what it leaves is freed soon.
//! Method: many libraries, the figures of INFO, and commands in between.

use moon_tests::ask::{info, line, number, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server};

const MANY: usize = 1000;

fn load(client: &mut Client) {
    for n in 0..MANY {
        let code = format!(
            "#!lua name=lib{n}\nlocal kept = '{}'\n\
             redis.register_function('f{n}', function() return #kept end)",
            format!("{n}").repeat(1000)
        );
        client.queue(&cmd!["FUNCTION", "LOAD", code]);
        client.queue(&cmd!["SCRIPT", "LOAD", format!("return {n}")]);
    }
    client.flush().expect("sent");
    for _ in 0..2 * MANY {
        assert!(!client.receive().expect("a reply").is_error());
    }
}

#[test]
fn functions_and_scripts_are_freed_bit_by_bit() {
    let server = Server::start(Program::moon()).expect("moon starts");
    let mut c = server.client().expect("a connection");
    load(&mut c);
    assert!(number(&mut c, "used_memory_vm_functions") > 1_000_000);
    line(&mut c, "CONFIG RESETSTAT");
    assert_eq!(line(&mut c, "FUNCTION FLUSH ASYNC"), "OK");
    assert!(number(&mut c, "used_memory_vm_functions") < 40_000);
    assert_eq!(line(&mut c, "FCALL f1 0"), "-ERR Function not found");
    // A new interpreter is there before the old one is gone.
    let code = "#!lua name=new\nredis.register_function('f', function() return 1 end)";
    assert_eq!(line(&mut c, "PING"), "PONG");
    c.call(&cmd!["FUNCTION", "LOAD", code]).expect("a reply");
    assert_eq!(line(&mut c, "FCALL f 0"), ":1");
    // With the interpreter itself.
    let all = (MANY + 1) as i64;
    until("all are freed", || number(&mut c, "lazyfreed_objects") == all);
    assert_eq!(info(&mut c, "lazyfree_pending_objects"), "0");
    assert_eq!(line(&mut c, "SCRIPT FLUSH ASYNC"), "OK");
    assert_eq!(info(&mut c, "number_of_cached_scripts"), "0");
    until("all are freed", || number(&mut c, "lazyfreed_objects") == 2 * all);
    // A few are freed on the spot.
    line(&mut c, "SCRIPT LOAD return");
    assert_eq!(line(&mut c, "SCRIPT FLUSH ASYNC"), "OK");
    assert_eq!(number(&mut c, "lazyfreed_objects"), 2 * all);
}
