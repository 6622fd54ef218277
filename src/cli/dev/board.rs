//! A job's progress for a person: a bar for the job and a line an image on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

/// What is shown of one job.
pub(super) struct Board {
    /// Nothing when the output is no terminal.
    bars: Option<Bars>,
    /// The last thing that was said of each image, or of the job, so that nothing is said twice.
    said: HashMap<String, String>,
}

struct Bars {
    all: MultiProgress,
    job: ProgressBar,
    images: HashMap<String, ProgressBar>,
}

impl Board {
    /// A board for the job with this row.
    pub(super) fn new(job: &Value) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(100));
            bar.set_style(style("{bar:32.cyan/blue} {pos:>3}%  {msg}  {elapsed}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            Bars { all, job: bar, images: HashMap::new() }
        });
        let mut board = Self { bars, said: HashMap::new() };
        board.show_job(job);
        board
    }

    /// Shows the job's row.
    pub(super) fn show_job(&mut self, job: &Value) {
        let message = job["message"].as_str().unwrap_or("Waiting for a worker").to_owned();
        let progress = job["progress"].as_u64().unwrap_or(0);
        match &self.bars {
            Some(bars) => {
                bars.job.set_position(progress);
                bars.job.set_message(message);
            }
            None => self.say("job".to_owned(), format!("{progress:>3}%  {message}")),
        }
    }

    /// Shows an image's row.
    pub(super) fn show_image(&mut self, image: &Value) {
        let Some(id) = image["id"].as_str() else { return };
        let status = image["status"].as_str().unwrap_or_default();
        let label = format!(
            "variant {} slide {} {:>4}",
            image["variant"],
            image["slide"],
            image["aspect_ratio"].as_str().unwrap_or_default()
        );
        let detail = match status {
            "completed" => format!(
                "{}x{}, {:.1} MB, {:.1} s",
                image["width"],
                image["height"],
                image["bytes"].as_f64().unwrap_or_default() / 1e6,
                image["duration_ms"].as_f64().unwrap_or_default() / 1e3
            ),
            "failed" => image["error_message"].as_str().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let line = format!("{label}  {status:<10} {detail}");
        let Some(bars) = &mut self.bars else {
            self.say(id.to_owned(), line);
            return;
        };
        let bar = bars.images.entry(id.to_owned()).or_insert_with(|| bars.all.add(ProgressBar::new_spinner()));
        let over = matches!(status, "completed" | "failed" | "cancelled");
        bar.set_style(match status {
            "completed" => style("  {msg:.green}"),
            "failed" => style("  {msg:.red}"),
            "generating" => style("  {msg} {spinner:.cyan}"),
            _ => style("  {msg:.dim}"),
        });
        bar.set_message(line);
        match over {
            true => bar.abandon(),
            false => bar.enable_steady_tick(Duration::from_millis(120)),
        }
    }

    /// Shows the job's last row and leaves everything standing.
    pub(super) fn close(&mut self, job: &Value) {
        self.show_job(job);
        if let Some(bars) = &self.bars {
            bars.job.abandon();
        }
    }

    fn say(&mut self, whose: String, line: String) {
        if self.said.get(&whose) != Some(&line) {
            eprintln!("{line}");
            self.said.insert(whose, line);
        }
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
