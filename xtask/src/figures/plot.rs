//! Small plots on logarithmic axes, as SVG that is read on light and dark pages.

use std::fmt::Write as _;

/// One line of a plot.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    /// Sizes and costs, both above zero.
    pub(super) points: &'a [(f64, f64)],
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 56.0;
/// Room for the axis.
const BOTTOM: f64 = 76.0;
/// Of each line of the legend.
const LEGEND: f64 = 22.0;

const STYLE: &str = r#"
    .paper { fill: #f6f4ef }
    text { fill: #20211f; font: 14px ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif }
    .title { font-size: 17px; font-weight: 600 }
    .small { fill: #64625b; font-size: 13px }
    .grid { stroke: #ddd8cc; stroke-width: 1 }
    .linear { stroke: #8b887e; stroke-width: 1.5; stroke-dasharray: 5 5; fill: none }
    .line { fill: none; stroke-width: 2.25; stroke-linejoin: round }
    .s0 { stroke: #17594a; fill: #17594a } .s1 { stroke: #a3481f; fill: #a3481f } .s2 { stroke: #4b53a8; fill: #4b53a8 }
    path.line { fill: none }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #131513 }
      text { fill: #ebe9e2 }
      .small { fill: #a3a29a }
      .grid { stroke: #33372f }
      .linear { stroke: #7f8278 }
      .s0 { stroke: #8fd3bd; fill: #8fd3bd } .s1 { stroke: #f0a57e; fill: #f0a57e } .s2 { stroke: #b0b6f5; fill: #b0b6f5 }
      path.line { fill: none }
    }
  "#;

/// An axis from one power of ten to another.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(least, most), v| (least.min(v), most.max(v)));
        let (from, to) = (least.log10().floor(), most.log10().ceil());
        Self { from, to: to.max(from + 1.0), start, end }
    }

    fn place(&self, value: f64) -> f64 {
        self.start + (value.log10() - self.from) / (self.to - self.from) * (self.end - self.start)
    }

    /// The powers of ten on it.
    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        (self.from as i32..=self.to as i32).map(|power| 10_f64.powi(power))
    }
}

/// `what` is counted along the bottom, milliseconds of CPU upwards. The dashed line is what is linear.
pub(super) fn draw(title: &str, what: &str, series: &[Series<'_>]) -> String {
    let bottom = HEIGHT - BOTTOM;
    let points = || series.iter().flat_map(|one| one.points);
    let across = Axis::over(points().map(|(size, _)| *size), LEFT, WIDTH - RIGHT);
    let up = Axis::over(points().map(|(_, cost)| *cost), bottom, TOP);
    let height = HEIGHT + LEGEND * (series.len() + 1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"title\">\n  \
         <title id=\"title\">{title}</title>\n  <style>{STYLE}</style>\n  \
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"12\"/>\n  \
         <text class=\"title\" x=\"24\" y=\"32\">{title}</text>\n"
    );
    let mut put = |line: String| {
        let _ = writeln!(svg, "  {line}");
    };
    for tick in across.ticks() {
        let x = across.place(tick);
        put(format!(r#"<path class="grid" d="M{x:.1} {TOP}V{bottom}"/>"#));
        put(format!(
            r#"<text class="small" x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 20.0,
            amount(tick)
        ));
    }
    for tick in up.ticks() {
        let y = up.place(tick);
        put(format!(r#"<path class="grid" d="M{LEFT} {y:.1}H{:.1}"/>"#, WIDTH - RIGHT));
        let label = format!("{} ms", amount(tick));
        put(format!(
            r#"<text class="small" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
            LEFT - 8.0,
            y + 4.5
        ));
    }
    put(format!(
        r#"<text class="small" x="{:.1}" y="{:.1}" text-anchor="middle">{what}</text>"#,
        (LEFT + WIDTH - RIGHT) / 2.0,
        bottom + 42.0
    ));
    if let Some(d) = linear(series, &across, &up) {
        put(format!(r#"<path class="linear" d="{d}"/>"#));
    }
    for (index, one) in series.iter().enumerate() {
        let places: Vec<_> = one.points.iter().map(|(size, cost)| (across.place(*size), up.place(*cost))).collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        put(format!(r#"<path class="line s{index}" d="M{}"/>"#, path.join("L")));
        for (x, y) in places {
            put(format!(r#"<circle class="s{index}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#));
        }
        let y = HEIGHT + LEGEND * index as f64;
        put(format!(r#"<circle class="s{index}" cx="{LEFT}" cy="{:.1}" r="4"/>"#, y - 4.5));
        put(format!(r#"<text x="{:.1}" y="{y:.1}">{}</text>"#, LEFT + 14.0, one.name));
    }
    let y = HEIGHT + LEGEND * series.len() as f64;
    put(format!(r#"<path class="linear" d="M{:.1} {:.1}h20"/>"#, LEFT - 10.0, y - 4.5));
    put(format!(r#"<text class="small" x="{:.1}" y="{y:.1}">linear</text>"#, LEFT + 14.0));
    svg.push_str("</svg>\n");
    svg
}

/// From the costliest point downwards, as far as there is room, at the cost that would be linear.
fn linear(series: &[Series<'_>], across: &Axis, up: &Axis) -> Option<String> {
    let last = series.iter().filter_map(|one| one.points.last()).copied();
    let (size, cost) = last.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let (least_size, least_cost) = (10_f64.powf(across.from), 10_f64.powf(up.from));
    let down = (size / least_size).min(cost / least_cost);
    let place = |size: f64, cost: f64| format!("{:.1} {:.1}", across.place(size), up.place(cost));
    Some(format!("M{}L{}", place(size / down, cost / down), place(size, cost)))
}

fn amount(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 => format!("{},000", v / 1e3),
        v => format!("{v}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_span_whole_decades() {
        let axis = Axis::over([3.0, 40.0, 2_000.0].into_iter(), 0.0, 100.0);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((axis.place(100.0) - 50.0).abs() < 1e-9);
        let narrow = Axis::over([1.0].into_iter(), 0.0, 100.0);
        assert_eq!(narrow.ticks().count(), 2);
    }

    #[test]
    fn each_series_has_a_line_points_and_a_name() {
        let points = [(1.0, 2.0), (10.0, 20.0)];
        let svg = draw(
            "Title",
            "things",
            &[Series { name: "one", points: &points }, Series { name: "two", points: &points }],
        );
        assert_eq!(svg.matches("class=\"line ").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 6);
        assert!(svg.contains(">two<") && svg.contains("Title") && svg.contains("prefers-color-scheme: dark"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!([0.01, 1.0, 1e4, 1e6].map(amount), ["0.01", "1", "10,000", "1 M"]);
    }
}
