//! What every ticket desk must stand.

use std::time::Duration;

use sexton::engine::effect::{Command, Operation, RecordKind, Remote, Stage};
use sexton::engine::moment::SECOND;

use super::host::{Product, World};
use super::records::{Step, Truth};
use super::server::Fault;
use super::{Act, Desk, Dice, View};

/// A run of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The same seed, the same episodes and the same faults (their timing apart).
    pub seed: u64,
    /// Incident episodes; a problem comes to every fourth.
    pub episodes: usize,
    /// Faults in a thousand requests that read; of those that write it is four times as many.
    pub faults: u64,
    /// Times the host is killed.
    pub crashes: usize,
}

impl Plan {
    /// The usual size: some seconds. `DESKS_SEED=N` in the environment plays other episodes.
    pub fn seeded(seed: u64) -> Self {
        let other = std::env::var("DESKS_SEED").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let seed = seed.wrapping_add(other.wrapping_mul(1000));
        Self { seed, episodes: 32, faults: 60, crashes: 5 }
    }
}

/// Courses of an incident.
const COURSES: &[&[Step]] = &[
    &[Step::Resolve],
    &[Step::Update, Step::Worsen, Step::Update],
    &[Step::Worsen, Step::Resolve],
    &[Step::Resolve, Step::Reopen, Step::Resolve],
    &[Step::Acknowledge, Step::Update, Step::Resolve, Step::Close],
    &[Step::Update, Step::Resolve, Step::Reopen],
    &[],
];

/// Courses of a problem.
const PROBLEMS: &[&[Step]] =
    &[&[Step::Update], &[Step::Acknowledge, Step::Update, Step::Resolve], &[Step::Update, Step::Resolve]];

/// Courses of an alert.
const ALERTS: &[&[Step]] = &[
    &[],
    &[Step::Update, Step::Worsen],
    &[Step::Resolve, Step::Close],
    &[Step::Acknowledge, Step::Resolve, Step::Reopen],
    &[Step::Worsen, Step::Resolve, Step::Reopen, Step::Resolve],
];

/// A record with what is still to happen to it.
struct Course {
    truth: Truth,
    left: Vec<Step>,
    told: bool,
}

impl Course {
    fn new(truth: Truth, steps: &[Step]) -> Self {
        Self { truth, left: steps.iter().rev().copied().collect(), told: false }
    }

    fn is_done(&self) -> bool {
        self.told && self.left.is_empty()
    }

    /// The next revision; the first one as it is.
    fn turn(&mut self) {
        if self.told {
            let step = self.left.pop().expect("something is left");
            self.truth.step(step);
        }
        self.told = true;
    }
}

/// Many episodes under faults and crashes; at the end the desk must hold the truth.
pub fn suite<D: Desk>(product: &Product<D>, plan: &Plan) {
    let mut world = World::new(product, plan.seed);
    let mut dice = Dice(plan.seed ^ 0x5eed);
    let mut courses = courses(product, plan, &mut dice);
    let steps: usize = courses.iter().map(|c| c.left.len() + 1).sum();
    world.start();
    world.server.script().per_mille = plan.faults;
    let mut crashes: Vec<u64> = (0..plan.crashes).map(|_| dice.below(steps as u64)).collect();
    crashes.sort_unstable();
    for turn in 0..steps as u64 {
        let open: Vec<usize> = (0..courses.len()).filter(|i| !courses[*i].is_done()).collect();
        let course = &mut courses[open[dice.below(open.len() as u64) as usize]];
        course.turn();
        world.commit(vec![course.truth.row(&world.plan)]);
        world.run(Duration::from_millis(dice.below(30)));
        while crashes.first() == Some(&turn) {
            crashes.remove(0);
            world.run(Duration::from_millis(dice.below(20)));
            world.crash();
            world.start();
        }
    }
    world.settle_within(Duration::from_secs(2));
    world.server.script().per_mille = 0;
    world.settle();
    let truths: Vec<&Truth> = courses.iter().map(|c| &c.truth).collect();
    compare(product, &world, &truths, plan.seed);
}

