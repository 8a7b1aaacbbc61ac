//! Scripts: conversions, errors, one unit for all effects, libraries that come back by replay.

use crate::common::{Harness, check};

#[test]
fn values_become_replies() {
    check(
        r#"
        > EVAL "return 1.9" 0
        :1
        > EVAL "return 'a'" 0
        a
        > EVAL "return {1,2,{'x',false},nil,5}" 0
        [:1 :2 [x $-1]]
        > EVAL "return true" 0
        :1
        > EVAL "return false" 0
        $-1
        > EVAL "return {ok='fine'}" 0
        +fine
        > EVAL "return {err='BAD thing'}" 0
        -BAD thing
        > EVAL "return {KEYS[1],ARGV[1],#ARGV}" 1 k a b
        [k a :2]
        ! resp3
        > EVAL "return {double=1.5}" 0
        ,1.5
        > EVAL "redis.setresp(3); return redis.call('hgetall','none')" 0
        {}
        > EVAL "return {map={a=1}}" 0
        {a :1}
        "#,
    );
}

#[test]
fn one_unit_and_what_it_logs() {
    check(
        r#"
        > EVAL "redis.call('set',KEYS[1],'1') redis.call('incr',KEYS[1]) redis.call('select',3) redis.call('rpush','l',1.5,2) return redis.call('get',KEYS[1])" 1 k
        $-1
        = set k 1
        = incr k
        = SELECT 3
        = rpush l 1.5 2
        > GET k
        2
        > EVAL "return redis.call('blpop','none',0)" 0
        $-1
        = -
        > EVAL "redis.call('set','a','1') return redis.call('lpush','a','x')" 0
        -WRONGTYPE Operation against a key holding the wrong kind of value script: 6976eeaf1a23ece73e75061a6fde87268c4947b9, on @user_script:1.
        = set a 1
        > EVAL_RO "return redis.call('set','a','1')" 0
        -ERR Write commands are not allowed from read-only scripts. script: 67ed14c1cb086d8c2fcf91ebe13410ba087fd0f8, on @user_script:1.
        = -
        "#,
    );
}

#[test]
fn sandbox_holds() {
    let mut h = Harness::new();
    for (script, want) in [
        ("return x", "Script attempted to access nonexistent global variable 'x'"),
        ("x = 1", "Attempt to modify a readonly table"),
        ("_G.x = 1", "Attempt to modify a readonly table"),
        ("rawset(_G,'x',1)", "Attempt to modify a readonly table"),
        ("redis.call = 1", "Attempt to modify a readonly table"),
        ("table.insert(redis, 1)", "Attempt to modify a readonly table"),
        ("setmetatable(_G, {})", "Attempt to modify a readonly table"),
        ("getmetatable(_G).__index = {}", "Attempt to modify a readonly table"),
        ("getmetatable('').__index = {}", "Attempt to modify a readonly table"),
        ("setfenv(0, {})", "Attempt to modify a readonly table"),
        ("return loadstring('\\27Lua')()", "attempt to call a nil value"),
        ("return unpack({}, 0, 2147483647)", "too many results to unpack"),
        ("return loadstring(string.dump(function() end))()", "attempt to call a nil value"),
        ("return io", "nonexistent global variable 'io'"),
        ("return debug", "nonexistent global variable 'debug'"),
        ("return string.rep('x', 2147483647)", "not enough memory"),
        ("return redis.call('nosuch')", "Unknown Redis command called from script"),
        ("return redis.call('get')", "Wrong number of args calling Redis command"),
        ("return redis.call('multi')", "This Redis command is not allowed from script"),
        ("return redis.call({})", "must be strings or integers"),
        ("return redis.call()", "Please specify at least one argument"),
    ] {
        let reply = String::from_utf8(h.raw(&[b"EVAL", script.as_bytes(), b"0"])).unwrap();
        assert!(reply.starts_with('-') && reply.contains(want), "{script}: {reply}");
    }
    // Environments of library functions are no way round.
    let script = "for _, f in pairs({redis.call, table.insert, pcall, string.len, redis.log}) do \
                  local e = getfenv(f); if rawget(e, 'xyz') then return 'leak' end; \
                  pcall(rawset, e, 'xyz', 1) end; return pcall(function() return xyz end) and 1 or 2";
    assert_eq!(h.raw(&[b"EVAL", script.as_bytes(), b"0"]), b":2\r\n");
    assert_eq!(h.raw(&[b"EVAL", b"return redis.sha1hex('')", b"0"]).len(), 47);
}

