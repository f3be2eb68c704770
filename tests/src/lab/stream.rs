//! A stream from a guest, read on the customer's side of the network: when did each byte come?

use std::{
    io::{ErrorKind, Read as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::net::Netns;

/// A reader of an endless TCP stream. Dropping it closes the connection.
pub struct StreamReader {
    arrivals: Arc<Mutex<Vec<Instant>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StreamReader {
    /// Connects from `netns` to `peer` and reads.
    ///
    /// # Errors
    /// If the connection is not accepted within 10 s.
    pub fn start(netns: &Netns, peer: SocketAddr) -> anyhow::Result<Self> {
        let limit = Duration::from_secs(10);
        let mut stream = netns.within(move || TcpStream::connect_timeout(&peer, limit))??;
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (sink, stopped) = (Arc::clone(&arrivals), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(_) => lock(&sink).push(Instant::now()),
                    Err(error)
                        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => break,
                }
            }
        });
        Ok(Self { arrivals, stop, thread: Some(thread) })
    }

    /// How often something has come.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.arrivals).len()
    }

    /// When something came last.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        lock(&self.arrivals).last().copied()
    }

    /// The longest silence from `from` until now; a stream that has ended is silent since then.
    #[must_use]
    pub fn longest_gap(&self, from: Instant) -> Duration {
        let arrivals = lock(&self.arrivals);
        let mut since = vec![from];
        since.extend(arrivals.iter().copied().filter(|&at| at >= from));
        since.push(Instant::now());
        since.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
