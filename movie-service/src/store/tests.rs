//! Model-based test: one node over an in-memory database that loses commits, is restored, and fails.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::{Mutex, mpsc};

use crate::catalogue::{
    Catalogue, ChainValue, Change, ChangesError, CommittedChange, HistoryPoint, LoadedChanges, Record,
    Snapshot, StoreContent,
};
use crate::movie::{Movie, Revision, ValidMovie};
use crate::store::command::{Outcome, ValidCommand, WriteError};
use crate::store::engine::{Engine, PollResult};
use crate::store::error::StoreError;
use crate::store::follower::Follower;
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::replica::Replica;
use crate::store::reply::reply;
use crate::store::status::{AccessMode, StatusSender, StoreStatus};
use crate::store::writer::{QueuedWrite, Writer};
use crate::telemetry::store_metrics::StoreMetrics;

/// Outcome of a COMMIT of the node.
#[derive(Clone, Copy, Debug)]
enum Commit {
    Succeeds,
    /// The transaction is rolled back.
    Fails,
    /// The connection is lost after the commit.
    LostAfter,
    /// The connection is lost before the commit.
    LostBefore,
}

#[derive(Clone, Debug)]
enum Step {
    /// The node writes a movie.
    Write(String, Commit),
    /// Another node commits.
    Other(Vec<(String, bool)>),
    /// The latest commits are lost, as in a failover to a replica that lacks them.
    Lose(usize),
    /// The database is backed up.
    BackUp,
    /// A backup is restored.
    Restore(usize),
    /// The change log is compacted.
    Compact(u64),
    /// The node polls.
    Poll,
    /// The node polls, and the database does not answer.
    FailPoll,
}

/// The state of a database.
#[derive(Clone, Default)]
struct State {
    snapshot: Snapshot,
    /// The first entry only provides a chain value.
    log: Vec<CommittedChange>,
}

impl State {
    fn new() -> Self {
        let start = HistoryPoint { revision: Revision::default(), chain: ChainValue::from_bytes([7; 16]) };
        let anchor = CommittedChange { point: start, id: "".into(), record: None };
        Self { snapshot: Snapshot::default().at(start), log: vec![anchor] }
    }

    fn head(&self) -> HistoryPoint {
        self.snapshot.point()
    }

    fn commit(&mut self, changes: &[CommittedChange]) {
        for CommittedChange { point, id, record } in changes {
            let change = match record.as_ref().map(Record::movie) {
                Some(movie) => Change::Put(movie),
                None => Change::Delete(id),
            };
            self.snapshot = self.snapshot.with([change]).unwrap();
            assert_eq!(self.head(), *point);
        }
        self.log.extend_from_slice(changes);
    }

    fn movies(&self) -> BTreeMap<String, String> {
        movies(&self.snapshot)
    }
}

fn movies(snapshot: &Snapshot) -> BTreeMap<String, String> {
    snapshot.movies().map(|movie| (movie.id.to_owned(), movie.title.to_owned())).collect()
}

/// A database, shared by the connections of the node.
#[derive(Default)]
struct Database {
    state: State,
    /// Whether polls fail.
    fails_polls: bool,
    /// Outcome of the next COMMIT of the node.
    commit: Option<Commit>,
}

#[derive(Clone)]
struct Model {
    database: Rc<RefCell<Database>>,
    /// The state at the start of the transaction, and its changes.
    transaction: Option<(State, Vec<CommittedChange>)>,
}

fn connection_lost() -> StoreError {
    StoreError::Failed("the connection was lost".into())
}

impl Model {
    fn begin(&mut self) -> HistoryPoint {
        let state = self.database.borrow().state.clone();
        let head = state.head();
        self.transaction = Some((state, Vec::new()));
        head
    }

    fn state(&self) -> &State {
        &self.transaction.as_ref().expect("a transaction is open").0
    }
}

impl Engine for Model {
    const POLL_INTERVAL: Duration = Duration::from_millis(1);

    fn second_connection(&mut self) -> Option<Self> {
        None
    }

    async fn poll(&mut self) -> Result<PollResult, StoreError> {
        let database = self.database.borrow();
        if database.fails_polls {
            return Err(connection_lost());
        }
        Ok(PollResult { head: database.state.head(), mode: AccessMode::ReadWrite })
    }

