//! The API: its documents, its paging, its refusals, and that the OpenAPI document describes
//! what is there.

use super::world::{self, World};
use crate::{
    api::Document,
    routes::{Kind, ROUTES, Verb},
};
use mvb_actors::messages::Refusal;
use mvb_protocol::{
    amount::Amount,
    hash::TxId,
    numbers::{Height, Sequence},
    transaction::TransactionError,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use utoipa::OpenApi;

async fn json(world: &World, target: &str) -> Value {
    serde_json::from_str(&world.text(target).await).unwrap()
}

#[test]
fn the_openapi_document_describes_every_route_and_no_other() {
    let document = serde_json::to_value(Document::openapi()).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let name = path
            .split('{')
            .nth(1)
            .and_then(|rest| rest.split('}').next());
        let pattern = match name {
            Some(name) => path.replace(&format!("{{{name}}}"), "{}"),
            None => path.clone(),
        };
        for (method, operation) in methods.as_object().unwrap() {
            let mut parameters = BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "query" {
                    parameters.insert(parameter["name"].as_str().unwrap().to_owned());
                }
            }
            described.insert((pattern.clone(), method.clone(), parameters));
        }
    }
    let routes = ROUTES.iter().filter(|route| {
        route.kind == Kind::Api
            && route.path.starts_with("/api/v1")
            && !route.path.ends_with(".json")
    });
    let served: BTreeSet<_> = routes
        .map(|route| {
            let method = match route.verb {
                Verb::Get => "get",
                Verb::Post => "post",
            };
            let parameters = route.parameters.iter().map(|name| (*name).to_owned());
            (
                route.path.to_owned(),
                method.to_owned(),
                parameters.collect(),
            )
        })
        .collect();
    assert_eq!(described, served);
}

#[actix_web::test]
async fn every_document_has_what_its_description_requires() {
    let world = World::new();
    let document = serde_json::to_value(Document::openapi()).unwrap();
    for (target, schema) in [
        ("/api/v1/params".to_owned(), "Params"),
        ("/api/v1/tip".to_owned(), "Tip"),
        ("/api/v1/blocks".to_owned(), "Headers"),
        ("/api/v1/blocks/3".to_owned(), "Block"),
        (format!("/api/v1/blocks/{}", world.orphan), "Block"),
        (
            format!("/api/v1/transactions/{}", world.confirmed),
            "Payment",
        ),
        (format!("/api/v1/transactions/{}", world.waiting), "Payment"),
        (format!("/api/v1/addresses/{}", world.alice), "Account"),
        (
            format!("/api/v1/addresses/{}/history", world.alice),
            "History",
        ),
        ("/api/v1/mempool".to_owned(), "Mempool"),
        ("/api/v1/peers".to_owned(), "Peers"),
        ("/api/v1/forks".to_owned(), "Forks"),
    ] {
        let answer = json(&world, &target).await;
        let schema = &document["components"]["schemas"][schema];
        let described: BTreeSet<&String> =
            schema["properties"].as_object().unwrap().keys().collect();
        let given: BTreeSet<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(given, described, "{target}");
    }
}

