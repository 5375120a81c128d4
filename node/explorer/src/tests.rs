//! Every route on a small chain in memory: what it shows, what it refuses and in which words.
//! `http.rs` asks over a socket.

mod api;
mod http;
mod world;

use crate::{
    assets,
    routes::{ROUTES, Verb},
};
use actix_web::http::StatusCode;
use mvb_protocol::{
    amount::Amount,
    hash::{BlockId, TxId},
};
use world::World;

/// Every path of a page that links to others, with real names in it.
fn paths(world: &World) -> Vec<String> {
    let mut paths: Vec<String> = ["/", "/blocks", "/mempool", "/peers", "/forks"]
        .map(str::to_owned)
        .into();
    paths.push("/blocks/3".to_owned());
    paths.push(format!("/blocks/{}", world.orphan));
    paths.push(format!("/transactions/{}", world.confirmed));
    paths.push(format!("/transactions/{}", world.waiting));
    paths.push(format!("/addresses/{}", world.alice));
    paths
}

#[actix_web::test]
async fn every_page_is_there_and_every_link_on_it_leads_somewhere() {
    let world = World::new();
    let mut seen = paths(&world);
    let mut next = 0;
    while next < seen.len().min(400) {
        let path = seen[next].clone();
        next += 1;
        if assets::at(&path).is_some() {
            continue;
        }
        let reply = world.get(&path).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.status);
        let body = String::from_utf8(reply.body).unwrap();
        for link in body.split("href=\"").skip(1) {
            let link = link.split('"').next().unwrap().replace("&amp;", "&");
            assert!(!link.contains("//"), "{path} leads to another host: {link}");
            if link.starts_with('/') && !seen.contains(&link) {
                seen.push(link);
            }
        }
    }
    assert!(seen.len() > 40, "{}", seen.len());
}

#[actix_web::test]
async fn pages_have_one_heading_a_language_and_labels_and_nothing_written_in_them_runs() {
    let world = World::new();
    for path in paths(&world) {
        let body = world.text(&path).await;
        assert_eq!(body.matches("<h1").count(), 1, "{path}");
        for part in ["<html lang=\"en\"", "<main", "<nav", "<label", "<title>"] {
            assert!(body.contains(part), "{path} has no {part}");
        }
        // The policy forbids what is written into a page; this says where it would be.
        for part in ["style=\"", "<style", "onclick", "javascript:"] {
            assert!(!body.contains(part), "{path} has {part}");
        }
        for script in body.split("<script").skip(1) {
            assert!(script.trim_start().starts_with("src=\"/assets/"), "{path}");
        }
    }
}

#[actix_web::test]
async fn text_from_outside_is_escaped_wherever_it_is_shown() {
    const NASTY: &str = "<script>alert(1)</script>";
    let world = World::new();
    // The network's name and a peer's words are anybody's text.
    for path in paths(&world) {
        let body = world.text(&path).await;
        assert!(!body.contains(NASTY), "{path}");
        assert!(body.contains("&lt;script&gt;"), "{path} shows no name");
    }
    for path in [
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/blocks/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/blocks?before=%3Cscript%3Ealert(1)%3C/script%3E",
        "/blocks?%3Cscript%3Ealert(1)%3C/script%3E=1",
        "/addresses/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ] {
        let reply = world.get(path).await;
        assert!(reply.status.is_client_error(), "{path}");
        let body = String::from_utf8(reply.body).unwrap();
        assert!(
            !body.contains(NASTY) && !body.contains("\"><script"),
            "{path}"
        );
    }
}

/// `PreEscaped` is how a template would be talked out of escaping.
#[test]
fn no_template_escapes_by_hand() {
    let mut folders = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/src").into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                let code = std::fs::read_to_string(&path).unwrap();
                assert!(!code.contains("PreEscaped"), "{}", path.display());
            }
        }
    }
}

