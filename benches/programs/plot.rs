//! Curves over logarithmic axes, as SVG. Colours and greys are such that can be read on a white and on a black page; each curve
//! bears its name at its end, so that nobody has to know the colours.

use std::fmt::Write;

use crate::page::grouped;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// Room for the names at the left, at the top, for those of the curves at the right, and at the bottom.
const MARGINS: [f64; 4] = [56.0, 40.0, 190.0, 44.0];
const COLOURS: [&str; 4] = ["#2f81d6", "#d9730d", "#2da44e", "#a36bdb"];
const GREY: &str = "#808890";

/// One picture of several, which stand below each other.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) curves: Vec<Curve>,
}

/// A name and its points.
pub(crate) type Curve = (String, Vec<(f64, f64)>);

/// A logarithmic axis between two powers of ten.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(0.0, f64::max).log10().ceil();
        Self {
            low,
            high: high.max(low + 1.0),
        }
    }

    /// Where a value lies, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        (value.log10() - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|exponent| 10_f64.powi(exponent))
    }
}

/// The panels as one SVG file.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let height = HEIGHT * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"{GREY}\">\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let top = HEIGHT * number as f64;
        writeln!(svg, "<g transform=\"translate(0 {top})\">").unwrap();
        draw(&mut svg, panel);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel) {
    let [left, top, right, bottom] = MARGINS;
    let points = || panel.curves.iter().flat_map(|(_, points)| points);
    let (across, up) = (
        Axis::over(points().map(|point| point.0)),
        Axis::over(points().map(|point| point.1)),
    );
    let x = |value: f64| left + across.at(value) * (WIDTH - left - right);
    let y = |value: f64| HEIGHT - bottom - up.at(value) * (HEIGHT - top - bottom);
    text(
        svg,
        (left, 20.0),
        "start",
        &format!("{} ({})", panel.title, panel.y),
    );
    text(svg, (WIDTH - right, HEIGHT - 8.0), "end", panel.x);
    let (start, end) = (left, WIDTH - right);
    for tick in up.ticks() {
        line(svg, (start, y(tick)), (end, y(tick)));
        text(svg, (start - 6.0, y(tick) + 4.0), "end", &label(tick));
    }
    for tick in across.ticks() {
        line(svg, (x(tick), top), (x(tick), HEIGHT - bottom));
        text(
            svg,
            (x(tick), HEIGHT - bottom + 16.0),
            "middle",
            &label(tick),
        );
    }
    let heights = apart(&panel.curves, &y);
    for (number, ((name, points), height)) in panel.curves.iter().zip(heights).enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<String> = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        )
        .unwrap();
        for point in &path {
            let (x, y) = point.split_once(',').unwrap();
            writeln!(
                svg,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>"
            )
            .unwrap();
        }
        let from = points
            .last()
            .map_or((end, height), |point| (x(point.0), y(point.1)));
        writeln!(
            svg,
            "<path d=\"M{:.1},{:.1}L{:.1},{height:.1}\" stroke=\"{colour}\" stroke-dasharray=\"1 3\"/>",
            from.0,
            from.1,
            end + 6.0
        )
        .unwrap();
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            end + 10.0,
            height + 4.0,
            escaped(name)
        )
        .unwrap();
    }
}

/// How high the names of the curves stand: where the curves end, and at least a line from each other.
fn apart(curves: &[Curve], y: &impl Fn(f64) -> f64) -> Vec<f64> {
    let ends: Vec<f64> = curves
        .iter()
        .map(|(_, points)| points.last().map_or(0.0, |point| y(point.1)))
        .collect();
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|a, b| ends[*b].total_cmp(&ends[*a]));
    let mut heights = ends.clone();
    let mut limit = HEIGHT - MARGINS[3];
    for number in order {
        heights[number] = ends[number].min(limit);
        limit = heights[number] - 15.0;
    }
    heights
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        svg,
        "<path d=\"M{:.1},{:.1}L{:.1},{:.1}\" stroke=\"{GREY}\" stroke-opacity=\"0.35\"/>",
        from.0, from.1, to.0, to.1
    )
    .unwrap();
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        at.0,
        at.1,
        escaped(text)
    )
    .unwrap();
}

/// A power of ten as it stands at an axis.
fn label(tick: f64) -> String {
    if tick < 1.0 {
        tick.to_string()
    } else {
        grouped(tick as usize)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