    async fn find_writable(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&mut self, max_changes: usize) -> Result<StoreContent, StoreError> {
        let State { snapshot, log } = self.database.borrow().state.clone();
        let head = snapshot.point();
        let skipped = log.len().saturating_sub(max_changes + 1);
        let rows = &log[skipped..];
        let latest = LoadedChanges::after(rows[0].point, &rows[1..]);
        Ok(StoreContent { snapshot: snapshot.at(head), latest })
    }

    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError> {
        Ok(self.begin())
    }

    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError> {
        Ok(self.begin())
    }

    async fn changes(
        &mut self,
        after: Revision,
        up_to: Revision,
    ) -> Result<Vec<CommittedChange>, StoreError> {
        let changes = self.state().log[1..].iter();
        let changes =
            changes.filter(|change| after < change.point.revision && change.point.revision <= up_to);
        crate::store::sql::changes_between(changes.cloned().collect(), after, up_to)
    }

    async fn requests(&mut self, _: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError> {
        Ok(HashMap::new())
    }

    async fn put(&mut self, changes: &[CommittedChange], _: &[NewRequest]) -> Result<(), StoreError> {
        let (_, put) = self.transaction.as_mut().expect("a transaction is open");
        put.extend_from_slice(changes);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let (_, changes) = self.transaction.take().expect("a transaction is open");
        if changes.is_empty() {
            return Ok(());
        }
        let mut database = self.database.borrow_mut();
        match database.commit.unwrap_or(Commit::Succeeds) {
            Commit::Succeeds => database.state.commit(&changes),
            Commit::Fails => return Err(StoreError::Full("no room".into())),
            Commit::LostAfter => {
                database.state.commit(&changes);
                return Err(connection_lost());
            }
            Commit::LostBefore => return Err(connection_lost()),
        }
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.transaction = None;
        Ok(())
    }

    async fn compact(&mut self, _: u64, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn disconnect(&mut self) {
        self.transaction = None;
    }
}

/// One node over the database, and a watcher with its own copy of the movies.
struct Node {
    database: Rc<RefCell<Database>>,
    replica: Rc<Replica>,
    follower: Follower<Model>,
    writer: Writer<Model>,
    watched: (HistoryPoint, BTreeMap<String, String>),
}

impl Node {
    async fn start() -> Self {
        let database = Rc::new(RefCell::new(Database { state: State::new(), ..Database::default() }));
        let mut model = Model { database: database.clone(), transaction: None };
        let catalogue = Arc::new(Catalogue::of_store(5, model.load(5).await.unwrap()));
        let replica = Rc::new(Replica {
            catalogue,
            max_kept_changes: 5,
            status: StatusSender::new(AccessMode::ReadWrite),
            metrics: StoreMetrics::default(),
            reloading: Mutex::default(),
        });
        let engine = Rc::new(Mutex::new(model));
        let follower = Follower { replica: replica.clone(), engine: engine.clone(), behind_since: None };
        let writer = Writer { replica: replica.clone(), engine };
        let watched = (replica.point(), BTreeMap::new());
        Self { database, replica, follower, writer, watched }
    }

    async fn write(&self, id: &str, title: &str) -> Result<Outcome, WriteError> {
        let movie = Movie { id: id.into(), title: title.into(), ..Movie::default() };
        let (sender, reply) = reply();
        let command = ValidCommand::Import(vec![ValidMovie::try_from(movie).unwrap()]);
        let write = QueuedWrite { command, reply: sender };
        let (_sender, mut queue) = mpsc::channel(1);
        self.writer.write_batch(write, &mut queue).await;
        reply.await
    }

    /// Lets the watcher catch up, with a full copy if the changes are not available.
    fn watch(&mut self) {
        let catalogue = &self.replica.catalogue;
        match catalogue.changes(self.watched.0, usize::MAX) {
            Ok(events) => {
                for event in events {
                    match &event.after {
                        Some(record) => {
                            let movie = record.to_movie();
                            self.watched.1.insert(movie.id, movie.title);
                        }
                        None => drop(self.watched.1.remove(&*event.id)),
                    }
                    self.watched.0 = event.point;
                }
            }
            Err(ChangesError::HistoryChanged | ChangesError::Compacted { .. }) => {
                let snapshot = catalogue.snapshot();
                self.watched = (snapshot.point(), movies(&snapshot));
            }
            Err(ChangesError::Ahead { newest }) => panic!("{:?} is ahead of {newest}", self.watched.0),
        }
    }

    /// Asserts that the catalogue and the watcher equal the database.
    fn assert_is_current(&mut self) {
        let database = self.database.borrow().state.clone();
        assert_eq!(self.replica.point(), database.head());
        assert_eq!(movies(&self.replica.catalogue.snapshot()), database.movies());
        self.watch();
        assert_eq!(self.watched, (database.head(), database.movies()));
    }
}

fn step() -> impl Strategy<Value = Step> {
    let id = || "[a-e]";
    let commit = prop_oneof![
        6 => Just(Commit::Succeeds),
        1 => Just(Commit::Fails),
        1 => Just(Commit::LostAfter),
        1 => Just(Commit::LostBefore),
    ];
    prop_oneof![
        4 => (id(), commit).prop_map(|(id, commit)| Step::Write(id, commit)),
        4 => proptest::collection::vec((id(), any::<bool>()), 1..5).prop_map(Step::Other),
        2 => (1..6_usize).prop_map(Step::Lose),
        2 => Just(Step::BackUp),
        2 => (0..4_usize).prop_map(Step::Restore),
        1 => (0..4_u64).prop_map(Step::Compact),
        4 => Just(Step::Poll),
        1 => Just(Step::FailPoll),
    ]
}

async fn check(steps: Vec<Step>) {
    let mut node = Node::start().await;
    // The state after each step, so that commits can be lost; and the backups.
    let (mut states, mut backups) = (vec![State::new()], vec![State::new()]);
    for (number, step) in steps.into_iter().enumerate() {
        let title = format!("title {number}");
        match step {
            Step::Write(id, commit) => {
                node.database.borrow_mut().commit = Some(commit);
                let written = node.write(&id, &title).await;
                node.database.borrow_mut().commit = None;
                let is_in_store = node.database.borrow().state.movies().get(&id) == Some(&title);
                match written {
                    // An acknowledged write is in the store, and the catalogue equals the store.
                    Ok(_) => {
                        assert!(is_in_store);
                        node.assert_is_current();
                    }
                    Err(WriteError::Unavailable(_)) => assert!(!is_in_store),
                    Err(WriteError::OutcomeUnknown) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Other(ops) => {
                let mut database = node.database.borrow_mut();
                for (id, is_there) in ops {
                    let state = &database.state;
                    if !is_there && state.snapshot.get(&id).is_none() {
                        continue;
                    }
                    let new = Movie { id: id.clone(), title: title.clone(), ..Movie::default() };
                    let change =
                        CommittedChange::after(state.head(), &id, is_there.then(|| Record::of(&new)));
                    database.state.commit(&[change]);
                }
            }
            Step::Lose(commits) => {
                let kept = states.len().saturating_sub(commits).max(1);
                states.truncate(kept);
                node.database.borrow_mut().state = states[kept - 1].clone();
            }
            Step::BackUp => backups.push(node.database.borrow().state.clone()),
            Step::Restore(backup) => {
                node.database.borrow_mut().state = backups[backup % backups.len()].clone();
            }
            Step::Compact(keep) => {
                let mut database = node.database.borrow_mut();
                let oldest = database.state.head().revision.minus(keep);
                database.state.log.retain(|change| change.point.revision >= oldest);
            }
            Step::Poll => {
                node.follower.poll().await.unwrap();
                node.assert_is_current();
            }
            Step::FailPoll => {
                node.database.borrow_mut().fails_polls = true;
                node.follower.poll().await.unwrap_err();
                node.database.borrow_mut().fails_polls = false;
                let found = node.replica.status.subscribe().borrow().clone();
                assert!(matches!(found, StoreStatus::Unavailable(_)), "{found:?}");
                // The node does not write while it cannot compare the histories.
                let refused = node.write("a", "refused").await;
                assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
            }
        }
        states.push(node.database.borrow().state.clone());
    }
    node.follower.poll().await.unwrap();
    node.assert_is_current();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn after_any_commit_loss_or_restore_the_catalogue_equals_the_store_or_the_node_is_unavailable(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(check(steps));
    }
}
