//! The server over a socket: its headers, its limits, and whom it does not answer.

use super::world::World;
use crate::{PATIENCE, ServeConfig, Server, serve};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

fn start(world: &World) -> Server {
    start_with(world, PATIENCE)
}

fn start_with(world: &World, patience: Duration) -> Server {
    let config = ServeConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        try_next_ports: false,
        patience,
    };
    serve(world.node.clone(), config).unwrap()
}

/// Sends bytes and reads what comes until the server closes or says no more for a while.
fn say(server: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // A server that refuses early may have closed already.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(server: &Server, head: &str, body: &str) -> String {
    let length = body.len();
    let request = format!("{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = server.address();
    tokio::task::spawn_blocking(move || say(address, request.as_bytes()))
        .await
        .unwrap()
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_default();
    code.parse()
        .unwrap_or_else(|_| panic!("no answer: {answer:?}"))
}

#[actix_web::test]
async fn every_answer_forbids_what_pages_have_no_need_of() {
    let world = World::new();
    let server = start(&world);
    for path in ["/", "/nothing", "/api/v1/tip", "/metrics", "/assets/x"] {
        let answer = ask(
            &server,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost"),
            "",
        )
        .await;
        let head = answer
            .split("\r\n\r\n")
            .next()
            .unwrap()
            .to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {head}");
        }
        assert!(!head.contains("access-control-allow"), "{path}: {head}");
    }
}

#[actix_web::test]
async fn a_name_that_was_made_to_lead_here_and_a_foreign_page_get_nothing() {
    let world = World::new();
    let server = start(&world);
    for path in ["/", "/api/v1/tip", "/events", "/metrics", "/api/v1/nothing"] {
        let rebound = ask(
            &server,
            &format!("GET {path} HTTP/1.1\r\nHost: evil.example"),
            "",
        )
        .await;
        assert_eq!(status(&rebound), 421, "{path}");
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example");
        let foreign = ask(&server, &head, "").await;
        assert_eq!(status(&foreign), 403, "{path}");
        assert!(!foreign.contains(&world.tip().id.to_string()));
    }
    let post = "POST /api/v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nOrigin: null";
    assert_eq!(status(&ask(&server, post, "{}").await), 403);
}

#[actix_web::test]
async fn what_is_too_long_too_large_or_of_another_kind_is_refused_in_words() {
    let world = World::new();
    let server = start(&world);
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost", "a".repeat(3_000));
    assert_eq!(status(&ask(&server, &long, "").await), 414);
    let post = "POST /api/v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: ";
    let large = format!("{post}application/json");
    assert_eq!(
        status(&ask(&server, &large, &" ".repeat(17 << 10)).await),
        413
    );
    let form = format!("{post}text/plain");
    assert_eq!(status(&ask(&server, &form, "{}").await), 415);
    let header = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "a".repeat(300 << 10)
    );
    let refused = ask(&server, &header, "").await;
    assert!(
        refused.is_empty() || status(&refused) >= 400,
        "{refused:.200}"
    );
    assert!(world.submitted.lock().unwrap().is_empty());
}

#[actix_web::test]
async fn another_method_is_told_which_would_do_and_head_sends_no_body() {
    let world = World::new();
    let server = start(&world);
    for (method, path, allow) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/api/v1/tip", "GET, HEAD"),
        ("GET", "/api/v1/transactions", "POST"),
        ("PUT", "/api/v1/transactions", "POST"),
        ("TRACE", "/", "GET, HEAD"),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        );
        let answer = ask(&server, &head, "").await;
        assert_eq!(status(&answer), 405, "{method} {path}");
        assert!(
            answer
                .to_ascii_lowercase()
                .contains(&format!("allow: {}", allow.to_ascii_lowercase())),
            "{answer}"
        );
    }
    // Whatever its body is said to be, or where nothing is said.
    let answer = ask(&server, "POST /api/v1/tip HTTP/1.1\r\nHost: localhost", "").await;
    assert_eq!(status(&answer), 405, "{answer}");
    let head = ask(&server, "HEAD / HTTP/1.1\r\nHost: localhost", "").await;
    assert_eq!(status(&head), 200);
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[actix_web::test]
async fn assets_are_kept_for_ever_and_named_after_their_content() {
    let world = World::new();
    let server = start(&world);
    for asset in crate::assets::ASSETS {
        let head = format!("GET {} HTTP/1.1\r\nHost: localhost", asset.path());
        let answer = ask(&server, &head, "").await;
        assert_eq!(status(&answer), 200);
        assert!(answer.contains("immutable") && answer.ends_with(asset.content));
    }
}

