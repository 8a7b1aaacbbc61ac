//! What scripts see of replies, and what is made of what they return: the model of
//! [`moon_engine::script::hostile`], on replies of every kind and on Lua values of every shape.

use moon_engine::script::hostile;
use moon_formats::resp::{Proto, Reply, Value};
use proptest::collection::vec;
use proptest::prelude::*;

fn reply() -> impl Strategy<Value = Value> {
    let text = || prop_oneof!["[a-c]{0,3}".prop_map(String::into_bytes), vec(any::<u8>(), 0..6)];
    let line = || "[ -~]{0,40}".prop_map(String::into_bytes);
    let number = prop_oneof![
        -3i64..3,
        any::<i64>(),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(1 << 53),
        Just((1 << 53) + 1)
    ];
    let leaf = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        number.prop_map(Value::Int),
        text().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        "-?[0-9]{1,30}".prop_map(|n| Value::BigNumber(n.into_bytes())),
        (any::<[u8; 3]>(), text()).prop_map(|(format, text)| Value::Verbatim(format, text)),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let pairs = || vec((inner.clone(), inner.clone()), 0..5);
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec(inner.clone(), 0..6).prop_map(Value::Push),
            vec(inner.clone(), 0..6).prop_map(Value::Set),
            pairs().prop_map(Value::Map),
            (pairs(), inner.clone()).prop_map(|(all, v)| Value::Attribute(all, Box::new(v))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn replies_come_back_from_lua_as_they_went(value in reply(), written in any::<bool>(), seen in 0u8..4) {
        let mut input = vec![seen];
        let proto = if written { Proto::Resp3 } else { Proto::Resp2 };
        value.write(&mut Reply::new(&mut input, proto));
        hostile(&input);
    }

    #[test]
    fn any_value_of_lua_is_one_reply(mut plan in vec(any::<u8>(), 0..300), deep in any::<bool>()) {
        if deep {
            // Arrays of one element, one in the other.
            plan.splice(1.min(plan.len()).., [8, 1].repeat(1050));
        }
        hostile(&plan);
    }
}
