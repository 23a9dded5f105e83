//! Crowds of clients, each with an engine of its own, at one token function: do their mints come in waves?
//!
//! Time is simulated, the engine is the real one. With `CROWD=100000` these are the figures of docs/scale.md (`cargo xtask check
//! --scale`), each a line that begins with `scale `; without it a small crowd runs the same courses.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::env;

use super::clock::Random;
use super::*;
use crate::Secret;

/// How many there are, if nobody says.
const SMALL: usize = 2_000;
const SECOND: f64 = 1_000.0;
const MINUTE: f64 = 60.0 * SECOND;
/// How long each course is watched.
const COURSE: f64 = 120.0 * MINUTE;
/// When what disturbs a course begins.
const DISTURBANCE: f64 = 30.0 * MINUTE;
/// When what is left of it is counted.
const AFTERWARDS: f64 = 90.0 * MINUTE;
/// From a mint's request to its answer.
const LATENCY: f64 = 200.0;
const TTL: &str = "900";
/// A token of 900 s serves about so long: a crowd whose beginnings lie so far apart is in no step.
const ROUND: f64 = 13.0 * MINUTE;

/// Who asks, and when again.
#[derive(Clone, Copy)]
enum Caller {
    /// After a pause of any length; a minute on average.
    Person,
    /// Every 30 s to the millisecond, as a page that polls.
    Timer,
}

impl Caller {
    fn pause(self, random: &mut Random) -> f64 {
        match self {
            Self::Person => exponential(MINUTE, random),
            Self::Timer => 30.0 * SECOND,
        }
    }
}

fn exponential(mean: f64, random: &mut Random) -> f64 {
    -mean * (1.0 - random.fraction()).ln()
}

/// What happens to a crowd.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    /// Everybody opens the page within the same minute.
    SameMinute,
    /// The function cannot be reached for so long.
    Outage(f64),
    /// Every page is loaded anew at its next call: tokens live in memory only.
    Reload,
    /// People come and go, each for so long on average.
    Visits(f64),
}

impl Course {
    /// When what happens is over, and whoever lost something has it back.
    fn settles(self) -> f64 {
        5.0 * MINUTE
            + match self {
                Self::SameMinute => MINUTE,
                Self::Outage(long) => DISTURBANCE + long,
                Self::Reload => DISTURBANCE,
                Self::Visits(_) => 0.0,
            }
    }

    /// Over which the beginnings of the crowd are spread.
    fn beginnings(self) -> f64 {
        match self {
            Self::SameMinute => MINUTE,
            Self::Outage(_) | Self::Reload => ROUND,
            Self::Visits(_) => COURSE,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Call,
    Answer { request: Id },
    Wake,
    Reload,
}

/// An event, by its time in microseconds; those of one moment in the order they were made.
type Event = (Reverse<(u64, u64)>, usize, What);

struct Visitor {
    engine: Engine,
    leaves: f64,
    /// The wake-up that is on its way.
    wakes: f64,
}

struct World {
    course: Course,
    caller: Caller,
    random: Random,
    visitors: Vec<Option<Visitor>>,
    events: BinaryHeap<Keyed>,
    made: u64,
    now: f64,
    /// Requests that reached the function, or its closed door, in each second.
    mints: Vec<u32>,
    failed_calls: u32,
}

/// The heap looks at the time only.
struct Keyed(Event);

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}

impl Eq for Keyed {}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.0.cmp(&other.0.0)
    }
}

impl World {
    fn new(course: Course, caller: Caller, crowd: usize) -> Self {
        let mut random = Random::new(0x5ca1e_u128.to_le_bytes());
        let spread = course.beginnings();
        let mut starts: Vec<f64> = (0..crowd).map(|_| random.fraction() * spread).collect();
        starts.sort_by(f64::total_cmp);
        let mut world = Self {
            course,
            caller,
            random,
            visitors: Vec::new(),
            events: BinaryHeap::new(),
            made: 0,
            now: 0.0,
            mints: vec![0; (COURSE / SECOND) as usize],
            failed_calls: 0,
        };
        world.visitors.resize_with(crowd, || None);
        for (visitor, start) in starts.into_iter().enumerate() {
            world.plan(start, visitor, What::Call);
            if course == Course::Reload {
                world.plan(DISTURBANCE, visitor, What::Reload);
            }
        }
        world
    }

    fn plan(&mut self, at: f64, visitor: usize, what: What) {
        if at < COURSE {
            self.made += 1;
            self.events.push(Keyed((Reverse(((at * 1000.0) as u64, self.made)), visitor, what)));
        }
    }

    fn moment(&self) -> Moment {
        Moment { wall: 1e12 + self.now, monotonic: self.now }
    }

