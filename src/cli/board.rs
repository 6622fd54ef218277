//! Progress for a person, on standard error: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use uuid::Uuid;

use super::terminal::line;
use crate::client::{Image, Job, Seen};

/// What is shown of one job: a bar for it and a line an image.
pub(super) struct Board {
    /// Nothing when the output is no terminal.
    bars: Option<Bars>,
    /// The last thing that was said of the job or an image, so that nothing is said twice.
    said: HashMap<Uuid, String>,
}

struct Bars {
    all: MultiProgress,
    job: ProgressBar,
    images: HashMap<Uuid, ProgressBar>,
}

impl Board {
    /// An empty board.
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(100));
            bar.set_style(style("{bar:32.cyan/blue} {pos:>3}%  {msg}  {elapsed}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            Bars { all, job: bar, images: HashMap::new() }
        });
        Self { bars, said: HashMap::new() }
    }

    /// Shows a row as it is now.
    pub(super) fn show(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Job(job) => self.show_job(job),
            Seen::Image(image) => self.show_image(image),
        }
    }

    fn show_job(&mut self, job: &Job) {
        let message = line(job.message.as_deref().unwrap_or("Waiting for a worker"));
        let progress = u64::try_from(job.progress).unwrap_or(0);
        match &self.bars {
            Some(bars) => {
                bars.job.set_position(progress);
                bars.job.set_message(message);
                if job.status.is_over() {
                    bars.job.abandon();
                }
            }
            None => self.say(job.id, format!("{progress:>3}%  {message}")),
        }
    }

    fn show_image(&mut self, image: &Image) {
        let status = image.status.as_str();
        let label = format!("variant {} slide {} {:>4}", image.variant, image.slide, image.aspect_ratio.as_str());
        let words = format!("{label}  {status:<10} {}", detail(image));
        let Some(bars) = &mut self.bars else {
            self.say(image.id, words);
            return;
        };
        let bar = bars.images.entry(image.id).or_insert_with(|| bars.all.add(ProgressBar::new_spinner()));
        bar.set_style(match status {
            "completed" => style("  {msg:.green}"),
            "failed" => style("  {msg:.red}"),
            "generating" => style("  {msg} {spinner:.cyan}"),
            _ => style("  {msg:.dim}"),
        });
        bar.set_message(words);
        match status {
            "completed" | "failed" | "cancelled" => bar.abandon(),
            _ => bar.enable_steady_tick(Duration::from_millis(120)),
        }
    }

    fn say(&mut self, whose: Uuid, words: String) {
        if self.said.get(&whose) != Some(&words) {
            eprintln!("{}", words.trim_end());
            self.said.insert(whose, words);
        }
    }
}

/// What there is to say of an image besides its state.
pub(super) fn detail(image: &Image) -> String {
    match image.status.as_str() {
        "completed" => format!(
            "{}x{}, {:.1} MB, {:.1} s",
            image.width.unwrap_or(0),
            image.height.unwrap_or(0),
            f64::from(i32::try_from(image.bytes.unwrap_or(0)).unwrap_or(i32::MAX)) / 1e6,
            f64::from(image.duration_ms.unwrap_or(0)) / 1e3
        ),
        "failed" => line(image.error_message.as_deref().unwrap_or_default()),
        _ => String::new(),
    }
}

/// A bar that counts files; hidden where there is no terminal.
pub(super) fn counter(label: &'static str, files: usize) -> ProgressBar {
    hidden(files as u64, "{prefix} {bar:32.cyan/blue} {pos}/{len}", label)
}

/// A bar that counts the bytes of all files; hidden where there is no terminal.
pub(super) fn transfer(label: &'static str, bytes: u64) -> ProgressBar {
    hidden(bytes, "{prefix} {bar:32.cyan/blue} {bytes}/{total_bytes}  {bytes_per_sec}", label)
}

fn hidden(length: u64, template: &'static str, label: &'static str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(Some(length), target).with_style(style(template)).with_prefix(label)
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
