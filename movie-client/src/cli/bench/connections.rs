//! Connections of the benchmark. Each is a client with a single address, because a client connects to every address
//! that it knows.

use std::collections::HashSet;
use std::future::ready;

use tracing::debug;

use super::calls::Workload;
use crate::address::AddressKind;
use crate::{Address, Client, Config, Error, Resolver, RetryPolicy};

/// Opens `count` connections, in turns to all reachable addresses. Returns the clients and the number of addresses.
///
/// # Errors
///
/// [`Error`] if no address is reachable.
pub(super) async fn connect(
    config: &Config,
    count: u16,
    workload: &Workload,
) -> Result<(Vec<Client>, usize), Error> {
    let (mut configs, mut failure) = configs(config).await;
    let (mut clients, mut turn) = (Vec::new(), 0);
    while clients.len() < count.into() {
        turn %= configs.len().max(1);
        let Some(config_for) = configs.get(turn) else { break };
        let client = Client::connect(config_for)?;
        // The first call connects. Other errors are ignored before the measurement.
        if let Err(error @ Error::Unreachable { .. }) = workload.call(&client, turn as u64).await {
            debug!("{error}; passed over");
            failure = Some(error);
            configs.remove(turn);
        } else {
            clients.push(client);
            turn += 1;
        }
    }
    let addresses = configs.len().min(clients.len());
    if addresses > 0 {
        return Ok((clients, addresses));
    }
    Err(failure.unwrap_or_else(|| {
        let name = config.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Error::Unreachable { address: name, reason: "the name resolves to no address".to_owned() }
    }))
}

/// Returns one configuration per resolved address, which keeps the host name for the certificate. Also returns the
/// last error of the resolver.
async fn configs(config: &Config) -> (Vec<Config>, Option<Error>) {
    let (mut configs, mut failure, mut seen) = (Vec::new(), None, HashSet::new());
    for address in &config.addresses {
        let config_for = |resolver| Config {
            addresses: vec![address.clone()],
            resolver,
            retry: RetryPolicy::disabled(),
            ..config.clone()
        };
        let Address(AddressKind::Host(host)) = address else {
            configs.extend(seen.insert((address, None)).then(|| config_for(config.resolver.clone())));
            continue;
        };
        match config.resolver.look_up(&host.name, host.port).await {
            Ok(found) => configs.extend(
                found
                    .into_iter()
                    .filter(|socket| seen.insert((address, Some(*socket))))
                    .map(|socket| config_for(Resolver::new(move |_, _| ready(Ok(vec![socket]))))),
            ),
            Err(error) => {
                failure =
                    Some(Error::Unreachable { address: address.to_string(), reason: error.to_string() });
            }
        }
    }
    (configs, failure)
}