    fn is_open(&self) -> bool {
        match self.course {
            Course::Outage(long) => !(DISTURBANCE..DISTURBANCE + long).contains(&self.now),
            _ => true,
        }
    }

    fn run(mut self) -> Self {
        while let Some(Keyed((Reverse((at, _)), visitor, what))) = self.events.pop() {
            self.now = at as f64 / 1000.0;
            self.step(visitor, what);
        }
        self
    }

    fn step(&mut self, number: usize, what: What) {
        let now = self.moment();
        let mut visitor = match self.visitors[number].take() {
            Some(visitor) => visitor,
            None => self.arrive(number),
        };
        match what {
            What::Call if self.now > visitor.leaves => return,
            What::Call => {
                let begin = Begin { conversation: MAIN, kind: Kind::Warm, body: None, total: NEVER, max_retries: 2 };
                visitor.engine.begin(now, begin);
                let pause = self.caller.pause(&mut self.random);
                self.plan(self.now + pause, number, What::Call);
            }
            What::Answer { request } if self.is_open() => {
                let body = ["{\"token\":\"t\",\"ttl\":", TTL, "}"].concat();
                visitor.engine.head(now, request, Head { status: 200, ..Head::default() });
                visitor.engine.bytes(now, request, body.as_bytes(), Want::Chunks, &mut ());
                visitor.engine.end(now, request, Want::Chunks, &mut ());
            }
            What::Answer { request } => {
                // Browsers do not tell whether it was sent.
                let refused = Broken { message: "refused".to_owned(), unsent: false, is_defect: false };
                visitor.engine.broken(now, request, &refused);
            }
            What::Wake => visitor.engine.wake(now),
            What::Reload => visitor.engine.clear_token(MAIN),
        }
        self.perform(number, &mut visitor);
        self.visitors[number] = Some(visitor);
    }

    fn arrive(&mut self, number: usize) -> Visitor {
        let mut engine = Engine::new(config(), (number as u128 + 1).to_le_bytes());
        engine.user(Some(&Secret::new("session".to_owned())));
        let leaves = match self.course {
            Course::Visits(mean) => self.now + exponential(mean, &mut self.random),
            _ => NEVER,
        };
        Visitor { engine, leaves, wakes: NEVER }
    }

    fn perform(&mut self, number: usize, visitor: &mut Visitor) {
        let now = self.moment();
        while visitor.engine.has_actions() {
            for action in visitor.engine.take_actions() {
                match action {
                    Action::ReadSession { reading } => {
                        visitor.engine.session_asked(reading);
                        let session = Secret::new("session".to_owned());
                        visitor.engine.session_read(now, reading, Ok(Some(session)));
                    }
                    Action::Send { request, .. } => {
                        self.mints[(self.now / SECOND) as usize] += 1;
                        self.plan(self.now + LATENCY, number, What::Answer { request });
                    }
                    Action::Settle { result, .. } => self.failed_calls += u32::from(result.is_err()),
                    Action::Pump { .. } | Action::Cancel { .. } => {}
                    Action::Open { .. } | Action::Interrupt { .. } => panic!("nothing is streamed"),
                }
            }
        }
        let wakes = visitor.engine.earliest();
        if wakes < visitor.wakes || visitor.wakes <= self.now {
            visitor.wakes = wakes;
            if wakes < NEVER {
                self.plan(wakes, number, What::Wake);
            }
        }
    }

    /// The most mints in a second of this stretch.
    fn peak(&self, from: f64, to: f64) -> u32 {
        let second = |at: f64| ((at / SECOND) as usize).min(self.mints.len());
        self.mints[second(from)..second(to)].iter().copied().max().unwrap_or_default()
    }

    fn mean(&self, from: f64, to: f64) -> f64 {
        let second = |at: f64| ((at / SECOND) as usize).min(self.mints.len());
        let stretch = &self.mints[second(from)..second(to)];
        f64::from(stretch.iter().sum::<u32>()) / stretch.len() as f64
    }
}

const LIMITS: Limits =
    Limits { session: 10e3, token: 15e3, first_byte: 120e3, idle: 60e3, content: 600e3, total: NEVER };

fn config() -> Config {
    Config {
        gateway_url: "g".to_owned(),
        function_url: "f".to_owned(),
        api_key: None,
        margin: 60e3,
        limits: LIMITS,
        max_retries: 2,
        largest_event: 1 << 20,
        source_reports: true,
    }
}

