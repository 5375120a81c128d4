//! Networks of a test's own. A test runs again inside a new user, network, mount and
//! process namespace, so that every port is free, no packet leaves, and whatever it
//! started or configured ends with it. In there [`Bridge`] gives it hosts on a cable
//! that can be cut. Where the system does not permit this the test says so and skips;
//! with `MVB_REQUIRE_ALL=1` that is a failure.

use crate::process::{Running, until};
use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    net::Ipv4Addr,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

/// Set inside a namespace to the name of what runs there.
const INSIDE: &str = "MVB_TEST_NAMESPACE";

/// Runs the calling test's body in a network of its own, which has loopback only.
///
/// ```text
/// #[test]
/// fn two_miners_agree() {
///     isolated!(|| { … });
/// }
/// ```
#[macro_export]
macro_rules! isolated {
    ($body:expr) => {{
        fn here() {}
        $crate::namespaces::isolate_test(::std::any::type_name_of_val(&here), $body)
    }};
}

/// Runs a test's body inside a namespace, by running the test's program again for that
/// one test. `here` is the path of a function inside the test, from which its name comes.
///
/// # Panics
/// When the test fails in there, or is skipped although `MVB_REQUIRE_ALL=1`.
pub fn isolate_test(here: &str, body: impl FnOnce()) {
    // The harness names a test by its path without the crate and without `here` itself.
    let path = here.split_once("::").map_or(here, |(_, path)| path);
    let test = path.strip_suffix("::here").unwrap_or(path);
    if is_inside(test) {
        return body();
    }
    if let Err(reason) = permitted() {
        return skip(test, &format!("no network namespace here: {reason}"));
    }
    let mut command = enter(test);
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = Running::spawn(command, test.to_owned()).finish(Duration::from_secs(600));
    assert!(done.status.success(), "{test} inside its namespace: {done}");
    let ran = done.stdout.contains("1 passed");
    assert!(
        ran,
        "{test} is not what the harness calls this test: {done}"
    );
}

/// Whether this process already runs inside the namespace made for `name`; sets up its
/// loopback and its place for named namespaces.
pub fn is_inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).as_deref() != Some(OsStr::new(name)) {
        return false;
    }
    system("ip", &["link", "set", "lo", "up"]);
    system("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    // Process ids in here are others than outside; memory is looked up by them.
    system("mount", &["-t", "proc", "proc", "/proc"]);
    true
}

/// Whether this process runs inside a namespace that a test made for itself.
pub fn is_in_one() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A command that runs this program again inside a new namespace; the caller adds the
/// arguments. The namespace and all in it end with the command.
pub fn enter(name: &str) -> Command {
    let program = std::env::current_exe().expect("the system knows this program's file");
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg(program).env(INSIDE, name);
    command
}

const UNSHARE: [&str; 6] = [
    "-Urnm",
    "--pid",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
];

/// Whether namespaces can be made here; if not, why.
///
/// # Errors
/// What the system said.
pub fn permitted() -> Result<(), &'static str> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let try_it = || {
        let script = "ip link set lo up && mount -t tmpfs tmpfs /run \
                      && mount -t proc proc /proc && ip netns add probe \
                      && nsenter --net=/run/netns/probe true";
        let tried = Command::new("unshare")
            .args(UNSHARE)
            .args(["sh", "-c", script])
            .output()
            .map_err(|error| format!("unshare: {error}"))?;
        match tried.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
        }
    };
    ANSWER
        .get_or_init(try_it)
        .as_ref()
        .copied()
        .map_err(String::as_str)
}

/// Says that a test could not run here.
///
/// # Panics
/// With `MVB_REQUIRE_ALL=1`.
pub fn skip(test: &str, reason: &str) {
    // Past the harness's capture, which would hide it: a skip must not look like a pass.
    let _ = writeln!(io::stderr(), "skipped {test}: {reason}");
    let required = std::env::var_os("MVB_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(
        !required,
        "{test} was skipped, and MVB_REQUIRE_ALL=1: {reason}"
    );
}

/// Hosts on two switches that one cable joins. Made inside a test's own namespace only.
pub struct Bridge {
    hosts: Vec<Host>,
}

/// A host with one interface, `eth0`.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    address: Ipv4Addr,
}

/// On which switch a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The first switch.
    West,
    /// The second switch.
    East,
}

impl Bridge {
    /// One host for each entry, the first at 10.77.0.1, on the switch it names.
    ///
    /// # Panics
    /// Outside a test's namespace, and when the system refuses.
    pub fn build(halves: &[Half]) -> Self {
        assert!(
            is_in_one(),
            "bridges are built inside a test's own namespace only"
        );
        for switch in ["west", "east"] {
            ip(&["link", "add", switch, "type", "bridge"]);
            ip(&["link", "set", switch, "up"]);
        }
        ip(&[
            "link", "add", "cable-w", "type", "veth", "peer", "name", "cable-e",
        ]);
        for (end, switch) in [("cable-w", "west"), ("cable-e", "east")] {
            ip(&["link", "set", end, "master", switch]);
            ip(&["link", "set", end, "up"]);
        }
        let host = |(index, half): (usize, &Half)| {
            let number = u8::try_from(index + 1).expect("a handful of hosts");
            Host::plug_in(number, *half)
        };
        Self {
            hosts: halves.iter().enumerate().map(host).collect(),
        }
    }

    /// A host by its place in the list.
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// Pulls the cable between the switches.
    pub fn cut(&self) {
        ip(&["link", "set", "cable-w", "down"]);
    }

    /// Plugs it in again, and waits until both switches forward: the system looks at its
    /// links once a second, and what is sent before that is lost.
    pub fn heal(&self) {
        ip(&["link", "set", "cable-w", "up"]);
        for end in ["cable-w", "cable-e"] {
            let forwards = || {
                let shown = Command::new("ip")
                    .args(["-d", "link", "show", end])
                    .output();
                shown.is_ok_and(|shown| {
                    String::from_utf8_lossy(&shown.stdout).contains("state forwarding")
                })
            };
            until("forwarding switch", forwards);
        }
    }
}

impl Host {
    fn plug_in(number: u8, half: Half) -> Self {
        let name = format!("host{number}");
        let address = Ipv4Addr::new(10, 77, 0, number);
        let port = format!("port{number}");
        let switch = match half {
            Half::West => "west",
            Half::East => "east",
        };
        ip(&["netns", "add", &name]);
        ip(&[
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name,
        ]);
        ip(&["link", "set", &port, "master", switch]);
        ip(&["link", "set", &port, "up"]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        ip(&[
            "-n",
            &name,
            "addr",
            "add",
            &format!("{address}/24"),
            "dev",
            "eth0",
        ]);
        ip(&["-n", &name, "link", "set", "eth0", "up"]);
        Self { name, address }
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The command that runs another one on this host.
    pub fn entry(&self) -> Vec<OsString> {
        vec![
            "nsenter".into(),
            format!("--net=/run/netns/{}", self.name).into(),
        ]
    }

    /// Takes its interface down: no route to anybody.
    pub fn unplug(&self) {
        ip(&["-n", &self.name, "link", "set", "eth0", "down"]);
    }

    /// Brings its interface up again.
    pub fn plug(&self) {
        ip(&["-n", &self.name, "link", "set", "eth0", "up"]);
    }
}

fn ip(arguments: &[&str]) {
    system("ip", arguments);
}

/// Runs a system command that must succeed.
fn system(program: &str, arguments: &[&str]) {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}
