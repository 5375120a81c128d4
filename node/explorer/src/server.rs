//! The server: its address, its threads and its limits. It turns HTTP into what a [`Site`]
//! understands and back, and adds to every response what protects its readers. It knows neither
//! the node nor the lab.

use crate::{
    assets, events, guard,
    paced::Paced,
    problem::Problem,
    reply::{JSON, Reply},
    routes::{self, Asked, Kind, Verb},
    site::Site,
};
use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_service::{ServiceFactoryExt, map_config};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpResponseBuilder,
    dev::{AppConfig, Server as Listening, ServerHandle, ServiceFactory, fn_service},
    http::{Method, StatusCode, header},
    rt::{System, net::TcpStream},
    web::{self, Data, Payload},
};
use mvb_actors::env::WallClock;
use mvb_node::system::SystemClock;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// Threads that speak HTTP; what reads the chain runs on others.
const WORKERS: usize = 2;

/// Threads that read the chain, for each of these.
const READERS: usize = 2;

/// The most connections, for each worker.
const CONNECTIONS: usize = 64;

/// The longest body.
const MAX_BODY_BYTES: usize = 16 << 10;

/// How long a request may take to come, a connection may be silent between two, and an answer may
/// wait to be taken.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How many ports after the one asked for are tried.
const PORTS_TRIED: u16 = 100;

/// Where to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    /// The address.
    pub address: SocketAddr,
    /// Whether the next ports are tried where this one is taken.
    pub try_next_ports: bool,
    /// How long whoever is slow is waited for; [`PATIENCE`] but in tests.
    pub patience: Duration,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not to be had.
    #[error("cannot serve the explorer at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start the explorer's thread: {0}")]
    Thread(io::Error),
}

/// A server at work. Dropping it ends it.
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
}

/// What every request needs.
#[derive(Clone)]
struct Served<S> {
    site: S,
    streams: Arc<Semaphore>,
}