#[actix_web::test]
async fn a_search_leads_to_what_was_typed() {
    let world = World::new();
    let address = world.alice.to_string();
    for (typed, location) in [
        ("3".to_owned(), "/blocks/3".to_owned()),
        ("1%2C234".to_owned(), "/blocks/1234".to_owned()),
        (
            world.orphan.to_string(),
            format!("/blocks/{}", world.orphan),
        ),
        (
            world.confirmed.to_string(),
            format!("/transactions/{}", world.confirmed),
        ),
        (
            world.waiting.to_string(),
            format!("/transactions/{}", world.waiting),
        ),
        (world.alice.to_lower_hex(), format!("/addresses/{address}")),
        (address.clone(), format!("/addresses/{address}")),
    ] {
        let reply = world.get(&format!("/search?q={typed}")).await;
        assert_eq!(reply.location, Some(location), "{typed}");
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
    }
    let unknown = world.get(&format!("/search?q={}", "0".repeat(64))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    // One swapped letter of a checksummed address is a mistake, never another address.
    let letter = address.chars().find(char::is_ascii_lowercase).unwrap();
    let swapped = address.replacen(letter, &letter.to_ascii_uppercase().to_string(), 1);
    let mistyped = world.get(&format!("/search?q={swapped}")).await;
    assert_eq!(mistyped.status, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn a_waiting_payment_says_why_and_a_confirmed_one_where_it_stands() {
    let world = World::new();
    let waiting = world
        .text(&format!("/transactions/{}", world.waiting))
        .await;
    assert!(waiting.contains("waits for the next block"), "{waiting}");
    let gap = world.text(&format!("/transactions/{}", world.gap)).await;
    assert!(gap.contains("sequence 4 is missing"), "{gap}");
    let confirmed = world
        .text(&format!("/transactions/{}", world.confirmed))
        .await;
    assert!(confirmed.contains("confirmed") && !confirmed.contains("id=\"why\""));
    let unknown = world.get(&format!("/transactions/{}", TxId([9; 32]))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn an_orphaned_block_says_that_it_is_off_the_chain_and_what_stands_there() {
    let world = World::new();
    let page = world.text(&format!("/blocks/{}", world.orphan)).await;
    assert!(page.contains("not on the active chain"), "{page}");
    assert!(page.contains(&world.tip().id.to_string()));
    let tree = world.text("/forks").await;
    assert!(tree.contains("was replaced") && tree.contains(&world.orphan.to_string()));
    assert!(tree.contains("said to be the better chain"));
}

#[actix_web::test]
async fn a_history_is_read_page_by_page_and_each_entry_comes_once() {
    let world = World::new();
    let mut path = format!("/addresses/{}", world.miner);
    let mut rewards = 0;
    for _ in 0..10 {
        let page = world.text(&path).await;
        rewards += page.matches(">reward</span>").count();
        let Some(older) = page
            .split("\" rel=\"next\"")
            .next()
            .filter(|_| page.contains("rel=\"next\""))
        else {
            break;
        };
        path = older.rsplit("href=\"").next().unwrap().to_owned();
    }
    assert_eq!(rewards as u64, world.tip().height.0);
}

#[actix_web::test]
async fn what_is_not_there_is_told_in_a_sentence_that_says_what_would_be_right() {
    let world = World::new();
    for (path, status, words) in [
        ("/nothing", 404, "There is nothing at"),
        ("/blocks/999999", 404, "the chain ends at height 40"),
        ("/blocks/0", 404, "genesis"),
        ("/blocks/x", 400, "a height such as 12"),
        ("/blocks/3?limit=4", 400, "expected from"),
        ("/transactions/12", 400, "64 hex digits"),
        ("/search?q=", 400, "a height such as 12"),
        ("/blocks?before=-1", 400, "a height such as 12"),
        ("/addresses/x?cursor=1", 400, "64 hex digits"),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.contains(words), "{path}: {body}");
    }
    let genesis = BlockId::from(world.node.params.genesis_id());
    let page = world.get(&format!("/blocks/{genesis}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_node_without_anything_has_pages_that_say_so() {
    let world = World::empty();
    for (path, words) in [
        ("/", "No block yet"),
        ("/blocks", "No block here"),
        ("/mempool", "Nothing waits"),
        ("/peers", "Nobody is heard"),
        ("/forks", "No block yet"),
    ] {
        let page = world.text(path).await;
        assert!(page.contains(words), "{path}: {page}");
    }
    let address = world.text(&format!("/addresses/{}", world.alice)).await;
    assert!(address.contains("Nothing yet"));
}

#[test]
fn every_route_has_a_path_and_verb_of_its_own() {
    for (i, route) in ROUTES.iter().enumerate() {
        assert!(route.path.starts_with('/'));
        let same =
            |other: &&crate::routes::Route| other.path == route.path && other.verb == route.verb;
        assert_eq!(
            ROUTES.iter().position(|r| same(&r)),
            Some(i),
            "{}",
            route.path
        );
        assert!(route.verb == Verb::Get || route.path.starts_with("/api/"));
    }
}

#[actix_web::test]
async fn amounts_are_grouped_and_keep_every_decimal() {
    let world = World::new();
    let page = world
        .text(&format!("/transactions/{}", world.confirmed))
        .await;
    let shown = "1,234<span class=\"decimals\">.000005</span>";
    assert!(page.contains(shown), "{page}");
    assert_eq!(world::PAID, Amount::from_units(1_234_000_005));
}
