//! What a person sees on a terminal: foreign text made harmless, colours where there is a terminal.
//!
//! Titles, prompts and messages come from other people and other programs. Printed as they are, they could move the cursor, paint a line of ours,
//! or turn the direction of reading. JSON has escapes of its own and passes by here.

use console::{StyledObject, style};

/// The text on one line, with nothing in it that a terminal obeys.
pub(super) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split(['\n', '\r', '\t']).filter(|part| !part.is_empty()).collect();
    words.join(" ").chars().map(harmless).collect()
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
}
