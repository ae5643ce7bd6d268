//! A server's face to the world, as a reverse proxy: it speaks TLS and hands on what it decrypts.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A running front. Dropping it stops it.
pub(crate) struct Front {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Speaks TLS on a free port of the loopback address and pipes each connection to a plain server.
    pub(crate) fn new(config: Arc<ServerConfig>, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::spawn(move || serve(listener, &TlsAcceptor::from(config), to, stopped));
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The same before one of the fakes, by its URL.
    pub(crate) fn before(config: Arc<ServerConfig>, url: &str) -> Self {
        Self::new(config, url.trim_start_matches("http://").parse().unwrap())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://localhost:<port>`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    listener: TcpListener,
    acceptor: &TlsAcceptor,
    to: SocketAddr,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pipe(acceptor.clone(), client, to));
            }
        });
        let _ = stopped.await;
    });
    runtime.shutdown_background();
}

async fn pipe(acceptor: TlsAcceptor, client: TcpStream, to: SocketAddr) {
    match acceptor.accept(client).into_fallible().await {
        Ok(mut client) => {
            let mut server = TcpStream::connect(to).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
        Err((_, mut client)) => {
            // What the client has sent already is read, or the system would take back the alert that says why.
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
    }
}