#[actix_web::test]
async fn lists_are_read_to_their_end_by_their_cursors() {
    let world = World::new();
    let (mut before, mut heights) = (String::new(), Vec::new());
    loop {
        let page = json(&world, &format!("/api/v1/blocks?limit=7{before}")).await;
        let blocks = page["blocks"].as_array().unwrap();
        heights.extend(blocks.iter().map(|block| block["height"].as_u64().unwrap()));
        match page["next_before"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(heights, (1..=world::BLOCKS).rev().collect::<Vec<_>>());
    let first = json(&world, "/api/v1/mempool?limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = json(&world, &format!("/api/v1/mempool?limit=1&cursor={cursor}")).await;
    assert_eq!(second["transactions"][0]["id"], world.gap.to_string());
    assert_eq!(second["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn a_problem_has_a_code_and_a_message_and_nothing_else() {
    let world = World::new();
    for (target, status, code) in [
        ("/api", 404, "not_found"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/api/v1/blocks/41", 404, "not_found"),
        ("/api/v1/blocks/x", 400, "malformed"),
        ("/api/v1/transactions/x", 400, "malformed"),
        ("/api/v1/addresses/x", 400, "malformed"),
        ("/api/v1/blocks?limit=101", 400, "bad_parameter"),
        ("/api/v1/blocks?limit=0", 400, "bad_parameter"),
        ("/api/v1/blocks?page=2", 400, "bad_parameter"),
        ("/api/v1/mempool?cursor=1", 400, "bad_parameter"),
    ] {
        let reply = world.get(target).await;
        assert_eq!(reply.status.as_u16(), status, "{target}");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["error"]["code"], code, "{target}");
        assert!(body["error"]["message"].is_string());
        assert_eq!(body.as_object().unwrap().len(), 1);
        assert_eq!(body["error"].as_object().unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn a_payment_that_an_answer_holds_can_be_handed_in_again_as_it_is() {
    let world = World::new();
    let found = json(&world, &format!("/api/v1/transactions/{}", world.confirmed)).await;
    let signed = found["signed"].to_string();
    let reply = world.ask(Verb::Post, "/api/v1/transactions", &signed).await;
    assert_eq!(reply.status.as_u16(), 202);
    let accepted: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(accepted, json!({ "id": world.confirmed.to_string() }));
    assert_eq!(*world.submitted.lock().unwrap(), [world::payment(0)]);
}

#[actix_web::test]
async fn each_refusal_of_the_node_has_a_code_of_its_own() {
    let world = World::new();
    let signed = json(&world, &format!("/api/v1/transactions/{}", world.confirmed)).await;
    let signed = signed["signed"].to_string();
    let id = TxId([1; 32]);
    let (next, got) = (Sequence(3), Sequence(2));
    for (refusal, status, code) in [
        (Refusal::Duplicate { id }, 409, "already_waiting"),
        (
            Refusal::Confirmed {
                id,
                height: Height(1),
            },
            409,
            "already_confirmed",
        ),
        (Refusal::SequenceUsed { got, next }, 409, "sequence_used"),
        (
            Refusal::FeeTooLowToReplace {
                other: id,
                least: Amount::ZERO,
            },
            409,
            "fee_too_low_to_replace",
        ),
        (Refusal::Invalid(TransactionError::NoAmount), 422, "invalid"),
        (
            Refusal::SequenceTooFar {
                got,
                next,
                most: 64,
            },
            422,
            "sequence_too_far",
        ),
        (
            Refusal::Uncovered {
                balance: Amount::ZERO,
                needed: Amount::ZERO,
            },
            422,
            "uncovered",
        ),
        (Refusal::Full, 503, "mempool_full"),
        (Refusal::Busy, 429, "busy"),
    ] {
        let words = refusal.to_string();
        *world.refusal.lock().unwrap() = Some(refusal);
        let reply = world.ask(Verb::Post, "/api/v1/transactions", &signed).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status.as_u16(), status, "{code}");
        assert_eq!(body, json!({ "error": { "code": code, "message": words } }));
    }
}

#[actix_web::test]
async fn what_is_no_signed_payment_never_reaches_the_node() {
    let world = World::new();
    let found = json(&world, &format!("/api/v1/transactions/{}", world.confirmed)).await;
    let mut bodies = vec![
        String::new(),
        "[]".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "[".repeat(10_000),
    ];
    for (field, value) in [
        ("amount", json!("1e3")),
        ("amount", json!(1)),
        ("fee", json!("-1")),
        ("sequence", json!(-1)),
        ("key", json!("05")),
        ("key", json!("zz")),
        ("signature", json!("00")),
        ("to", json!("12")),
        ("genesis", json!(null)),
        ("more", json!("fields")),
    ] {
        let mut signed = found["signed"].clone();
        signed[field] = value;
        bodies.push(signed.to_string());
    }
    for body in bodies {
        let reply = world.ask(Verb::Post, "/api/v1/transactions", &body).await;
        assert_eq!(reply.status.as_u16(), 400, "{body:.60}");
    }
    assert!(world.submitted.lock().unwrap().is_empty());
}

#[actix_web::test]
async fn metrics_are_in_prometheus_text_and_health_is_ok() {
    let world = World::new();
    let text = world.text("/metrics").await;
    for line in text.lines() {
        let is_comment = line.starts_with("# HELP mvb_") || line.starts_with("# TYPE mvb_");
        let is_sample = line.split_once(' ').is_some_and(|(name, value)| {
            name.starts_with("mvb_") && value.parse::<f64>().is_ok_and(f64::is_finite)
        });
        assert!(is_comment || is_sample, "{line}");
    }
    assert!(text.contains("\nmvb_height 40\n"), "{text}");
    assert_eq!(world.text("/healthz").await, "ok\n");
}