fn courses<D: Desk>(product: &Product<D>, plan: &Plan, dice: &mut Dice) -> Vec<Course> {
    let mut courses = Vec::new();
    let draw = |from: &[&'static [Step]], dice: &mut Dice| from[dice.below(from.len() as u64) as usize];
    for n in 0..plan.episodes as u64 {
        let incident = Course::new(Truth::incident(n + 1), draw(COURSES, dice));
        if n % 4 == 0 {
            let problem = Course::new(Truth::problem(n + 1001), draw(PROBLEMS, dice));
            if product.links {
                courses.push(Course::new(Truth::link(&incident.truth, &problem.truth), &[]));
            }
            courses.push(problem);
        }
        courses.push(incident);
    }
    courses
}

/// The truth table: each record has exactly one ticket, in the right state, with everything said once.
fn compare<D: Desk>(product: &Product<D>, world: &World<D>, truths: &[&Truth], seed: u64) {
    let tickets = world.server.desk().tickets();
    let mut wrong = Vec::new();
    let of = |record: &str| tickets.iter().filter(|t| t.key == format!("sx-{record}")).collect::<Vec<_>>();
    for truth in truths.iter().filter(|t| t.kind != RecordKind::Link) {
        let [ticket] = of(&truth.id())[..] else {
            wrong.push(format!("{} has {} tickets", truth.body["number"], of(&truth.id()).len()));
            continue;
        };
        wrong.extend(judge(product, world, truth, ticket));
        (product.check)(ticket, &truth.body);
    }
    for link in truths.iter().filter(|t| t.kind == RecordKind::Link) {
        let end = |name: &str| of(link.body[name].as_str().unwrap()).first().map(|t| (*t).clone());
        if let (Some(incident), Some(problem)) = (end("incident"), end("problem"))
            && incident.parents.iter().filter(|p| **p == problem.id).count() != 1
        {
            wrong.push(format!("{} is not tied to {}: {:?}", incident.id, problem.id, incident.parents));
        }
    }
    let records = truths.iter().filter(|t| t.kind != RecordKind::Link).count();
    if tickets.len() != records {
        wrong.push(format!("{} tickets for {records} records", tickets.len()));
    }
    assert!(wrong.is_empty(), "seed {seed}\n{}\n{}", wrong.join("\n"), world.story());
}

fn judge<D: Desk>(product: &Product<D>, world: &World<D>, truth: &Truth, ticket: &View) -> Vec<String> {
    let name = truth.body["number"].as_str().unwrap();
    let mut wrong = Vec::new();
    if ticket.kind.is_some_and(|kind| kind != truth.kind) {
        wrong.push(format!("{name} is taken for a {:?}", ticket.kind));
    }
    if ticket.stage.is_open() == truth.over {
        wrong.push(format!("{name} is over: {}, and its ticket is {:?}", truth.over, ticket.stage));
    }
    let title = truth.body["title"].as_str().unwrap();
    if !ticket.subject.contains(title) {
        wrong.push(format!("{name} is called '{}'", ticket.subject));
    }
    let ledger = world.ledger.borrow();
    let stored = ledger.stored.iter().filter(|s| s.record == truth.id());
    for operation in stored.filter(|s| s.operation != Operation::Create && product.comments) {
        let marker = format!("[{}]", operation.key);
        let times: usize = ticket.comments.iter().map(|c| c.matches(&marker).count()).sum();
        if times != 1 {
            wrong.push(format!("{name}: {marker} was said {times} times in {:#?}", ticket.comments));
        }
    }
    wrong
}

/// Faults after which nothing is carried out behind our back: a trigger that arrives after its resolve opens
/// the alert again, and no sender can know.
const FAULTS: &[Fault] = &[
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Status(500, true),
    Fault::Status(502, false),
    Fault::Status(503, false),
    Fault::Status(429, false),
    Fault::Garbage(true),
    Fault::Garbage(false),
    Fault::Truncated,
    Fault::Redirect,
    Fault::Unauthorized(1),
];

/// Episodes of a desk of alerts under faults and crashes: in the end each record is told in its true state.
/// `problems`: it has a place for them.
pub fn episodes<D: Desk>(product: &Product<D>, seed: u64, problems: bool) {
    let (mut world, mut dice) = (World::new(product, seed), Dice(seed));
    world.start();
    let mut truths: Vec<(Truth, Vec<Step>)> = Vec::new();
    for n in 1..=16 {
        let steps = ALERTS[dice.below(ALERTS.len() as u64) as usize].iter().rev().copied().collect();
        truths.push((Truth::incident(n), steps));
        if problems && n % 4 == 0 {
            truths.push((Truth::problem(n + 1000), vec![Step::Resolve, Step::Update]));
        }
    }
    let first: Vec<_> = truths.iter().map(|(truth, _)| truth.row(&world.plan)).collect();
    world.commit(first);
    while truths.iter().any(|(_, left)| !left.is_empty()) {
        let at = dice.below(truths.len() as u64) as usize;
        let Some(step) = truths[at].1.pop() else { continue };
        truths[at].0.step(step);
        world.commit(vec![truths[at].0.row(&world.plan)]);
        let fault = FAULTS[dice.below(FAULTS.len() as u64) as usize];
        world.server.script().next.push(fault);
        world.run(Duration::from_millis(dice.below(30)));
        if dice.chance(100) {
            world.crash();
            world.start();
        }
    }
    world.settle();
    let tickets = world.server.desk().tickets();
    for (truth, _) in &truths {
        let key = format!("sx-{}", truth.id());
        let own: Vec<&View> = tickets.iter().filter(|t| t.key == key).collect();
        let [ticket] = own[..] else { panic!("{key} is told {} times\n{}", own.len(), world.story()) };
        assert_eq!(ticket.stage.is_open(), !truth.over, "{}\n{}", truth.body["number"], world.story());
        assert!(ticket.subject.contains(truth.body["title"].as_str().unwrap()), "{}", ticket.subject);
        assert_eq!(ticket.kind, Some(truth.kind));
        (product.check)(ticket, &truth.body);
    }
    assert_eq!(tickets.len(), truths.len());
}

/// What a person did, and what must come back of it.
#[derive(Clone, Copy, Debug)]
pub struct Acted {
    /// What the person did.
    pub act: Act,
    /// Where the record stands then.
    pub stage: Stage,
    /// Who works on it then, when that is told.
    pub assignee: Option<&'static str>,
    /// A part of the note, when one is told.
    pub note: Option<&'static str>,
}

/// What a person does to a ticket comes back, act by act.
pub fn read_back<D: Desk>(product: &Product<D>, acts: &[Acted]) {
    let mut world = World::new(product, 1);
    world.plan.read_back = SECOND / 10;
    world.start();
    let incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    let ticket = world.remote_id(&incident.id()).expect("it has a ticket");
    for acted in acts {
        world.server.desk().act(&ticket, acted.act);
        let mut heard = Vec::new();
        let fits = |r: &Remote| {
            r.record == incident.id()
                && r.stage == acted.stage
                && acted.assignee.is_none_or(|a| r.assignee.as_deref() == Some(a))
                && acted.note.is_none_or(|n| r.note.as_deref().is_some_and(|t| t.contains(n)))
        };
        world.until(&format!("{acted:?} is read back"), |w| {
            heard.extend(w.remotes().into_iter().filter_map(|c| match c {
                Command::Remote { remote, .. } => Some(remote),
                _ => None,
            }));
            heard.iter().any(fits)
        });
        if let Some(view) = world.server.desk().tickets().iter().find(|t| t.id == ticket) {
            // What was told is what stands there, where the product names one person.
            let stands = |a: &str| view.assignee.is_empty() || view.assignee.contains(a);
            assert!(acted.assignee.is_none_or(stands), "{acted:?}: {view:?}");
        }
    }
}

/// The same of an alert, which people can do three things to.
pub fn alert_read_back<D: Desk>(product: &Product<D>) {
    let act = |act, stage, assignee| Acted { act, stage, assignee, note: None };
    read_back(
        product,
        &[
            act(Act::Assign("bob"), Stage::New, Some("bob")),
            act(Act::Acknowledge, Stage::Acknowledged, Some("bob")),
            act(Act::Resolve("done"), Stage::Resolved, None),
        ],
    );
}

/// The store is lost: the open ticket of the same trouble is adopted, not doubled, and is the new record's
/// from then on.
pub fn adopts_after_a_lost_store<D: Desk>(product: &Product<D>) {
    let mut world = World::new(product, 2);
    world.start();
    let (lost, over) = (Truth::incident(1), Truth::incident(2));
    world.commit(vec![lost.row(&world.plan), over.row(&world.plan)]);
    world.settle();
    let mut ended = over.clone();
    ended.step(Step::Resolve);
    world.commit(vec![ended.row(&world.plan)]);
    world.settle();
    let ticket = world.remote_id(&lost.id()).expect("it has a ticket");
    world.lose_store();
    world.start();
    world.run(Duration::from_millis(10));
    let (mut again, other) = (Truth::incident(1), Truth::incident(2));
    // The adoption is carried out and its answer lost.
    world.server.script().next = vec![Fault::CutAfter];
    world.commit(vec![again.row(&world.plan), other.row(&world.plan)]);
    world.settle();
    assert_eq!(world.remote_id(&again.id()), Some(ticket.clone()), "adopted\n{}", world.story());
    assert_eq!(world.tickets(&again.id()).len(), 1, "under the key of the new record\n{}", world.story());
    assert_eq!(world.tickets(&other.id()).len(), 1, "what was over is not adopted\n{}", world.story());
    again.step(Step::Resolve);
    world.commit(vec![again.row(&world.plan)]);
    world.settle();
    let open: Vec<String> =
        world.server.desk().tickets().into_iter().filter(|t| t.stage.is_open()).map(|t| t.key).collect();
    assert_eq!(open, [format!("sx-{}", other.id())], "nothing is left open\n{}", world.story());
    assert_eq!(world.server.desk().tickets().len(), 3);
}

/// A person deletes tickets: what goes on gets a new one, what ends is left alone.
pub fn deleted_behind_our_back<D: Desk>(product: &Product<D>) {
    let mut world = World::new(product, 3);
    world.start();
    let (mut goes_on, mut ends) = (Truth::incident(1), Truth::incident(2));
    world.commit(vec![goes_on.row(&world.plan), ends.row(&world.plan)]);
    world.settle();
    for truth in [&goes_on, &ends] {
        let ticket = world.remote_id(&truth.id()).expect("it has a ticket");
        world.server.desk().act(&ticket, Act::Delete);
    }
    goes_on.step(Step::Worsen);
    ends.step(Step::Resolve);
    // The new ticket is made and the answer lost: it has to be found again.
    world.server.script().next = vec![Fault::CutAfter];
    world.commit(vec![goes_on.row(&world.plan), ends.row(&world.plan)]);
    world.settle();
    let made = world.tickets(&goes_on.id());
    assert!(made.len() == 1 && made[0].stage.is_open(), "{made:?}\n{}", world.story());
    assert_eq!(world.tickets(&ends.id()).len(), 0, "{}", world.story());
    goes_on.step(Step::Resolve);
    world.commit(vec![goes_on.row(&world.plan)]);
    world.settle();
    let over = world.tickets(&goes_on.id());
    assert!(over.len() == 1 && !over[0].stage.is_open(), "{over:?}\n{}", world.story());
}

/// A person deletes the ticket of an incident that stays as it is: reading back tells it.
pub fn noticed_when_gone<D: Desk>(product: &Product<D>) {
    let mut world = World::new(product, 6);
    world.plan.read_back = SECOND / 10;
    world.start();
    let incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    let ticket = world.remote_id(&incident.id()).expect("it has a ticket");
    world.server.desk().act(&ticket, Act::Delete);
    let told = |c: &Command| matches!(c, Command::Gone { record, .. } if *record == incident.id());
    world.until("the engine is told", |w| w.remotes().iter().any(told));
}

/// A person closes a ticket for good, and the trouble comes back: where the product cannot reopen it, a
/// successor is made, and gets all that follows.
pub fn closed_for_good<D: Desk>(product: &Product<D>) {
    let mut world = World::new(product, 4);
    world.start();
    let mut incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    incident.step(Step::Resolve);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    let first = world.remote_id(&incident.id()).expect("it has a ticket");
    world.server.desk().act(&first, Act::Close);
    // Whatever takes the ticket's place is made and the answer lost: it has to be found again.
    world.server.script().next = vec![Fault::CutAfter];
    for step in [Step::Reopen, Step::Update] {
        incident.step(step);
        world.commit(vec![incident.row(&world.plan)]);
        world.settle();
    }
    let second = world.remote_id(&incident.id()).expect("it has a ticket");
    let open = |w: &World<D>| {
        let tickets = w.tickets(&incident.id()).into_iter();
        tickets.filter(|t| t.stage.is_open()).map(|t| t.id).collect::<Vec<_>>()
    };
    assert_eq!(open(&world), std::slice::from_ref(&second), "{}", world.story());
    let successor = world.tickets(&incident.id()).into_iter().find(|t| t.id == second).expect("is there");
    let said = |t: &View| t.comments.iter().any(|c| c.contains("revision 4: Update"));
    assert!(!product.comments || said(&successor), "{successor:?}\n{}", world.story());
    let mut after = incident.clone();
    after.step(Step::Resolve);
    world.commit(vec![after.row(&world.plan)]);
    world.settle();
    assert_eq!(open(&world), [""; 0], "{}", world.story());
}

/// An installation that is not fit.
pub struct Unfit<D> {
    /// What is wrong, for the test's messages.
    pub what: &'static str,
    /// Breaks it.
    pub break_it: fn(&mut D),
    /// Words that the sentence of the paused destination must hold.
    pub says: &'static [&'static str],
    /// Mends it.
    pub mend: fn(&mut D),
}

/// Each broken installation is told in a sentence before anything is sent, and taken up once it is mended.
pub fn is_fit<D: Desk>(product: &Product<D>, cases: &[Unfit<D>]) {
    for case in cases {
        let mut world = World::new(product, 5);
        (case.break_it)(&mut world.server.desk());
        let before = world.server.desk().tickets().len();
        world.start();
        let incident = Truth::incident(1);
        world.commit(vec![incident.row(&world.plan)]);
        world.until(&format!("{}: paused", case.what), |w| w.status().0 == "paused");
        let reason = world.status().1;
        for words in case.says {
            assert!(reason.contains(words), "{}: '{words}' is not in: {reason}", case.what);
        }
        assert_eq!(world.server.desk().tickets().len(), before, "{}: nothing was made", case.what);
        (case.mend)(&mut world.server.desk());
        world.settle();
        assert_eq!(world.tickets(&incident.id()).len(), 1, "{}", case.what);
        world.until(&format!("{}: up again", case.what), |w| w.status().0 == "up");
    }
}
