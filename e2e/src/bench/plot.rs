//! The results as one picture: a bar from p50 to p99 for each case on a logarithmic scale, and the floor's p50.

use serde_json::Value;
use std::fmt::Write as _;

const ROW: usize = 26;
const TOP: usize = 30;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 560.0;
/// The scale ends at powers of ten, in milliseconds.
const DECADES: [u32; 5] = [1, 2, 3, 4, 5];

/// The picture of these rows.
pub(super) fn svg(rows: &[Value]) -> String {
    let height = TOP + ROW * rows.len() + 10;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        LEFT + WIDTH + 30.0
    );
    for decade in DECADES {
        let x = place(10_u64.pow(decade));
        // Writing to a String cannot fail.
        let _ = writeln!(
            picture,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{height}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"16\" \
             text-anchor=\"middle\" fill=\"#777\">{} ms</text>",
            TOP - 8,
            10_u64.pow(decade)
        );
    }
    for (index, row) in rows.iter().enumerate() {
        picture.push_str(&bar(row, TOP + ROW * index));
    }
    picture + "</svg>\n"
}

fn bar(row: &Value, y: usize) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (p50, p99) = (number(&row["p50"]), number(&row["p99"]));
    let (from, to) = (place(p50), place(p99));
    let mut bar = format!(
        "<text x=\"8\" y=\"{}\" fill=\"#555\">{}</text><rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"8\" \
         fill=\"#2a78b8\"><title>p50 {p50} ms, p99 {p99} ms</title></rect>",
        y + 14,
        row["case"].as_str().unwrap_or_default(),
        y + 6,
        (to - from).max(3.0)
    );
    if let Some(floor) = row["floor"]["p50"].as_u64() {
        let x = place(floor);
        let _ = write!(
            bar,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#c33\" stroke-width=\"2\"><title>floor {floor} \
             ms</title></line>",
            y + 2,
            y + 18
        );
    }
    bar + "\n"
}

/// Where a time stands; what is outside the scale stands at its end.
fn place(milliseconds: u64) -> f64 {
    let (first, last) = (f64::from(DECADES[0]), f64::from(DECADES[DECADES.len() - 1]));
    let time = f64::from(u32::try_from(milliseconds.max(1)).unwrap_or(u32::MAX));
    let share = (time.log10() - first) / (last - first);
    LEFT + WIDTH * share.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bars_stand_where_the_scale_says() {
        assert!((place(10) - LEFT).abs() < 0.1);
        assert!((place(1000) - (LEFT + WIDTH / 2.0)).abs() < 0.1);
        assert!((place(0) - LEFT).abs() < 0.1);
        assert!((place(u64::MAX) - (LEFT + WIDTH)).abs() < 0.1);
    }

    #[test]
    fn every_case_has_a_bar_and_a_floor_if_it_was_measured() {
        let rows = [
            json!({"case": "a", "p50": 10, "p99": 90, "floor": {"p50": 12}}),
            json!({"case": "b", "p50": 5, "p99": 5}),
        ];
        let picture = svg(&rows);
        assert_eq!(picture.matches("<rect").count(), 2);
        assert_eq!(picture.matches("floor 12 ms").count(), 1);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }
}
