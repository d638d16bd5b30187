//! Runs a pipeline to its end, and brings it from one plan to the next meanwhile.

use super::flow::{Cleared, Clearing, Flow, Parts, Turn};
use super::jobs::{Job, TaskEnd, unexpected};
use super::plan::Plan;
use super::reload::{Changes, Known, changes, known, refusal};
use super::sinks::{Ground, Sinks};
use super::status::Status;
use super::undelivered::{self, undelivered};
use super::wire::{RunMode, Unbuildable};
use crate::delivery::buffer;
use crate::delivery::{BoxFuture, Door, Ended, Inlet, Meter, Shutdown, ShutdownTrigger, Totals, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A turn to another plan that takes longer than this is told of.
const TURN_EXPECTED: Duration = Duration::from_secs(5);
/// How long what was told to end at once is waited for, so that it can be said what was lost. A thread that is stuck is not.
const END_EXPECTED: Duration = Duration::from_millis(200);

/// A pipeline in action.
pub struct Pipeline {
    tasks: JoinSet<TaskEnd>,
    sinks: Sinks,
    flow: Flow,
    /// The plan that runs, or that is being turned to.
    plan: Arc<Plan>,
    known: BTreeMap<String, Known>,
    /// Of all components there are or were.
    meters: BTreeMap<String, Arc<Meter>>,
    roles: BTreeMap<String, &'static str>,
    trigger: ShutdownTrigger,
    status: Arc<Status>,
    /// Sinks that have got another queue since the last turn.
    replaced: BTreeSet<String>,
    /// The turn under way.
    turning: Option<Turning>,
    /// The plan to turn to after it.
    next: Option<Next>,
    outcome: Outcome,
}

/// Whoever waits to hear that a change is complete, and what it is.
type Asked = Vec<(Changes, oneshot::Sender<Reloaded>)>;

/// A turn under way.
struct Turning {
    turn: Turn,
    cleared: BoxFuture<'static, Cleared>,
    asked: Asked,
    /// When to tell that it takes long; none where that was done.
    tell_at: Option<Instant>,
}

/// A plan to turn to.
struct Next {
    plan: Arc<Plan>,
    inlets: BTreeMap<String, Inlet>,
    /// Of the sources that it adds.
    doors: BTreeMap<String, Door>,
    asked: Asked,
}

/// What came of a reload.
pub type Reloaded = Result<Changes, String>;

/// Asks a pipeline to go on with another plan.
pub struct Reload {
    /// The plan.
    pub plan: Plan,
    /// Hears what has changed, once all of it has; or why nothing has.
    pub done: oneshot::Sender<Reloaded>,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What every component has counted, those that were removed included.
    pub totals: BTreeMap<String, Totals>,
    /// What each of them was: `source`, `transform` or `sink`.
    pub roles: BTreeMap<String, &'static str>,
    /// Components that failed, and why.
    pub failures: Vec<String>,
    /// What of the records is neither delivered, dropped nor rejected, where the run was cut short or a component has
    /// failed: by the id of the component that had it last.
    pub undelivered: BTreeMap<String, u64>,
    /// Whether the reader of a console sink went away: nobody wants to hear more.
    pub reader_gone: bool,
}

impl Outcome {
    /// Whether everything that was read is delivered or was dropped on purpose.
    pub fn is_clean(&self) -> bool {
        let lost = self.totals.values().any(|totals| totals.batches_lost > 0 && !self.reader_gone);
        let rejected =
            self.totals.values().any(|totals| totals.events_rejected > 0 || totals.batches_rejected > 0);
        self.failures.is_empty() && !lost && !rejected
    }

    /// How many records could not be decoded.
    pub fn faults(&self) -> u64 {
        self.totals.values().flat_map(|totals| totals.faults.values()).sum()
    }
}

/// What the sources of a plan listen with, open before anything runs.
#[derive(Default)]
pub struct Doors(BTreeMap<String, Door>);

impl Doors {
    /// Opens them. Whoever comes from now on waits until the pipeline has started.
    ///
    /// # Errors
    ///
    /// The first source that can't start, and why.
    pub async fn open(plan: &Plan) -> Result<Doors, String> {
        let mut doors = BTreeMap::new();
        for node in &plan.sources {
            let door = Door::default();
            node.config.prepare(&door).await.map_err(|why| format!("{}: {why}", node.id))?;
            doors.insert(node.id.clone(), door);
        }
        Ok(Doors(doors))
    }
}

impl Pipeline {
    /// Starts every component. A source whose door is not among `doors` opens it itself.
    pub fn start(plan: Plan, mode: RunMode, Doors(doors): Doors) -> Result<Pipeline, Unbuildable> {
        let (trigger, stop) = Shutdown::new();
        let (data_dir, stop_timeout) = (plan.data_dir().to_owned(), plan.shutdown_timeout);
        let (plan, ground) = (Arc::new(plan), Ground { data_dir, stop: stop.clone(), stop_timeout });
        let mut pipeline = Pipeline {
            tasks: JoinSet::new(),
            sinks: Sinks::new(ground),
            flow: Flow::new(mode, stop),
            plan: Arc::clone(&plan),
            known: BTreeMap::new(),
            meters: BTreeMap::new(),
            roles: BTreeMap::new(),
            trigger,
            status: Arc::new(Status::starting()),
            replaced: BTreeSet::new(),
            turning: None,
            next: None,
            outcome: Outcome::default(),
        };
        let (inlets, sinks) = pipeline.follow(&plan, known(&plan))?;
        let (turn, clearing) = pipeline.turn(plan, inlets, doors)?;
        let jobs = pipeline.flow.complete(turn, clearing.at_once())?;
        // Not before who consumes their ports is connected: a trail begins by telling its newest checkpoint.
        pipeline.run_all(sinks.into_iter().chain(jobs));
        Ok(pipeline)
    }

    /// The counters of every component there is or was.
    pub fn meters(&self) -> &BTreeMap<String, Arc<Meter>> {
        &self.meters
    }

    /// What runs, or is being turned to.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// What can be seen of it while it runs.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    fn run_all(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            job.start(&mut self.tasks);
        }
    }

    /// Brings the sinks to what `plan` asks for, at once: one that is stuck keeps everything waiting until it is
    /// exchanged. Fails before anything is changed. Gives the queues of the sinks, and what has to be started for them.
    fn follow(
        &mut self,
        plan: &Arc<Plan>,
        now: BTreeMap<String, Known>,
    ) -> Result<(BTreeMap<String, Inlet>, Vec<Job>), Unbuildable> {
        let prints = prints(&now);
        let mut works: BTreeMap<String, Work> = BTreeMap::new();
        for node in &plan.sinks {
            if self.sinks.needs(node, prints.get(&node.id).copied().unwrap_or_default()) {
                let work = node.config.build().map_err(|why| Unbuildable::new(&node.id, why))?;
                works.insert(node.id.clone(), work);
            }
        }
        let mut meters = self.meters.clone();
        for id in now.keys() {
            meters.entry(id.clone()).or_default();
        }
        let followed = self.sinks.follow(plan, &prints, works, &meters)?;
        self.sinks.ground().stop_timeout = plan.shutdown_timeout;
        self.roles.extend(now.iter().map(|(id, known)| (id.clone(), known.role)));
        (self.meters, self.known, self.plan) = (meters, now, Arc::clone(plan));
        self.replaced.extend(followed.replaced);
        self.status.show(plan, &self.meters);
        let is_buffered = |id: &str| plan.sinks.iter().any(|node| node.id == id && node.disk.is_some());
        buffer::warn_of_forgotten(plan.data_dir(), is_buffered);
        Ok((followed.inlets, followed.jobs))
    }

    /// Begins to bring sources and transforms to what `plan` asks for.
    fn turn(
        &mut self,
        plan: Arc<Plan>,
        sinks: BTreeMap<String, Inlet>,
        doors: BTreeMap<String, Door>,
    ) -> Result<(Turn, Clearing), Unbuildable> {
        let replaced = std::mem::take(&mut self.replaced);
        // What was accepted last is what is turned to.
        let (prints, meters) = (prints(&self.known), self.meters.clone());
        let parts = Parts { prints, sinks, replaced, doors, meters };
        let (all, shown) = (&self.sinks, Arc::clone(&plan));
        self.flow.turn(plan, parts, |queues| all.ports(&shown, queues))
    }

    /// Goes on with another plan, or says why not.
    async fn reload(&mut self, reload: Reload) {
        let Reload { plan, done } = reload;
        let answer = match self.accept(plan).await {
            Ok((changes, _)) if changes.is_empty() => Ok(changes),
            Ok((changes, next)) => {
                let before = self.next.take().map(|next| next.asked).unwrap_or_default();
                let asked = before.into_iter().chain([(changes, done)]).collect();
                self.next = next.map(|next| Next { asked, ..next });
                return self.turn_to_next();
            }
            Err(why) => Err(why),
        };
        // Whoever asked may have gone.
        done.send(answer).map_err(drop).unwrap_or_default();
    }

    /// Takes a plan over, as far as that can be done at once. Where something speaks against it, nothing is changed.
    async fn accept(&mut self, plan: Plan) -> Result<(Changes, Option<Next>), String> {
        if self.status.is_stopping() {
            return Err("it is stopping".to_owned());
        }
        let now = known(&plan);
        let changes = changes(&self.known, &now);
        if let Some(why) = refusal((&self.plan, &self.known), (&plan, &now)).or(self.sinks.refusal(&plan)) {
            return Err(why);
        }
        if changes.is_empty() {
            // What belongs to no component may have.
            self.sinks.ground().stop_timeout = plan.shutdown_timeout;
            self.status.show(&plan, &self.meters);
            self.plan = Arc::new(plan);
            return Ok((changes, None));
        }
        let mut doors = BTreeMap::new();
        for node in &plan.sources {
            let then = self.known.get(&node.id);
            if now.get(&node.id).zip(then).is_some_and(|(now, then)| now.is_same(then)) {
                continue;
            }
            let door = self.door(&node.id);
            let prepared = node.config.prepare(&door).await;
            doors.insert(node.id.clone(), door);
            if let Err(why) = prepared {
                doors.values().for_each(Door::forget);
                return Err(format!("the source `{}` could not start: {why}", node.id));
            }
        }
        let plan = Arc::new(plan);
        match self.follow(&plan, now) {
            Ok((inlets, jobs)) => {
                self.run_all(jobs);
                Ok((changes, Some(Next { plan, inlets, doors, asked: Vec::new() })))
            }
            Err(Unbuildable { id, why }) => {
                doors.values().for_each(Door::forget);
                Err(format!("`{id}` could not start: {why}"))
            }
        }
    }

    /// The door of the source of this id, be it one that is about to leave, or a new one.
    fn door(&self, id: &str) -> Door {
        let leaving = || self.turning.as_ref().and_then(|turning| turning.turn.door(id));
        self.flow.door(id).or_else(leaving).unwrap_or_default()
    }

    /// Begins the next turn, if no other is under way.
    fn turn_to_next(&mut self) {
        let Some(next) = self.next.take_if(|_| self.turning.is_none()) else { return };
        let Next { plan, inlets, doors, asked } = next;
        match self.turn(plan, inlets, doors) {
            Ok((turn, clearing)) => {
                let (cleared, tell_at) = (Box::pin(clearing.done()), Some(Instant::now() + TURN_EXPECTED));
                self.turning = Some(Turning { turn, cleared, asked, tell_at });
            }
            Err(Unbuildable { id, why }) => self.fail(format!("{id}: {why}")),
        }
    }

    /// Everything that had to leave has left.
    fn complete_turn(&mut self, cleared: Cleared) {
        let Some(Turning { turn, asked, .. }) = self.turning.take() else { return };
        match self.flow.complete(turn, cleared) {
            Ok(jobs) => self.run_all(jobs),
            Err(Unbuildable { id, why }) => self.fail(format!("{id}: {why}")),
        }
        for (changes, done) in asked {
            done.send(Ok(changes)).map_err(drop).unwrap_or_default();
        }
        self.turn_to_next();
    }

    /// Waits for the end: the sources have finished and everything is drained; or `stop` came, and then it takes as
    /// long as the plan allows at most; or `abort` came, and it ends at once.
    pub async fn finish(self, stop: impl Future<Output = ()>, abort: impl Future<Output = ()>) -> Outcome {
        let (_, never) = mpsc::channel(1);
        self.finish_reloading(stop, abort, never).await
    }

    /// The same, and goes on with other plans as `reloads` brings them.
    pub async fn finish_reloading(
        mut self,
        stop: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
        mut reloads: mpsc::Receiver<Reload>,
    ) -> Outcome {
        tokio::pin!(stop, abort);
        let (mut stopping, mut reloads_end) = (false, false);
        let deadline = tokio::time::sleep(Duration::MAX);
        tokio::pin!(deadline);
        let mut cut_short = None;
        while !self.tasks.is_empty() || self.turning.is_some() {
            let overdue = self.sinks.deadline();
            let tell_at = self.turning.as_ref().and_then(|turning| turning.tell_at);
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.note(ended.unwrap_or_else(unexpected)),
                cleared = cleared(&mut self.turning) => self.complete_turn(cleared),
                reload = reloads.recv(), if !reloads_end => match reload {
                    Some(reload) => self.reload(reload).await,
                    None => reloads_end = true,
                },
                () = at(overdue) => self.sinks.end_overdue(),
                () = at(tell_at) => self.tell_of_turn(),
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.wind_up();
                    deadline.as_mut().reset(Instant::now() + self.plan.shutdown_timeout);
                }
                () = &mut abort => {
                    cut_short = Some("stopped before everything was delivered".to_owned());
                    break;
                }
                () = &mut deadline, if stopping => {
                    let secs = self.plan.shutdown_timeout.as_secs();
                    cut_short = Some(format!("not everything was delivered within {secs} s of the stop"));
                    break;
                }
            }
        }
        self.end(cut_short).await
    }

    /// Ends what is still at work, and says how it stands.
    async fn end(mut self, cut_short: Option<String>) -> Outcome {
        self.tasks.abort_all();
        // What they drop is lost, and counted as that.
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(END_EXPECTED, ending).await.unwrap_or_default();
        let Pipeline { meters, roles, mut outcome, plan, .. } = self;
        let totals = meters.iter().map(|(id, meter)| (id.clone(), meter.totals())).collect();
        let has_failed = cut_short.is_some() || !outcome.failures.is_empty();
        if has_failed && !outcome.reader_gone {
            outcome.undelivered = undelivered(&totals);
            let left = undelivered::tell(&outcome.undelivered, &plan);
            let why =
                cut_short.or_else(|| (!left.is_empty()).then(|| "not everything was delivered".to_owned()));
            outcome.failures.extend(why.map(|why| why + &left));
        }
        Outcome { totals, roles, ..outcome }
    }

    fn tell_of_turn(&mut self) {
        if let Some(turning) = &mut self.turning {
            turning.tell_at = None;
            tracing::warn!("the reload waits until what is on its way has left the components that change");
        }
    }

    fn note(&mut self, ended: TaskEnd) {
        match ended {
            TaskEnd::Source(_, Ok(())) | TaskEnd::Buffer(_, Ok(())) | TaskEnd::Other => {}
            // Its sources hear of what is lost by that.
            TaskEnd::Buffer(id, Err(why)) if self.sinks.is_removed(&id) => {
                tracing::error!(sink = id, "{why}");
            }
            TaskEnd::Source(id, Err(why)) | TaskEnd::Buffer(id, Err(why)) => {
                self.fail(format!("{id}: {why}"))
            }
            TaskEnd::Sink(number, ended) => {
                let ended = ended.unwrap_or_else(|why| {
                    self.fail(format!("{}: {why}", self.sinks.name(number)));
                    Ended::Drained
                });
                if let Ended::ReaderGone = ended {
                    self.outcome.reader_gone = true;
                    self.wind_up();
                }
                match self.sinks.ended(number, ended) {
                    Ok(jobs) => self.run_all(jobs),
                    Err(why) => self.fail(why),
                }
            }
        }
    }

    /// A component has failed: the others are drained.
    fn fail(&mut self, why: String) {
        self.outcome.failures.push(why);
        self.wind_up();
    }

    fn wind_up(&mut self) {
        self.status.stop();
        self.trigger.trigger();
    }
}

fn prints(known: &BTreeMap<String, Known>) -> BTreeMap<String, u64> {
    known.iter().map(|(id, known)| (id.clone(), known.print())).collect()
}

/// Waits until the place is cleared; for ever, where no turn is under way.
async fn cleared(turning: &mut Option<Turning>) -> Cleared {
    match turning {
        Some(turning) => (&mut turning.cleared).await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever, where there is no such moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
