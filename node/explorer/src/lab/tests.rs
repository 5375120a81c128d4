//! The lab's page over a socket: what its forms send on, and which forms are refused.

use super::*;
use crate::{PATIENCE, ServeConfig, Server, serve};
use mvb_node::lab::{Balance, Branch, ForestBlock, Stands, TreeBlock};
use mvb_protocol::{amount::Amount, chain::Tip, hash::BlockId, numbers::Height, target::Work};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

const TOKEN: &str = "0123456789abcdef";

fn block(byte: u8, previous: u8, height: u64, stands: Stands, tip_of: &[&str]) -> ForestBlock {
    ForestBlock {
        block: TreeBlock {
            height: Height(height),
            id: BlockId([byte; 32]),
            miner: "m1".to_owned(),
            payments: usize::from(byte == 2),
        },
        previous: BlockId([previous; 32]),
        stands,
        tip_of: tip_of.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// A lab that is split, with a fork and a block that was given up.
fn shown() -> Shown {
    let best = Tip {
        id: BlockId([2; 32]),
        height: Height(2),
        work: Work::ZERO,
    };
    let branch = |machines: &[&str], coins: u64| Branch {
        tip: best,
        machines: machines.iter().map(|name| (*name).to_owned()).collect(),
        blocks: Vec::new(),
        balances: vec![Balance {
            name: "alice".to_owned(),
            amount: Amount::from_units(coins * 1_000_000),
        }],
        waiting: 0,
    };
    Shown {
        block_seconds: 1.5,
        forest: Forest {
            best,
            from: Height(1),
            blocks: vec![
                block(1, 0, 1, Stands::Best, &[]),
                block(2, 1, 2, Stands::Best, &["m1"]),
                block(3, 1, 2, Stands::Elsewhere, &["m2", "wallet"]),
                block(4, 1, 2, Stands::Nowhere, &[]),
            ],
        },
        picture: Picture {
            trunk: Vec::new(),
            branches: vec![branch(&["m1"], 7), branch(&["m2", "wallet"], 5)],
        },
        powers: vec![75.0, 25.0],
        sides: vec![
            vec!["m1".to_owned()],
            vec!["m2".to_owned(), "wallet".to_owned()],
        ],
        people: ["m1", "m2", "alice", "bob"].map(str::to_owned).to_vec(),
        told: vec![
            Told::Command("split 1 1".to_owned()),
            Told::Fact("<script>alert(1)</script>".to_owned()),
            Told::Fact("`wait 3`, then `heal`".to_owned()),
        ],
        busy: Some("wait 3".to_owned()),
    }
}

struct Lab {
    server: Server,
    commands: mpsc::Receiver<String>,
    _shown: watch::Sender<Arc<Shown>>,
}

fn start() -> Lab {
    let (sender, shown) = watch::channel(Arc::new(shown()));
    let (told, commands) = mpsc::channel(2);
    let config = ServeConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        try_next_ports: false,
        patience: PATIENCE,
    };
    Lab {
        server: serve(LabPage::new(shown, told, TOKEN), config).unwrap(),
        commands,
        _shown: sender,
    }
}

impl Lab {
    async fn ask(&self, head: &str, body: &str) -> String {
        let address = self.server.address();
        let length = body.len();
        let ask = format!(
            "{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let asking = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(ask.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(asking).await.unwrap()
    }

    /// Sends a form with some header.
    async fn send(&self, header: &str, body: &str) -> u16 {
        let head = format!("POST /do HTTP/1.1\r\n{header}");
        let answer = self.ask(&head, body).await;
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn form(fields: &str) -> String {
    format!("token={TOKEN}&{fields}")
}

const FORM_HEADER: &str = "Content-Type: application/x-www-form-urlencoded";

#[actix_web::test]
async fn each_form_becomes_the_line_that_the_terminal_takes() {
    let mut lab = start();
    for (fields, line) in [
        ("do=split&sides=2+2", "split 2 2"),
        ("do=heal", "heal"),
        ("do=pay&from=m1&to=alice&amount=2.5", "pay m1 alice 2.5"),
        ("do=power&miner=1&percent=90", "power 1 90"),
        ("do=share", "power equal"),
        ("do=attack&attack=majority", "attack majority"),
    ] {
        assert_eq!(lab.send(FORM_HEADER, &form(fields)).await, 303, "{fields}");
        assert_eq!(lab.commands.recv().await.as_deref(), Some(line));
    }
}

#[actix_web::test]
async fn a_form_of_another_page_does_nothing() {
    let mut lab = start();
    let own = format!("{FORM_HEADER}\r\nOrigin: http://{}", lab.server.address());
    let foreign = format!("{FORM_HEADER}\r\nOrigin: http://evil.example");
    let null = format!("{FORM_HEADER}\r\nOrigin: null");
    let heal = form("do=heal");
    assert_eq!(lab.send(&foreign, &heal).await, 403);
    assert_eq!(lab.send(&null, &heal).await, 403);
    assert_eq!(lab.send(FORM_HEADER, "do=heal").await, 403);
    assert_eq!(lab.send(FORM_HEADER, "token=guessed&do=heal").await, 403);
    assert_eq!(lab.send("Content-Type: text/plain", &heal).await, 415);
    assert!(lab.commands.try_recv().is_err());
    assert_eq!(lab.send(&own, &heal).await, 303);
    assert_eq!(lab.commands.recv().await.as_deref(), Some("heal"));
}

#[actix_web::test]
async fn what_is_no_form_of_the_lab_is_refused_and_a_queue_that_is_full_says_so() {
    let lab = start();
    for fields in [
        "do=fly",
        "do=split&sides=1%0aquit",
        "do=heal&also=quit",
        &format!("do=split&sides={}", "1+".repeat(200)),
    ] {
        assert_eq!(lab.send(FORM_HEADER, &form(fields)).await, 400, "{fields}");
    }
    for expected in [303, 303, 503] {
        assert_eq!(lab.send(FORM_HEADER, &form("do=heal")).await, expected);
    }
    for (ask, status) in [
        ("GET /do", "405"),
        ("POST /", "405"),
        ("GET /blocks", "404"),
        ("GET /metrics", "404"),
    ] {
        let answer = lab.ask(&format!("{ask} HTTP/1.1"), "").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[actix_web::test]
async fn the_page_shows_the_fork_who_is_where_and_its_forms_without_a_script() {
    let lab = start();
    let page = lab.ask("GET / HTTP/1.1", "").await;
    for expected in [
        "class=\"active tip\"",
        "class=\"rival\"",
        "class=\"orphaned\"",
        "m2 wallet",
        "by m1, 1 paid",
        "The network is split",
        "At work: <code>wait 3</code>",
        "<code>wait 3</code>, then <code>heal</code>",
        "&lt;script&gt;alert(1)",
        "action=\"/do\" method=\"post\"",
        TOKEN,
        "<option value=\"1 1\" selected>1 | 1</option>",
        "m1 (now 75)",
    ] {
        assert!(page.contains(expected), "{expected:?} in\n{page}");
    }
    assert!(!page.contains("<script>alert"));
    assert_eq!(page.matches("<h1").count(), 1);
}
