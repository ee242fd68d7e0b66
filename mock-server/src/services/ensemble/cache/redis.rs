//! A cache in a Redis. One that is not there makes the service slower, not broken.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisResult, SetExpiry, SetOptions};
use tokio::time::timeout;

use super::CacheError;

/// Longest time that a request waits for a command, connecting included. A Redis on the same
/// network answers in a hundredth of it.
const PATIENCE: Duration = Duration::from_millis(250);

/// One connection for all requests, made when the first command needs it, and made anew after it
/// was lost: the command that finds it lost fails, a later one gets the new connection.
#[derive(Debug)]
pub(super) struct Redis(ConnectionManager);

impl Redis {
    /// Connects to nothing yet.
    pub(super) fn new(url: &str) -> RedisResult<Redis> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            // The next command tries again: none waits for more than one attempt.
            .set_number_of_retries(0);
        Client::open(url)?.get_connection_manager_lazy(config).map(Redis)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let mut connection = self.0.clone();
        in_time(connection.get(key)).await
    }

    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        let mut connection = self.0.clone();
        // Redis does not take 0 for a time to live.
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let options = SetOptions::default().with_expiration(SetExpiry::PX(ttl));
        in_time(connection.set_options(key, bytes, options)).await
    }
}

async fn in_time<T>(command: impl Future<Output = RedisResult<T>>) -> Result<T, CacheError> {
    match timeout(PATIENCE, command).await {
        Ok(done) => done.map_err(|error| CacheError(error.to_string())),
        Err(_) => Err(CacheError(format!("no answer within {PATIENCE:?}"))),
    }
}
