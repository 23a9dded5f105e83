//! `cargo xtask check --scale`: crowds of clients at one token endpoint, and how many cores serve how many users.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::page;
use crate::machine::places::root;

/// So many clients.
pub(crate) const CROWD: u32 = 100_000;

/// A visit of the capacity model.
const VISIT: &str = "visits of 15 minutes";
const VISITS_A_DAY: f64 = 2.0;
/// The busiest hour has so many times the visits of the average one.
const PEAK: f64 = 3.0;
/// So much of a core is used at the peak, and the rest is for what nobody expects.
const USED: f64 = 0.5;
const DAY: f64 = 86_400.0;
/// Of a day's users, who come within one minute when something is announced.
const ANNOUNCED: f64 = 0.01;

/// CPU of one mint with its exchanges in microseconds, as `cargo xtask bench --server` measures it (`server axum cpu`, `server
/// wasm cpu`): one core of a shared server, plan and mint asked over HTTP.
const AXUM: f64 = 160.0;
const DENO: f64 = 750.0;

/// One line of `src/engine/arrivals.rs`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Course {
    course: String,
    who: String,
    crowd: u32,
    meanwhile: u32,
    then: u32,
    afterwards: u32,
    mean: f64,
    each: f64,
}

impl Course {
    fn is_visits(&self) -> bool {
        self.course.starts_with("visits")
    }
}

/// Writes the tables of docs/scale.md from what the simulation printed.
pub(crate) fn write(lines: &[String]) -> Result<()> {
    // libtest may have begun the line with a test's name.
    let figures = lines.iter().filter_map(|line| line.split_once("scale {").map(|(_, rest)| format!("{{{rest}")));
    let courses = figures.map(|line| serde_json::from_str(&line).with_context(|| format!("no figures: {line}")));
    let courses = sorted(courses.collect::<Result<Vec<Course>>>()?);
    if let Some(small) = courses.iter().find(|course| course.crowd != CROWD) {
        bail!("the crowd of {:?} has only {} clients", small.course, small.crowd);
    }
    let (arrivals, visits, capacity) = (arrivals(&courses), visits(&courses), capacity(&courses)?);
    println!("\n{arrivals}\n{visits}\n{capacity}");
    let document = root().join("docs/scale.md");
    page::write(&document, "arrivals", &arrivals)?;
    page::write(&document, "visits", &visits)?;
    page::write(&document, "capacity", &capacity)
}

/// Tests run side by side: by what happens, people first, and visits by their length.
fn sorted(mut courses: Vec<Course>) -> Vec<Course> {
    let length =
        |course: &Course| course.course.bytes().filter(u8::is_ascii_digit).fold(0, |n, d| n * 10 + u32::from(d - b'0'));
    courses.sort_by_key(|course| {
        let name = if course.is_visits() { String::new() } else { course.course.clone() };
        (course.is_visits(), name, length(course), course.who.clone())
    });
    courses
}

fn arrivals(courses: &[Course]) -> String {
    let mut table =
        "| what happens | who | meanwhile | then, up to 90 minutes | in the last half hour | of a mean of |\n\
                     |---|---|---|---|---|---|\n"
            .to_owned();
    for course in courses.iter().filter(|course| !course.is_visits()) {
        let Course { course, who, meanwhile, then, afterwards, mean, .. } = course;
        let times = f64::from(*afterwards) / mean;
        table.push_str(&format!(
            "| {course} | {who} | {meanwhile} | {then} | {afterwards} ({times:.1} times) | {mean:.0} |\n"
        ));
    }
    table
}

fn visits(courses: &[Course]) -> String {
    let mut table = "| people who stay so long on average | mints for each | most in a second, of a mean of |\n\
                     |---|---|---|\n"
        .to_owned();
    for Course { course, each, afterwards, mean, .. } in courses.iter().filter(|course| course.is_visits()) {
        let long = course.trim_start_matches("visits of ");
        table.push_str(&format!("| {long} | {each:.2} | {afterwards} of {mean:.1} |\n"));
    }
    table
}

fn capacity(courses: &[Course]) -> Result<String> {
    let each = courses.iter().find(|course| course.course == VISIT).map(|course| course.each);
    let each = each.with_context(|| format!("the simulation has no {VISIT}"))?;
    let mut table = "| users a day | mints a month | mints a second, on average | in the busiest hour | cores, axum | cores, Deno | \
                     1 % come in one minute: mints a second | cores, axum |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for power in 4..=8 {
        let users = 10_f64.powi(power);
        let day = users * VISITS_A_DAY * each;
        let (mean, peak, announced) = (day / DAY, day / DAY * PEAK, users * ANNOUNCED / 60.0);
        let cores = |rate: f64, cost: f64| significant(rate * cost / 1e6 / USED);
        table.push_str(&format!(
            "| 10^{power} | {} M | {} | {} | {} | {} | {} | {} |\n",
            significant(day * 30.0 / 1e6),
            significant(mean),
            significant(peak),
            cores(peak, AXUM),
            cores(peak, DENO),
            significant(announced),
            cores(announced, AXUM),
        ));
    }
    Ok(table)
}

/// Two digits that mean something, and thousands apart.
fn significant(value: f64) -> String {
    let digits = 1 - value.log10().floor() as i32;
    let unit = 10_f64.powi(-digits);
    let mut text = format!("{:.*}", usize::try_from(digits).unwrap_or(0), (value / unit).round() * unit);
    if digits < 0 {
        let places: Vec<_> = (1..text.len()).rev().filter(|place| (text.len() - place).is_multiple_of(3)).collect();
        places.into_iter().for_each(|place| text.insert(place, ','));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(name: &str, who: &str) -> Course {
        let [course, who] = [name, who].map(str::to_owned);
        Course { course, who, crowd: CROWD, meanwhile: 1900, then: 500, afterwards: 260, mean: 130.0, each: 1.8 }
    }

    #[test]
    fn two_digits_are_told() {
        assert_eq!(
            [0.0123, 0.96, 1.26, 12.4, 126.0, 97_222.0, 1_234_567.0].map(significant),
            ["0.012", "0.96", "1.3", "12", "130", "97,000", "1,200,000"]
        );
    }

    #[test]
    fn cores_grow_with_users() {
        let table = capacity(&[course(VISIT, "people")]).unwrap();
        let row = table.lines().last().unwrap();
        // 2 visits of 1.8 mints, 3 times the mean, at half of each core.
        assert_eq!(row, "| 10^8 | 11,000 M | 4,200 | 13,000 | 4.0 | 19 | 17,000 | 5.3 |");
        assert_eq!(table.lines().count(), 7);
        assert!(capacity(&[course("something else", "people")]).is_err());
    }

    #[test]
    fn courses_stand_in_one_order() {
        let [a, b, c, d] =
            [("visits of 15 minutes", "people"), ("visits of 5 minutes", "people"), ("b", "timers"), ("b", "people")];
        let courses = sorted([a, b, c, d].map(|(name, who)| course(name, who)).into());
        let order: Vec<_> = courses.iter().map(|course| (&*course.course, &*course.who)).collect();
        assert_eq!(order, [d, c, b, a]);
        assert_eq!(arrivals(&courses).lines().count(), 4);
        assert!(arrivals(&courses).contains("| b | people | 1900 | 500 | 260 (2.0 times) | 130 |"));
        assert!(visits(&courses).ends_with("| 15 minutes | 1.80 | 260 of 130.0 |\n"));
    }
}
