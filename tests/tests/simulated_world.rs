//! The simulated world itself: that it repeats by seed, loses and doubles what it should,
//! and lets nothing out of a machine without power.

use mvb_actors::env::{Channel, Env, SearchJob};
use mvb_protocol::{
    block::Header,
    numbers::{Height, Timestamp},
    params::ChainParams,
};
use mvb_tests::{
    cluster::{Cluster, ClusterConfig, Program},
    sim_net::BLOCK_SERVER_PORT,
};
use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn config(seed: u64) -> ClusterConfig {
    ClusterConfig {
        seed,
        params: Arc::new(ChainParams {
            difficulty: 4,
            ..ChainParams::default()
        }),
        machines: 4,
        miners: 0,
        hashes_per_second: 8.0,
        latency: Duration::from_millis(200),
        slowest_work: Duration::from_millis(100),
        aloud: false,
    }
}

type Heard = Rc<RefCell<Vec<(usize, SocketAddr, Vec<u8>)>>>;

/// Says its number every second, asks whoever speaks to echo three bytes over TCP, and
/// notes what it hears.
fn echo(heard: Heard) -> Program {
    Rc::new(move |machine, env: Env| {
        let heard = heard.clone();
        Box::pin(async move {
            let socket = env.net.open(Channel::Status).await?;
            let listener = env.net.listen().await?;
            tokio::task::spawn_local(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    tokio::task::spawn_local(async move {
                        let mut bytes = [0; 3];
                        if stream.read_exact(&mut bytes).await.is_ok() {
                            let _ = stream.write_all(&bytes).await;
                        }
                    });
                }
            });
            let speaker = env.clone();
            tokio::task::spawn_local(async move {
                loop {
                    let wait = speaker.compute(|| 1_000).await;
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    let _ = speaker
                        .net
                        .broadcast(Channel::Status, &[machine as u8])
                        .await;
                }
            });
            let mut buffer = [0; 16];
            loop {
                let (length, from) = socket.receive(&mut buffer).await?;
                heard
                    .borrow_mut()
                    .push((machine, from, buffer[..length].to_vec()));
                let mut peer = from;
                peer.set_port(BLOCK_SERVER_PORT);
                let echo = tokio::time::timeout(Duration::from_secs(1), async {
                    let mut stream = env.net.connect(peer).await?;
                    stream.write_all(b"abc").await?;
                    let mut bytes = [0; 3];
                    stream.read_exact(&mut bytes).await?;
                    std::io::Result::Ok(bytes)
                });
                if let Ok(Ok(bytes)) = echo.await {
                    assert_eq!(&bytes, b"abc");
                    heard.borrow_mut().push((machine, peer, bytes.to_vec()));
                }
            }
        })
    })
}

/// Runs echoing machines for 20 simulated seconds with a cut, a crash and bad weather.
fn run(seed: u64) -> (String, u64, usize) {
    let heard = Heard::default();
    let mut cluster = Cluster::new(config(seed), echo(heard.clone()));
    cluster.weather().loss.set(0.1);
    cluster.weather().doubled.set(0.1);
    for second in 0..20 {
        match second {
            3 => cluster.cut(0, 1),
            5 => cluster.crash(2),
            9 => cluster.boot(2),
            12 => cluster.mend(0, 1),
            _ => {}
        }
        cluster
            .run_for(Duration::from_secs(1))
            .expect("echoing machines run for ever");
    }
    let (hash, events) = cluster.trace();
    let heard = heard.borrow().len();
    (hash, events, heard)
}

#[test]
fn a_seed_decides_everything_that_happens() {
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(0).0, run(1).0);
}

#[test]
fn a_broadcast_reaches_everybody_and_its_sender() {
    let heard = Heard::default();
    let mut cluster = Cluster::new(config(7), echo(heard.clone()));
    cluster.run_for(Duration::from_millis(2_500)).unwrap();
    for listener in 0..4 {
        for speaker in 0..4u8 {
            let count = heard
                .borrow()
                .iter()
                .filter(|(by, _, bytes)| *by == listener && bytes == &[speaker])
                .count();
            assert!(count >= 1, "n{listener} heard n{speaker} {count} times");
        }
    }
}

#[test]
fn a_cut_is_one_way_until_it_is_mended() {
    let heard = Heard::default();
    let mut cluster = Cluster::new(config(8), echo(heard.clone()));
    let count = |by: usize, from: u8| {
        let heard = heard.borrow();
        heard
            .iter()
            .filter(|(listener, _, bytes)| *listener == by && bytes == &[from])
            .count()
    };
    cluster.cut(0, 1);
    cluster.run_for(Duration::from_secs(5)).unwrap();
    assert_eq!(count(1, 0), 0);
    assert!(count(0, 1) > 0 && count(2, 0) > 0);
    cluster.mend(0, 1);
    cluster.run_for(Duration::from_secs(3)).unwrap();
    assert!(count(1, 0) > 0);
}

