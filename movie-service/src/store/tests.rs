//! A node over a database in memory that commits, loses commits, is restored and fails, as a real one may.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::catalogue::{
    Catalogue, ChainValue, Change, ChangesError, Committed, HistoryPoint, Loaded, Record, Snapshot,
};
use crate::movie::{Movie, Revision, ValidMovie};
use crate::store::command::{Outcome, ValidCommand, WriteError};
use crate::store::engine::{Engine, Look};
use crate::store::error::StoreError;
use crate::store::follower::Follower;
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::replica::Replica;
use crate::store::status::{Access, StatusSender, StoreStatus};
use crate::store::writer::{Job, Writer};
use crate::telemetry::store_metrics::StoreMetrics;

/// How a transaction of the node goes.
#[derive(Clone, Copy, Debug)]
enum Commit {
    Succeeds,
    /// It is undone, and so is the one that is tried again.
    Fails,
    /// The connection is lost; it is committed all the same.
    LostAndDone,
    /// The connection is lost before it is committed.
    LostAndUndone,
}

#[derive(Clone, Debug)]
enum Step {
    /// The node is asked to write a movie.
    Write(String, Commit),
    /// Another node commits.
    Other(Vec<(String, bool)>),
    /// The latest commits are lost, as in a failover to a replica that lacks them.
    Lose(usize),
    /// A copy is made.
    Copy,
    /// A copy is put back.
    Restore(usize),
    /// The change log is cut.
    Compact(u64),
    /// The node looks.
    Look,
    /// The node looks and gets no response.
    FailToLook,
}

/// The state of a database.
#[derive(Clone, Default)]
struct State {
    snapshot: Snapshot,
    /// Of the first one, only the chain value counts.
    log: Vec<Committed>,
}

impl State {
    fn new() -> Self {
        let start = HistoryPoint { revision: Revision::default(), chain: ChainValue::from_bytes([7; 16]) };
        let anchor = Committed { point: start, id: "".into(), record: None };
        Self { snapshot: Snapshot::default().at(start), log: vec![anchor] }
    }

    fn head(&self) -> HistoryPoint {
        self.snapshot.point()
    }

