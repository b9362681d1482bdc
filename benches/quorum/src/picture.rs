//! The picture: how long a lock and its release take with each fault, a bar for each way.
//! The axis is logarithmic: they are orders of magnitude apart.

use crate::nodes::FAULTS;
use crate::report::{FaultRow, Report};
use crate::ways::{Way, WAYS_WITH_FAULTS};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use stand::Failure;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 360;
const LEAST_MS: f64 = 0.01;
/// Bars of one fault, and the room behind them.
const STEP: f64 = WAYS_WITH_FAULTS.len() as f64 + 1.0;

fn colour(way: Way) -> RGBColor {
    match way {
        Way::Ours => RGBColor(200, 30, 45),
        Way::OursDropped => RGBColor(235, 130, 120),
        Way::Rslock => RGBColor(110, 110, 110),
        Way::Redsync => RGBColor(30, 100, 190),
        Way::RedsyncTuned => RGBColor(215, 140, 20),
    }
}

/// The picture as SVG: above, how long until the lock is there; below, the release.
pub fn drawn(report: &Report) -> Result<String, Failure> {
    let mut svg = String::new();
    draw(report, &mut svg).map_err(|error| error.to_string())?;
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawError = DrawingAreaErrorKind<std::io::Error>;

fn draw(report: &Report, svg: &mut String) -> Result<(), DrawError> {
    let area = SVGBackend::with_string(svg, (WIDTH, 2 * HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let (above, below) = area.split_vertically(HEIGHT);
    let title = "one of three servers is not well: until the lock is there, median in ms";
    panel(&above, report, title, Legend::Here, |row| {
        row.acquire_p50_ms
    })?;
    let title = "until it is released everywhere, or given up: median in ms";
    panel(&below, report, title, Legend::Above, |row| {
        row.release_p50_ms
    })?;
    area.present()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Legend {
    /// At the upper left: nothing is slow where nothing is wrong.
    Here,
    Above,
}

fn panel(
    area: &Area<'_>,
    report: &Report,
    title: &str,
    legend: Legend,
    value: impl Fn(&FaultRow) -> f64,
) -> Result<(), DrawError> {
    let values = || report.faults.iter().map(|row| value(row).max(LEAST_MS));
    let least = values().fold(1.0, f64::min) / 3.0;
    let most = values().fold(1.0, f64::max) * 6.0;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..STEP * FAULTS.len() as f64, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_label_formatter(&|number| format!("{number}"))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    let text = ("sans-serif", 13).into_font().color(&BLACK);
    let centred = text.pos(Pos::new(HPos::Center, VPos::Bottom));
    for (place, way) in WAYS_WITH_FAULTS.into_iter().enumerate() {
        let rows = report.faults.iter().filter(|row| row.way == way);
        let bars = rows.filter_map(|row| {
            let group = FAULTS.iter().position(|fault| *fault == row.fault)?;
            let left = group as f64 * STEP + 0.5 + place as f64;
            Some((left, value(row).max(LEAST_MS)))
        });
        let bars: Vec<(f64, f64)> = bars.collect();
        if bars.is_empty() {
            continue;
        }
        let fill = colour(way).filled();
        let bar = |&(left, time): &(f64, f64)| {
            Rectangle::new([(left + 0.05, least), (left + 0.95, time)], fill)
        };
        chart
            .draw_series(bars.iter().map(bar))?
            .label(way.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], fill));
        let number = |&(left, time): &(f64, f64)| {
            let digits = if time < 10.0 { 2 } else { 0 };
            // Less than the axis shows is shown as its least.
            let less = if time <= LEAST_MS { "<" } else { "" };
            let number = format!("{less}{time:.digits$}");
            Text::new(number, (left + 0.5, time * 1.06), centred.clone())
        };
        chart.draw_series(bars.iter().map(number))?;
    }
    let plot = chart.plotting_area();
    let across = plot.get_x_axis_pixel_range();
    let bottom = plot.get_y_axis_pixel_range().end - area.get_base_pixel().1;
    for (group, fault) in (0..).zip(FAULTS) {
        let groups = 2 * FAULTS.len() as i32;
        let x = across.start + (across.end - across.start) * (2 * group + 1) / groups;
        area.draw(&Text::new(fault.name(), (x, bottom + 22), centred.clone()))?;
    }
    if legend == Legend::Above {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.85))
        .draw()
}