#[test]
fn nothing_leaves_a_machine_without_power_and_it_boots_again() {
    let heard = Heard::default();
    let mut cluster = Cluster::new(config(9), echo(heard.clone()));
    cluster.run_for(Duration::from_secs(3)).unwrap();
    cluster.crash(3);
    cluster.run_for(Duration::from_secs(1)).unwrap();
    let before = heard.borrow().len();
    cluster.run_for(Duration::from_secs(4)).unwrap();
    let since = |heard: &Heard| {
        let heard = heard.borrow();
        let spoken = |by: usize, bytes: &[u8]| by == 3 || bytes == [3];
        heard[before..]
            .iter()
            .any(|(by, _, bytes)| spoken(*by, bytes))
    };
    assert!(!since(&heard));
    cluster.boot(3);
    cluster.run_for(Duration::from_secs(4)).unwrap();
    assert!(since(&heard));
}

/// A header to search for at the cluster's difficulty.
fn search_job(env: &Env, nonce: u64) -> SearchJob {
    let compact = env.params.easiest_target();
    let header = Header {
        previous: env.params.genesis_id().into(),
        content_root: Default::default(),
        version: 1,
        target: compact,
        height: Height(1),
        timestamp: Timestamp(1),
        nonce,
    };
    let target = compact.expand().expect("the easiest target is canonical");
    SearchJob::single(header, target)
}

#[test]
fn a_search_takes_as_long_as_target_and_rate_say_and_finds_a_real_nonce() {
    let found = Rc::new(RefCell::new(0u32));
    let (count, mut config) = (found.clone(), config(10));
    (config.machines, config.miners) = (1, 1);
    let program: Program = Rc::new(move |_, env: Env| {
        let count = count.clone();
        Box::pin(async move {
            for nonce in 0.. {
                let job = search_job(&env, nonce);
                let target = job.target;
                let (sender, receiver) = tokio::sync::oneshot::channel();
                env.searcher.start(
                    job,
                    Box::new(move |header| {
                        let _ = sender.send(header);
                    }),
                );
                let header = receiver.await?;
                assert!(target.is_met_by(&header.id()));
                *count.borrow_mut() += 1;
            }
            Ok(())
        })
    });
    // 16 hashes at 8 a second: two seconds each.
    let mut cluster = Cluster::new(config, program);
    cluster.run_for(Duration::from_secs(400)).unwrap();
    assert!((150..250).contains(&*found.borrow()), "{found:?}");
    cluster.set_mining(false);
    let before = *found.borrow();
    cluster.run_for(Duration::from_secs(100)).unwrap();
    assert_eq!(*found.borrow(), before);
}

#[test]
fn a_search_that_was_given_up_finds_nothing() {
    let found = Rc::new(RefCell::new(false));
    let (seen, mut config) = (found.clone(), config(11));
    (config.machines, config.miners) = (1, 1);
    let program: Program = Rc::new(move |_, env: Env| {
        let seen = seen.clone();
        Box::pin(async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let on_found = Box::new(move |header| {
                let _ = sender.send(header);
            });
            env.searcher.start(search_job(&env, 0), on_found);
            env.searcher.stop();
            *seen.borrow_mut() = receiver.await.is_ok();
            std::future::pending().await
        })
    });
    let mut cluster = Cluster::new(config, program);
    cluster.run_for(Duration::from_secs(60)).unwrap();
    assert!(!*found.borrow());
}

#[test]
fn a_power_cut_loses_the_writes_that_wait() {
    let written = Arc::new(AtomicU32::new(0));
    let (writes, mut config) = (written.clone(), config(12));
    (config.machines, config.slowest_work) = (1, Duration::from_millis(500));
    let program: Program = Rc::new(move |_, env: Env| {
        let writes = writes.clone();
        Box::pin(async move {
            for _ in 0..100 {
                let writes = writes.clone();
                env.workers.write(Box::new(move || {
                    writes.fetch_add(1, Ordering::SeqCst);
                }));
            }
            std::future::pending().await
        })
    });
    let mut cluster = Cluster::new(config, program);
    cluster.run_for(Duration::from_secs(5)).unwrap();
    cluster.crash(0);
    let at_the_cut = written.load(Ordering::SeqCst);
    assert!((1..100).contains(&at_the_cut), "{at_the_cut}");
    cluster.run_for(Duration::from_secs(50)).unwrap();
    assert_eq!(written.load(Ordering::SeqCst), at_the_cut);
}

#[test]
fn a_panic_anywhere_on_a_machine_ends_the_run() {
    let mut config = config(13);
    config.machines = 1;
    let program: Program = Rc::new(move |_, _| {
        Box::pin(async move {
            tokio::task::spawn_local(async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                panic!("this panic belongs to the test");
            });
            std::future::pending().await
        })
    });
    let mut cluster = Cluster::new(config, program);
    let end = cluster.run_for(Duration::from_secs(2));
    assert!(end.is_err_and(|what| what.contains("panicked")));
    assert!(cluster.step().is_err());
}