    fn commit(&mut self, changes: &[Committed]) {
        for Committed { point, id, record } in changes {
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

/// A database that each connection of a node shares.
#[derive(Default)]
struct Database {
    state: State,
    /// What a look and a commit of the node come to.
    fails_looks: bool,
    commit: Option<Commit>,
}

#[derive(Clone)]
struct Model {
    database: Rc<RefCell<Database>>,
    /// The state in the transaction, and what is to be committed.
    transaction: Option<(State, Vec<Committed>)>,
}

fn lost() -> StoreError {
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
        &self.transaction.as_ref().expect("there is a transaction").0
    }
}

impl Engine for Model {
    const LOOK_INTERVAL: Duration = Duration::from_millis(1);

    fn second_connection(&mut self) -> Option<Self> {
        None
    }

    async fn look(&mut self) -> Result<Look, StoreError> {
        let database = self.database.borrow();
        if database.fails_looks {
            return Err(lost());
        }
        Ok(Look { head: database.state.head(), access: Access::ReadWrite })
    }

    async fn find_writable(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&mut self, latest: usize) -> Result<Loaded, StoreError> {
        let State { snapshot, log } = self.database.borrow().state.clone();
        let head = snapshot.point();
        let skipped = log.len().saturating_sub(latest + 1);
        let rows = &log[skipped..];
        Ok(Loaded { snapshot: snapshot.at(head), oldest: rows[0].point, latest: rows[1..].to_vec() })
    }

    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError> {
        Ok(self.begin())
    }

    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError> {
        Ok(self.begin())
    }

    async fn changes(&mut self, after: Revision, up_to: Revision) -> Result<Vec<Committed>, StoreError> {
        let changes = self.state().log[1..].iter();
        let changes =
            changes.filter(|change| after < change.point.revision && change.point.revision <= up_to);
        crate::store::sql::changes_between(changes.cloned().collect(), after, up_to)
    }

    async fn requests(&mut self, _: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError> {
        Ok(HashMap::new())
    }

    async fn put(&mut self, changes: &[Committed], _: &[NewRequest]) -> Result<(), StoreError> {
        let (_, put) = self.transaction.as_mut().expect("there is a transaction");
        put.extend_from_slice(changes);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let (_, changes) = self.transaction.take().expect("there is a transaction");
        if changes.is_empty() {
            return Ok(());
        }
        let mut database = self.database.borrow_mut();
        match database.commit.unwrap_or(Commit::Succeeds) {
            Commit::Succeeds => database.state.commit(&changes),
            Commit::Fails => return Err(StoreError::Full("no room".into())),
            Commit::LostAndDone => {
                database.state.commit(&changes);
                return Err(lost());
            }
            Commit::LostAndUndone => return Err(lost()),
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

/// One node over the database, and a watcher of it that has a copy of the movies.
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
            keep: 5,
            status: StatusSender::new(Access::ReadWrite),
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
        let (answer, answered) = oneshot::channel();
        let job = Job { command: ValidCommand::Import(vec![ValidMovie::try_from(movie).unwrap()]), answer };
        let (_jobs, mut none) = mpsc::channel(1);
        self.writer.write_batch(job, &mut none).await;
        answered.await.unwrap()
    }

    /// Lets the watcher follow to the end, or take a full copy if it is told to.
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

    /// Asserts that movies, history and watcher are those of the database.
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
        1 => Just(Commit::LostAndDone),
        1 => Just(Commit::LostAndUndone),
    ];
    prop_oneof![
        4 => (id(), commit).prop_map(|(id, commit)| Step::Write(id, commit)),
        4 => proptest::collection::vec((id(), any::<bool>()), 1..5).prop_map(Step::Other),
        2 => (1..6_usize).prop_map(Step::Lose),
        2 => Just(Step::Copy),
        2 => (0..4_usize).prop_map(Step::Restore),
        1 => (0..4_u64).prop_map(Step::Compact),
        4 => Just(Step::Look),
        1 => Just(Step::FailToLook),
    ]
}

async fn check(steps: Vec<Step>) {
    let mut node = Node::start().await;
    // Each commit in the order in which it was made, so that some can be lost; and copies.
    let (mut states, mut copies) = (vec![State::new()], vec![State::new()]);
    for (number, step) in steps.into_iter().enumerate() {
        let title = format!("title {number}");
        match step {
            Step::Write(id, commit) => {
                node.database.borrow_mut().commit = Some(commit);
                let written = node.write(&id, &title).await;
                node.database.borrow_mut().commit = None;
                let is_in_store = node.database.borrow().state.movies().get(&id) == Some(&title);
                match written {
                    // What is acknowledged is in the store, and so is everything that is served.
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
                    let change = Committed::after(state.head(), &id, is_there.then(|| Record::of(&new)));
                    database.state.commit(&[change]);
                }
            }
            Step::Lose(commits) => {
                let kept = states.len().saturating_sub(commits).max(1);
                states.truncate(kept);
                node.database.borrow_mut().state = states[kept - 1].clone();
            }
            Step::Copy => copies.push(node.database.borrow().state.clone()),
            Step::Restore(copy) => {
                node.database.borrow_mut().state = copies[copy % copies.len()].clone();
            }
            Step::Compact(keep) => {
                let mut database = node.database.borrow_mut();
                let oldest = database.state.head().revision.minus(keep);
                database.state.log.retain(|change| change.point.revision >= oldest);
            }
            Step::Look => {
                node.follower.look().await.unwrap();
                node.assert_is_current();
            }
            Step::FailToLook => {
                node.database.borrow_mut().fails_looks = true;
                node.follower.look().await.unwrap_err();
                node.database.borrow_mut().fails_looks = false;
                let found = node.replica.status.subscribe().borrow().clone();
                assert!(matches!(found, StoreStatus::Unavailable(_)), "{found:?}");
                // Nothing is written that could not be compared.
                let refused = node.write("a", "refused").await;
                assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
            }
        }
        states.push(node.database.borrow().state.clone());
    }
    node.follower.look().await.unwrap();
    node.assert_is_current();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_committed_lost_or_restored_a_node_has_the_movies_of_its_store_or_says_that_it_is_not_ready(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(check(steps));
    }
}