#[test]
fn libraries_are_data() {
    let mut h = check(
        r##"
        > FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys, args) redis.call('set', keys[1], args[1]) return keys[1] end) redis.register_function{function_name='g', callback=function() return redis.call('get','k') end, flags={'no-writes'}, description='reads'}"
        lib
        > FCALL f 1 k v
        k
        = set k v
        > FCALL_RO g 0
        v
        > FCALL_RO f 1 k v
        -ERR Can not execute a script with write flag using *_ro command.
        > FCALL nosuch 0
        -ERR Function not found
        > FUNCTION LOAD "#!lua name=lib\nreturn 1"
        -ERR Library 'lib' already exists
        > FUNCTION LOAD "#!lua name=other\nreturn 1"
        -ERR No functions registered
        > FUNCTION LOAD "#!lua name=other\nredis.register_function('f', function() end)"
        -ERR Function f already exists
        > FUNCTION LOAD "#!lua name=other\nredis.call('set','a','b')"
        -ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'
        > FUNCTION LOAD "#!lua name=other\nwhile true do end"
        -ERR Error registering functions: FUNCTION LOAD timeout
        > FUNCTION DELETE nosuch
        -ERR Library not found
        "##,
    );
    assert_eq!(h.replayed().run("FCALL_RO g 0"), "v");
    h.run("FUNCTION FLUSH");
    assert_eq!(h.replayed().run("FCALL_RO g 0"), "-ERR Function not found");
}

#[test]
fn json_and_bits() {
    let mut h = Harness::new();
    for (script, want) in [
        ("return cjson.decode('[1,{\"a\":[true,null]}]')[2].a[1]", ":1\r\n"),
        ("return cjson.encode({1,2,{a='x/y'}})", "$18\r\n[1,2,{\"a\":\"x\\/y\"}]\r\n"),
        ("return cjson.encode({})", "$2\r\n{}\r\n"),
        ("return cjson.encode(0.1)", "$3\r\n0.1\r\n"),
        ("return cjson.encode(1e300)", "$6\r\n1e+300\r\n"),
        ("return bit.tohex(bit.bxor(0xff, 0x0f))", "$8\r\n000000f0\r\n"),
        ("return bit.lshift(1, 31)", ":-2147483648\r\n"),
        (
            "math.randomseed(7); local a = math.random(1000); math.randomseed(7); return a == math.random(1000)",
            ":1\r\n",
        ),
    ] {
        let reply = String::from_utf8(h.raw(&[b"EVAL", script.as_bytes(), b"0"])).unwrap();
        assert_eq!(reply, want, "{script}");
    }
    let deep =
        "local t = {} local r = t for i = 1, 2000 do t[1] = {} t = t[1] end return cjson.encode(r)";
    let reply = String::from_utf8(h.raw(&[b"EVAL", deep.as_bytes(), b"0"])).unwrap();
    assert!(reply.contains("excessive nesting (1001)"), "{reply}");
    let deep = "return cjson.decode(string.rep('[', 5000))";
    let reply = String::from_utf8(h.raw(&[b"EVAL", deep.as_bytes(), b"0"])).unwrap();
    assert!(reply.contains("too many nested"), "{reply}");
    let own = "local t = {} t[1] = t return t";
    assert!(h.raw(&[b"EVAL", own.as_bytes(), b"0"]).ends_with(b"-ERR reached lua stack limit\r\n"));
}

#[test]
fn many_scripts_stay_callable() {
    let mut h = Harness::new();
    for n in 0..20_000 {
        let script = format!("return {n}");
        assert_eq!(h.raw(&[b"SCRIPT", b"LOAD", script.as_bytes()]).len(), 47, "{n}");
    }
    for n in 0..2000 {
        let script = format!("return {n} + 1");
        assert_eq!(h.run(&format!("EVAL \"{script}\" 0")), format!(":{}", n + 1));
    }
    assert_eq!(h.shard.scripts.cached(), 20_500);
    assert_eq!(h.run("EVAL \"return 7\" 0"), ":7");
}
