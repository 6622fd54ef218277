//! What a person sees on a terminal: foreign text made harmless, colours where there is a terminal, tables.
//!
//! Titles, prompts and messages come from other people and other programs. Printed as they are, they could move the cursor, paint a line of ours,
//! or turn the direction of reading. In JSON they are written by their numbers, and come out of it whole.

use std::fmt::Display;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write};

use console::{Alignment, StyledObject, measure_text_width, pad_str, style};
use unicode_segmentation::UnicodeSegmentation;

/// Columns that a cell of a table takes at most: what is longer ends in dots.
const WIDEST: usize = 60;

/// The text on one line, with nothing in it that a terminal obeys.
pub(super) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split(['\n', '\r', '\t']).filter(|part| !part.is_empty()).collect();
    let text = words.join(" ");
    let mut shown = String::with_capacity(text.len());
    let (mut before, mut in_flag) = (None, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let joins = matches!(letter, '\u{200c}' | '\u{200d}')
            && before.is_some_and(can_be_joined)
            && letters.peek().copied().is_some_and(can_be_joined);
        // The flags of England, Scotland and Wales are a black one with letters behind it that nobody sees, and an end.
        in_flag = letter == '\u{1f3f4}'
            || (in_flag && matches!(letter, '\u{e0020}'..='\u{e007f}') && before != Some('\u{e007f}'));
        shown.push(if joins || in_flag { letter } else { harmless(letter) });
        before = Some(letter);
    }
    shown
}

/// Whether a joiner beside this letter has something to join, as in Persian and Hindi and between emoji. Beside what commands and ids are made
/// of it would only hide.
fn can_be_joined(letter: char) -> bool {
    !letter.is_ascii() && !letter.is_whitespace() && harmless(letter) == letter
}

/// The text, cut to the width of a cell between two of what a person takes for letters.
fn shortened(text: &str) -> String {
    const DOTS: &str = "...";
    if measure_text_width(text) <= WIDEST {
        return text.to_owned();
    }
    let (mut shown, mut width) = (String::new(), DOTS.len());
    for letter in text.graphemes(true) {
        width += measure_text_width(letter);
        if width > WIDEST {
            break;
        }
        shown.push_str(letter);
    }
    shown + DOTS
}