/// Serves a site on threads of its own.
///
/// # Errors
/// When the address is not to be had.
pub fn serve(site: impl Site, config: ServeConfig) -> Result<Server, ServeError> {
    let listener = bind(config)?;
    let failed = |source| ServeError::Bind {
        address: config.address,
        source,
    };
    let address = listener.local_addr().map_err(failed)?;
    let served = Served {
        site,
        streams: Arc::new(Semaphore::new(events::MOST_STREAMS)),
    };
    let (started, wait) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("explorer".to_owned())
        .spawn(move || {
            System::new().block_on(async move {
                let server = Listening::build()
                    .workers(WORKERS)
                    .worker_max_blocking_threads(READERS)
                    .max_concurrent_connections(CONNECTIONS)
                    .disable_signals()
                    .listen("explorer", listener, move || {
                        speaking(served.clone(), config.patience)
                    });
                match server.map(|server| server.run()) {
                    Ok(server) => {
                        drop(started.send(Ok(server.handle())));
                        if let Err(error) = server.await {
                            tracing::error!(%error, "the explorer has ended");
                        }
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        })
        .map_err(ServeError::Thread)?;
    let handle = wait
        .recv()
        .map_err(|_| failed(io::Error::other("its thread has ended")))?
        .map_err(failed)?;
    Ok(Server { address, handle })
}

impl Server {
    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page to open in a browser on this machine.
    pub fn url(&self) -> String {
        let mut shown = self.address;
        if shown.ip().is_unspecified() {
            shown.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        format!("http://{shown}/")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The command is on its way once the future is made; nobody waits for its end, for
        // a request may wait for an actor that is ending as well.
        drop(self.handle.stop(false));
    }
}

/// What speaks HTTP on a connection. This is what the library's own server does, but for the
/// patience with whoever does not read.
fn speaking<S: Site>(
    served: Served<S>,
    patience: Duration,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
{
    let app = App::new()
        .app_data(Data::new(served))
        .default_service(web::to(handle::<S>));
    let http = HttpService::build()
        .client_request_timeout(patience)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(patience)
        .finish(map_config(app, |()| AppConfig::default()));
    let paced = move |stream: TcpStream| async move {
        let peer = stream.peer_addr().ok();
        // An answer is written at once: to wait for more would only delay it.
        stream.set_nodelay(true)?;
        Ok((Paced::new(stream, patience), Protocol::Http1, peer))
    };
    fn_service(paced).map_err(DispatchError::Io).and_then(http)
}

fn bind(config: ServeConfig) -> Result<TcpListener, ServeError> {
    let mut address = config.address;
    let last = match config.try_next_ports {
        true => address.port().saturating_add(PORTS_TRIED),
        false => address.port(),
    };
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() < last => {
                address.set_port(address.port() + 1);
            }
            Err(source) => {
                let address = config.address;
                return Err(ServeError::Bind { address, source });
            }
        }
    }
}

/// Every request comes through here.
async fn handle<S: Site>(
    http: HttpRequest,
    payload: Payload,
    served: Data<Served<S>>,
) -> HttpResponse {
    let site = &served.site;
    let kind = routes::kind(http.path());
    if let Err(problem) = guard::check(http.uri(), http.headers()) {
        return respond(&site.refuse(kind, &problem));
    }
    if let Some(asset) = assets::at(http.path()) {
        let mut reply = Reply::of(asset.kind, asset.content);
        reply.is_lasting = true;
        return respond(&reply);
    }
    if http.path() == "/events" && http.method() == Method::GET {
        return live(&served);
    }
    let mut response = match ask(&http, payload, site).await {
        Ok(reply) => respond(&reply),
        Err(problem) => respond(&site.refuse(kind, &problem)),
    };
    // A refused method is told which would do.
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(methods) = site.allowed(http.path()).parse()
    {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

async fn ask(http: &HttpRequest, payload: Payload, site: &impl Site) -> Result<Reply, Problem> {
    let verb = match *http.method() {
        Method::GET | Method::HEAD => Verb::Get,
        // What is not asked for with a body is told before the body's kind is looked at.
        Method::POST if site.allowed(http.path()).contains("POST") => Verb::Post,
        _ => {
            return Err(routes::wrong_method(
                http.path(),
                &site.allowed(http.path()),
            ));
        }
    };
    let body = match verb {
        Verb::Get => Vec::new(),
        Verb::Post => body(http, payload, site.body_kind()).await?,
    };
    let from = http.peer_addr();
    let from = from.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let (path, query) = (http.path().to_owned(), http.query_string().to_owned());
    let site = site.clone();
    let answered = web::block(move || {
        site.answer(Asked {
            verb,
            path: &path,
            query: &query,
            body,
            from,
            now: SystemClock.now(),
        })
    });
    answered.await.map_err(|_| Problem::going_down())
}

/// The body of what is submitted, of the kind that the site takes.
async fn body(http: &HttpRequest, payload: Payload, expected: &str) -> Result<Vec<u8>, Problem> {
    let kind = http.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some(expected) {
        let code = if expected == JSON {
            "not_json"
        } else {
            "not_a_form"
        };
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code,
            format!("expected a body of kind {expected}"),
        ));
    }
    let read = timeout(PATIENCE, payload.to_bytes_limited(MAX_BODY_BYTES)).await;
    match read {
        Ok(Ok(Ok(bytes))) => Ok(bytes.to_vec()),
        Ok(Ok(Err(_))) => Err(Problem::malformed("the body did not come whole")),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("expected a body of at most {MAX_BODY_BYTES} bytes"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the body did not come in time",
        )),
    }
}

fn live<S: Site>(served: &Served<S>) -> HttpResponse {
    let Ok(place) = served.streams.clone().try_acquire_owned() else {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            format!(
                "at most {} pages follow a node at once",
                events::MOST_STREAMS
            ),
        );
        return respond(&served.site.refuse(Kind::Api, &problem));
    };
    let mut response = HttpResponse::Ok();
    guard::protect(&mut response);
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(served.site.follow(place))
}

/// A reply as a response.
fn respond(reply: &Reply) -> HttpResponse {
    let mut response = HttpResponseBuilder::new(reply.status);
    guard::protect(&mut response);
    let keep = match reply.is_lasting {
        true => "public, max-age=31536000, immutable",
        false => "no-store",
    };
    response
        .insert_header((header::CONTENT_TYPE, reply.kind))
        .insert_header((header::CACHE_CONTROL, keep));
    if let Some(location) = &reply.location {
        response.insert_header((header::LOCATION, location.as_str()));
    }
    response.body(reply.body.clone())
}
