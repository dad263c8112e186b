//! [`Server`]: the monitor over HTTP, in threads of its own.

mod guard;
mod pace;
mod routes;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use forelog::{EncryptionKey, Error, ErrorKind, EventMonitor, EventSystem, Result};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::source::Source;
use guard::{Client, Guard};

/// How many connections and streams are open at most.
const CONNECTIONS_MAX: usize = 128;
const STREAMS_MAX: usize = 32;
/// How many answers are made at once; others wait.
const ANSWERS_MAX: usize = 8;
/// How long a client may take to say what it wants.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// How many bytes of headers are read.
const HEADERS_MAX: usize = 64 << 10;

/// Where a server listens, and what it asks for.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The address; 127.0.0.1:9898 by default. Port 0 is any free one.
    pub listen: SocketAddr,
    /// What whoever changes something must show, and on an address that is not of this machine, everybody.
    pub token: Option<String>,
    /// With which certificate it speaks TLS; without one, it does not.
    pub tls: Option<TlsSettings>,
    /// For how long a client may read nothing of what it is sent before its connection is closed; 30 s by
    /// default.
    pub read_within: Duration,
    /// The key of a directory that is served, where its events are encrypted.
    pub encryption_key: Option<EncryptionKey>,
}

/// What TLS needs, as PEM.
#[derive(Clone)]
pub struct TlsSettings {
    /// The certificate, and those between it and the one that clients trust.
    pub certificates: String,
    /// Its private key.
    pub key: String,
}

impl fmt::Debug for TlsSettings {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings").finish_non_exhaustive()
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 9898)),
            token: None,
            tls: None,
            read_within: Duration::from_secs(30),
            encryption_key: None,
        }
    }
}

/// A monitor that answers over HTTP until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    ends: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What all answers are made of.
#[derive(Clone)]
struct Shared {
    source: Arc<Source>,
    guard: Arc<Guard>,
    streams: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

impl Server {
    /// Serves a system of this process. It keeps a handle to the system: close the system, or stop the server,
    /// to end it.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for an address of another than this machine without a token;
    /// [`Io`](ErrorKind::Io) if it cannot listen there.
    pub fn embedded(
        system: &EventSystem,
        monitor: &EventMonitor,
        settings: ServerSettings,
    ) -> Result<Server> {
        Server::start(Source::live(system, monitor), settings)
    }

    /// Serves a directory, which is only read.
    ///
    /// # Errors
    /// As [`Server::embedded`] and [`EventStore::open_read_only`](forelog::EventStore::open_read_only).
    pub fn beside(path: impl AsRef<Path>, settings: ServerSettings) -> Result<Server> {
        let source = Source::files(path.as_ref(), settings.encryption_key.as_ref())?;
        Server::start(source, settings)
    }

    fn start(source: Source, settings: ServerSettings) -> Result<Server> {
        let ServerSettings {
            listen,
            token,
            tls,
            read_within,
            ..
        } = settings;
        let tls = tls.as_ref().map(tls::acceptor).transpose()?;
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() && !listen.ip().is_loopback() {
            let message = format!(
                "{listen} can be reached from elsewhere; give a token (--token-file), or listen on 127.0.0.1"
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let failed = |cause| Error::io("listen on", listen.to_string(), cause);
        let listener = std::net::TcpListener::bind(listen).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AddrInUse => {
                let message = format!(
                    "{listen} is taken by another program; choose another port (--listen), or 0 for any that is free"
                );
                Error::new(ErrorKind::Io, message)
            }
            _ => failed(cause),
        })?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared {
            source: Arc::new(source),
            guard: Arc::new(Guard::new(token, address.ip())),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            answers: Arc::new(Semaphore::new(ANSWERS_MAX)),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("forelog-serve")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (ends, is_over) = oneshot::channel();
        let builder = std::thread::Builder::new().name("forelog-serve".to_owned());
        let talk = Talk { tls, read_within };
        let thread = builder.spawn(move || {
            runtime.block_on(serve(listener, talk, shared, is_over));
            // Streams that are open would never end.
            runtime.shutdown_background();
        });
        Ok(Server {
            address,
            ends: Mutex::new(Some(ends)),
            thread: Mutex::new(Some(thread.map_err(failed)?)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and all connections.
    pub fn stop(&self) {
        let ends = self
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(ends);
        self.wait();
    }

    /// Waits until it has ended.
    pub fn wait(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes connections until it is over.
async fn serve(
    listener: std::net::TcpListener,
    talk: Talk,
    shared: Shared,
    mut is_over: oneshot::Receiver<()>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let router = routes::router(shared);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut is_over => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Too many files are open, as a rule.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // One too many is closed at once.
        if let Ok(permit) = connections.clone().try_acquire_owned() {
            let client = axum::Extension(Client(peer.ip()));
            let (router, talk) = (router.clone().layer(client), talk.clone());
            tokio::spawn(async move {
                talk.greet(stream, router).await;
                drop(permit);
            });
        }
    }
}

/// How is talked with a client.
#[derive(Clone)]
struct Talk {
    tls: Option<TlsAcceptor>,
    read_within: Duration,
}

impl Talk {
    /// Talks to a client, through TLS if that is asked for.
    async fn greet(self, stream: TcpStream, router: axum::Router) {
        let Some(tls) = &self.tls else {
            return self.talk(stream, router).await;
        };
        // Whoever does not get through with it in time is no client.
        if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_WITHIN, tls.accept(stream)).await {
            self.talk(stream, router).await;
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        router: axum::Router,
    ) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.read_within));
        let mut connection = http1::Builder::new();
        connection
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_WITHIN)
            .max_buf_size(HEADERS_MAX);
        let service = TowerToHyperService::new(router);
        // A client that goes away is no error of ours.
        let _ = connection
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
            .await;
    }
}
