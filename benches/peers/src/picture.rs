//! The picture: a bar for each way in each shape. The axis is logarithmic: they are
//! orders of magnitude apart.

use crate::report::Report;
use crate::{Failure, Way, SHAPES, WAYS};
use plotters::prelude::*;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 400;
/// Bars of one shape, and the room behind them.
const STEP: f64 = WAYS.len() as f64 + 1.0;

fn colour(way: Way) -> RGBColor {
    match way {
        Way::Everysec => RGBColor(200, 30, 45),
        Way::Always => RGBColor(235, 130, 120),
        Way::Etcd => RGBColor(30, 100, 190),
        Way::Zookeeper => RGBColor(215, 140, 20),
    }
}

/// The picture as SVG.
pub fn drawn(report: &Report) -> Result<String, Failure> {
    let mut svg = String::new();
    draw(report, &mut svg).map_err(|error| error.to_string())?;
    Ok(svg)
}

fn draw(report: &Report, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let area = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let speeds = || report.rows.iter().map(|row| row.cycles_per_second.max(1.0));
    let least = speeds().fold(f64::MAX, f64::min) / 3.0;
    let most = speeds().fold(1.0, f64::max) * 6.0;
    let across = 0.0..STEP * SHAPES.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption("acquire and release: cycles per second", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(64)
        .build_cartesian_2d(across, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_label_formatter(&|number| format!("{number:.0}"))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    let text = ("sans-serif", 13).into_font().color(&BLACK);
    let centred = text.pos(plotters::style::text_anchor::Pos::new(
        plotters::style::text_anchor::HPos::Center,
        plotters::style::text_anchor::VPos::Bottom,
    ));
    for (place, way) in WAYS.into_iter().enumerate() {
        let bars: Vec<_> = SHAPES
            .into_iter()
            .enumerate()
            .filter_map(|(group, shape)| {
                let left = group as f64 * STEP + 0.5 + place as f64;
                Some((left, report.speed(shape, way)?.max(1.0)))
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let fill = colour(way).filled();
        let bar = |&(left, speed): &(f64, f64)| {
            Rectangle::new([(left + 0.05, least), (left + 0.95, speed)], fill)
        };
        chart
            .draw_series(bars.iter().map(bar))?
            .label(way.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], fill));
        let number = |&(left, speed): &(f64, f64)| {
            Text::new(
                format!("{speed:.0}"),
                (left + 0.5, speed * 1.04),
                centred.clone(),
            )
        };
        chart.draw_series(bars.iter().map(number))?;
    }
    // Below the axis.
    let (left, bottom) = {
        let plot = chart.plotting_area();
        (
            plot.get_x_axis_pixel_range(),
            plot.get_y_axis_pixel_range().end,
        )
    };
    for (group, shape) in (0..).zip(SHAPES) {
        let x = left.start + (left.end - left.start) * (2 * group + 1) / (2 * SHAPES.len() as i32);
        area.draw(&Text::new(
            report.title(shape),
            (x, bottom + 22),
            centred.clone(),
        ))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.85))
        .draw()?;
    area.present()
}