/// What came of a course.
struct Figures {
    crowd: usize,
    failed_calls: u32,
    /// The most mints in a second, while it happens, from then on, and in the last half hour.
    meanwhile: u32,
    then: u32,
    afterwards: u32,
    /// In a second of the last half hour.
    mean: f64,
    /// For each who came, at the rate of the last half hour.
    each: f64,
}

fn crowd() -> usize {
    env::var("CROWD").map_or(SMALL, |crowd| crowd.parse().unwrap())
}

fn watch(name: &str, course: Course, caller: Caller) -> Figures {
    let crowd = crowd();
    let world = World::new(course, caller, crowd).run();
    let from = match course {
        Course::Outage(_) | Course::Reload => DISTURBANCE,
        Course::SameMinute | Course::Visits(_) => 0.0,
    };
    let mean = world.mean(AFTERWARDS, COURSE);
    let figures = Figures {
        crowd,
        failed_calls: world.failed_calls,
        meanwhile: world.peak(from, course.settles()),
        then: world.peak(course.settles(), AFTERWARDS),
        afterwards: world.peak(AFTERWARDS, COURSE),
        mean,
        each: mean * COURSE / SECOND / crowd as f64,
    };
    let who = match caller {
        Caller::Person => "people",
        Caller::Timer => "timers",
    };
    let Figures { meanwhile, then, afterwards, each, .. } = figures;
    println!(
        r#"scale {{"course":"{name}","who":"{who}","crowd":{crowd},"meanwhile":{meanwhile},"then":{then},"afterwards":{afterwards},"mean":{mean:.2},"each":{each:.2}}}"#
    );
    figures
}

/// So many times the mean, and what chance adds to it in one second of half an hour.
fn at_most(times: f64, mean: f64) -> u32 {
    (times * mean + 5.0 * (times * mean).sqrt()) as u32
}

#[test]
fn a_crowd_of_one_minute_is_no_crowd_an_hour_later() {
    for caller in [Caller::Person, Caller::Timer] {
        let figures = watch("all in one minute", Course::SameMinute, caller);
        assert!(figures.meanwhile >= figures.crowd as u32 / 60, "there was a crowd");
        assert!(figures.then <= figures.meanwhile / 2, "{} then {}", figures.meanwhile, figures.then);
        assert!(figures.afterwards <= at_most(2.5, figures.mean), "{} of {}", figures.afterwards, figures.mean);
        assert_eq!(figures.failed_calls, 0);
    }
}

#[test]
fn an_outage_is_not_echoed() {
    for caller in [Caller::Person, Caller::Timer] {
        let figures = watch("an outage of 20 minutes", Course::Outage(20.0 * MINUTE), caller);
        // Everybody asks once or twice a minute, and each call at most three times: cool-downs make it less.
        assert!(
            figures.meanwhile <= figures.crowd as u32 / 10,
            "the closed door is not stormed: {}",
            figures.meanwhile
        );
        assert!(figures.failed_calls > 0 && figures.then <= figures.meanwhile / 3, "{}", figures.then);
        assert!(figures.afterwards <= at_most(3.0, figures.mean), "{} of {}", figures.afterwards, figures.mean);
    }
}

#[test]
fn an_outage_of_seconds_is_not_seen() {
    for caller in [Caller::Person, Caller::Timer] {
        let figures = watch("an outage of 10 seconds", Course::Outage(10.0 * SECOND), caller);
        assert_eq!(figures.failed_calls, 0, "tokens are renewed ahead, and failed mints repeated");
        assert!(figures.afterwards <= at_most(1.5, figures.mean), "{} of {}", figures.afterwards, figures.mean);
    }
}

#[test]
fn a_deploy_that_reloads_every_page_is_not_echoed() {
    for caller in [Caller::Person, Caller::Timer] {
        let figures = watch("a deploy that reloads every page", Course::Reload, caller);
        assert!(figures.then <= figures.meanwhile / 2, "{} then {}", figures.meanwhile, figures.then);
        assert!(figures.afterwards <= at_most(3.0, figures.mean), "{} of {}", figures.afterwards, figures.mean);
        assert_eq!(figures.failed_calls, 0);
    }
}

#[test]
fn who_comes_and_goes_mints_once_and_again_every_ten_minutes() {
    for minutes in [5.0, 15.0, 30.0, 60.0] {
        let figures = watch(&format!("visits of {minutes} minutes"), Course::Visits(minutes * MINUTE), Caller::Person);
        let expected = 1.0..1.2 + minutes / 10.0;
        assert!(expected.contains(&figures.each), "{} in {minutes} minutes", figures.each);
        assert!(figures.afterwards <= at_most(1.5, figures.mean), "{} of {}", figures.afterwards, figures.mean);
        assert_eq!(figures.failed_calls, 0);
    }
}