/// The text with its own line breaks, and nothing else in it that a terminal obeys.
pub(super) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A letter as it may be printed: the picture of a control character, and a mark for what is invisible or turns directions.
fn harmless(letter: char) -> char {
    match letter {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        letter => letter,
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// When nobody reads it any more, for example behind `| head`.
pub(super) fn print(text: impl Display) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// Writes a JSON document to standard output, on a line.
///
/// # Errors
/// When nobody reads it any more.
pub(super) fn print_json(document: &serde_json::Value) -> std::io::Result<()> {
    print(escaped(&document.to_string()))
}

/// The same document, with everything that a terminal may obey written by its number. Beyond ASCII a document has letters within texts only.
fn escaped(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for letter in document.chars() {
        if letter == harmless(letter) {
            shown.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// Whether a command ended because its reader did, as that of `carousel jobs list | head` does.
pub(super) fn nobody_reads(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints rows under their headings, each column as wide as it must be. The cells may hold anything. A column of states is coloured.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shortened(&line(cell))).collect()).collect();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(String::as_str);
        cells.chain([headings[at]]).map(measure_text_width).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let pad = |cell: &str, at: usize| pad_str(cell, widths[at], Alignment::Left, None).into_owned();
    let heading: Vec<String> = headings.iter().enumerate().map(|(at, heading)| pad(heading, at)).collect();
    print(style(heading.join("  ").trim_end()).bold())?;
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(at, cell)| match headings[at] {
                "STATUS" => pad(&coloured(cell).to_string(), at),
                _ => pad(cell, at),
            })
            .collect();
        print(cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A word in the colour that its meaning has everywhere: green for good, yellow for waiting or half good, red for bad.
pub(super) fn coloured(word: &str) -> StyledObject<&str> {
    match word {
        "ok" | "completed" => style(word).green(),
        "warning" | "partial" | "pending" => style(word).yellow(),
        "FAILED" | "failed" => style(word).red().bold(),
        "processing" => style(word).cyan(),
        _ => style(word).dim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_neither_paint_nor_begin_a_line_nor_turn_it() {
        let hostile = "a\u{1b}[2J\u{1b}]0;title\u{7}b\r\ncarousel: done\u{202e}c\u{9b}31m";
        let shown = line(hostile);
        assert!(!shown.chars().any(char::is_control) && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(shown.starts_with("a\u{241b}[2J") && shown.contains("b carousel: done"), "{shown:?}");
        assert_eq!(lines("one\ntwo\u{1b}"), "one\ntwo\u{241b}");
        assert_eq!(line("Grüße, 旅行 🎒"), "Grüße, 旅行 🎒");
    }

    #[test]
    fn a_document_is_the_same_and_has_nothing_that_a_terminal_obeys() {
        let hostile =
            "a\u{1b}[2J\u{7f}\u{9b}31m\u{85}\u{202e}\u{2066}\u{200d}\u{feff}\u{e0041}\u{0} \"\\ Grüße, 旅行 🎒\r\n";
        let document = serde_json::json!({ hostile: [hostile, 1.5, null] });
        let shown = escaped(&document.to_string());
        assert!(shown.chars().all(|letter| harmless(letter) == letter), "{shown:?}");
        assert!(shown.contains("\\u009b31m\\u0085\\u202e") && shown.contains("\\udb40\\udc41"), "{shown}");
        assert!(shown.contains("Grüße, 旅行 🎒"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
    }

    /// Persian, Hindi, Kannada, a family, a heart on fire, two flags, a number in a box.
    const JOINED: [&str; 8] = [
        "می\u{200c}خواهم",
        "क्\u{200d}ष",
        "ರ\u{200d}್ಕ",
        "👩\u{200d}👩\u{200d}👧🏽",
        "❤\u{fe0f}\u{200d}🔥",
        "🏳\u{fe0f}\u{200d}🌈",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "1\u{fe0f}\u{20e3}",
    ];

    #[test]
    fn what_joins_letters_stays_and_what_hides_between_them_does_not() {
        for text in JOINED {
            assert_eq!(line(text), text, "{text:?}");
            assert_eq!(line(&format!("a {text} b")), format!("a {text} b"), "{text:?}");
        }
        for hiding in [
            "pass\u{200d}word",
            "a\u{200c}b",
            "1\u{200d}2",
            "\u{200d}می",
            "می\u{200c}",
            "می\u{200c} و",
            "می\u{200c}\u{200d}خ",
            "👩\u{200d}\u{202e}👧",
            "👩\u{200b}👧",
            "👩\u{2060}👧",
            "a\u{e0067}\u{e007f}",
            "👩\u{e0067}\u{e007f}",
            "🏴\u{e0067}\u{e007f}\u{e0067}",
            "می\u{feff}خ",
        ] {
            let shown = line(hiding);
            let kept = shown.chars().count() == hiding.chars().count();
            assert!(shown.contains('\u{fffd}') && kept, "{hiding:?}: {shown:?}");
        }
    }

    #[test]
    fn a_cell_is_cut_between_letters_as_a_person_sees_them() {
        for text in JOINED.into_iter().chain(["e\u{301}", "旅", "각", "🇮🇹"]) {
            let letters: Vec<&str> = text.graphemes(true).collect();
            for before in 0..8 {
                let long = "x".repeat(WIDEST - 8 + before) + &text.repeat(10);
                let shown = shortened(&line(&long));
                assert!(measure_text_width(&shown) <= WIDEST, "{shown:?}");
                let kept = shown.strip_suffix("...").unwrap().trim_start_matches('x');
                assert!(kept.graphemes(true).all(|letter| letters.contains(&letter)), "{text:?}: {shown:?}");
            }
            let fits = "x".repeat(WIDEST - 10) + text;
            assert_eq!(shortened(&fits), fits);
        }
    }
}
