//! The connections that share the calls, each to one address: a client has one to every address that it knows.

use std::collections::HashSet;
use std::future::ready;

use tracing::debug;

use super::calls::Questions;
use crate::address::AddressKind;
use crate::{Address, Client, Config, Error, Resolver, RetryPolicy};

/// Connects, in turns to all addresses that answer. Returns so many clients, and how many addresses they lead to.
///
/// # Errors
///
/// [`Error`] if nobody can be reached.
pub(super) async fn connect(
    config: &Config,
    wanted: u16,
    questions: &Questions,
) -> Result<(Vec<Client>, usize), Error> {
    let (mut places, mut failure) = places(config).await;
    let (mut clients, mut turn) = (Vec::new(), 0);
    while clients.len() < wanted.into() {
        turn %= places.len().max(1);
        let Some(place) = places.get(turn) else { break };
        let client = Client::connect(place)?;
        // The first call connects; what else becomes of it tells of the service, which is not measured yet.
        if let Err(error @ Error::Unreachable { .. }) = questions.ask(&client, turn as u64).await {
            debug!("{error}; passed over");
            failure = Some(error);
            places.remove(turn);
        } else {
            clients.push(client);
            turn += 1;
        }
    }
    let addresses = places.len().min(clients.len());
    if addresses > 0 {
        return Ok((clients, addresses));
    }
    Err(failure.unwrap_or_else(|| {
        let name = config.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Error::Unreachable { address: name, reason: "the name resolves to no address".to_owned() }
    }))
}

/// Returns a configuration for each address that a name leads to, with the name for the certificate, and why a name led to
/// none.
async fn places(config: &Config) -> (Vec<Config>, Option<Error>) {
    let (mut places, mut failure, mut seen) = (Vec::new(), None, HashSet::new());
    for address in &config.addresses {
        let place = |resolver| Config {
            addresses: vec![address.clone()],
            resolver,
            retry: RetryPolicy::disabled(),
            ..config.clone()
        };
        let Address(AddressKind::Host(host)) = address else {
            places.extend(seen.insert((address, None)).then(|| place(config.resolver.clone())));
            continue;
        };
        match config.resolver.look_up(&host.name, host.port).await {
            Ok(found) => places.extend(
                found
                    .into_iter()
                    .filter(|socket| seen.insert((address, Some(*socket))))
                    .map(|socket| place(Resolver::new(move |_, _| ready(Ok(vec![socket]))))),
            ),
            Err(error) => {
                failure =
                    Some(Error::Unreachable { address: address.to_string(), reason: error.to_string() });
            }
        }
    }
    (places, failure)
}