#[actix_web::test]
async fn a_stream_of_events_begins_at_once_and_more_than_a_few_are_refused() {
    let world = World::new();
    let server = start(&world);
    let address = server.address();
    let refused = tokio::task::spawn_blocking(move || {
        let open = || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
                .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            let mut first = Vec::new();
            let mut bytes = [0; 4_096];
            loop {
                let count = stream.read(&mut bytes).unwrap();
                first.extend_from_slice(&bytes[..count]);
                let text = String::from_utf8_lossy(&first).into_owned();
                if text.contains("event: changed") || status(&text) == 503 {
                    return (stream, text);
                }
            }
        };
        let mut held = Vec::new();
        for _ in 0..crate::events::MOST_STREAMS {
            let (stream, first) = open();
            assert_eq!(status(&first), 200, "{first}");
            held.push(stream);
        }
        open().1
    });
    assert!(refused.await.unwrap().contains("503"));
}

/// Asks again and again and never reads, until the server has let it go.
fn never_reads(server: SocketAddr) {
    let mut stream = TcpStream::connect(server).unwrap();
    let style = crate::assets::STYLE.path();
    let asks = format!("GET {style} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(100);
    // Once its answers are not taken the server reads no more, and this waits with it.
    while stream.write_all(asks.as_bytes()).is_ok() {}
}

#[actix_web::test]
async fn whoever_takes_no_answer_is_let_go_and_whoever_follows_stays() {
    let world = World::new();
    let server = start_with(&world, Duration::from_millis(200));
    let address = server.address();
    let follows = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let patient = Some(Duration::from_secs(20));
        stream.set_read_timeout(patient).unwrap();
        let ask = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(ask).unwrap();
        wait_for_change(&mut stream);
        for _ in 0..3 {
            never_reads(address);
        }
        stream
    });
    let mut stream = follows.await.unwrap();
    world.change();
    let heard = tokio::task::spawn_blocking(move || wait_for_change(&mut stream));
    heard.await.unwrap();
}

/// Reads a stream of events until the node has changed.
fn wait_for_change(stream: &mut TcpStream) {
    let mut heard = Vec::new();
    let mut bytes = [0; 4_096];
    while !String::from_utf8_lossy(&heard).contains("event: changed") {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the stream has ended");
        heard.extend_from_slice(&bytes[..count]);
    }
}

#[actix_web::test]
async fn a_port_that_is_taken_is_an_error_where_it_was_asked_for_and_else_the_next_is_served() {
    let world = World::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let config = |try_next_ports| ServeConfig {
        address,
        try_next_ports,
        patience: PATIENCE,
    };
    assert!(serve(world.node.clone(), config(false)).is_err());
    if let Ok(server) = serve(world.node.clone(), config(true)) {
        assert!(server.address().port() > address.port());
        assert_eq!(server.url(), format!("http://{}/", server.address()));
    }
}

#[actix_web::test]
async fn a_dropped_server_takes_no_more_connections() {
    let world = World::new();
    let server = start(&world);
    let address = server.address();
    drop(server);
    let mut tries = 0;
    while TcpStream::connect(address).is_ok() {
        tries += 1;
        assert!(tries < 1_000, "it is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
