//! Any message of an import is planned without a panic, and each valid movie is stored as it was sent.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use movie_proto::catalog::v1::ImportMoviesRequest;
use movie_service::catalogue::{Record, Snapshot};
use movie_service::movie::Timestamp;
use movie_service::servicer::convert;
use movie_service::store::plan::Plan;
use movie_service::store::{Command, Outcome, ValidCommand};
use prost::Message;

fuzz_target!(|message: &[u8]| {
    let Ok(ImportMoviesRequest { movies }) = ImportMoviesRequest::decode(message) else { return };
    let import = Command::Import(movies.into_iter().map(|movie| convert::movie(movie).0).collect());
    // Invalid movies are never planned.
    let Ok((import, _)) = import.validate() else { panic!("an import is never refused as a whole") };
    let ValidCommand::Import(movies) = &import else { panic!("an import stays one") };
    let snapshot = Snapshot::default();
    let mut plan = Plan::new(&snapshot, HashMap::new(), Timestamp::default());
    let Ok(Outcome::Imported(imported)) = plan.add(&import) else {
        panic!("an import is never refused as a whole")
    };
    let counted = imported.created + imported.updated + imported.unchanged;
    assert_eq!(usize::try_from(counted).expect("as many as were sent"), movies.len());

    // The last of several movies with the same id is kept.
    let sent: HashMap<_, _> = movies.iter().map(|movie| (movie.id.as_str(), movie)).collect();
    let (changes, requests) = plan.finish();
    assert!(requests.is_empty());
    assert_eq!(changes.len() as u64, imported.created + imported.updated);
    let planned: HashMap<_, _> = changes.iter().map(|change| (&*change.id, &change.record)).collect();
    assert_eq!(planned.len(), sent.len());
    for (id, record) in planned {
        let record = record.as_ref().expect("an import removes nothing");
        assert_eq!(Record::from_bytes(record.bytes().clone(), id).as_ref(), Some(record));
        assert_eq!(record.to_movie().without_times(), **sent[id]);
    }
});
