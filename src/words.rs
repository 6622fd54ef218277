//! What strangers say, made fit for a log line, a row and an answer; and what an error comes down to.
//!
//! The one home of this rule: whoever speaks to another machine passes its words on through [`Secrets::clean`].

use std::error::Error;

/// How much more is looked at than is kept, for quotations that go.
const MORE: usize = 500;
/// So many characters in a row that also stand in the prompt are no coincidence.
const QUOTE: usize = 20;
/// Keys and prompts shorter than this are no secret, and taking them out would tear words apart.
const SHORTEST_SECRET: usize = 8;

/// What must not appear in a message, even when a stranger quotes it.
#[derive(Clone, Copy, Default)]
pub struct Secrets<'a> {
    /// The key that the request carried.
    pub key: &'a str,
    /// The words that somebody wrote for it.
    pub prompt: &'a str,
}

impl Secrets<'_> {
    /// One line of at most `most` characters, without control characters, the key, or any quotation of the prompt.
    pub fn clean(&self, text: &str, most: usize) -> String {
        let line = one_line(text);
        let line = if self.key.len() < SHORTEST_SECRET { line } else { line.replace(self.key, "[key]") };
        let looked_at: String = line.chars().take(most + MORE).collect();
        cut(&without_quotes(&looked_at, &one_line(self.prompt)), most)
    }
}

/// What a refusal says that is not written as it should be; nothing when it says nothing.
pub fn plain(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    match text.trim_start() {
        "" => None,
        page if page.starts_with('<') => Some("it answers with a web page".to_owned()),
        text => Some(text.to_owned()),
    }
}

/// The innermost cause of an error, which alone says what happened: the outer words name types of ours and of other crates.
pub fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// Joins lines and drops what could forge a log line or turn its direction.
fn one_line(text: &str) -> String {
    let invisible = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let words = text.split(|letter: char| letter.is_whitespace() || invisible(letter)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn without_quotes(text: &str, prompt: &str) -> String {
    let quote = QUOTE.min(prompt.chars().count());
    if quote < SHORTEST_SECRET {
        return text.to_owned();
    }
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut kept = String::with_capacity(text.len());
    // Characters before this one belong to a quotation.
    let mut quoted_to = 0;
    for at in 0..starts.len() - 1 {
        let quoted = starts.get(at + quote).is_some_and(|end| prompt.contains(&text[starts[at]..*end]));
        if quoted {
            if quoted_to <= at {
                kept.push_str("[prompt]");
            }
            quoted_to = at + quote;
        } else if quoted_to <= at {
            kept.push_str(&text[starts[at]..starts[at + 1]]);
        }
    }
    kept
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 300;
    const PROMPT: &str = "a portrait of Ada Lovelace,\nin the style of a wood engraving, on cream paper";

    fn clean(text: &str) -> String {
        Secrets { key: "sk-proj-1234567890", prompt: PROMPT }.clean(text, MOST)
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        assert_eq!(clean("bad\r\n2026 ERROR forged\u{1b}[31m\u{202e}\t end\0"), "bad 2026 ERROR forged [31m end");
    }

    #[test]
    fn a_key_is_taken_out_wherever_it_stands() {
        assert_eq!(clean("wrong: sk-proj-1234567890, sk-proj-1234567890."), "wrong: [key], [key].");
        let late = format!("{}sk-proj-1234567890", "x".repeat(MOST - 5));
        assert!(!clean(&late).contains("sk-"), "a key is not cut in halves");
    }

    #[test]
    fn quotations_of_the_prompt_are_taken_out() {
        assert_eq!(clean(&format!("Prompt '{PROMPT}' refused")), "Prompt '[prompt]' refused");
        assert_eq!(clean("near \"of Ada Lovelace, in the style of a wood\": no"), "near \"[prompt]\": no");
        assert_eq!(clean("a portrait must be square"), "a portrait must be square");
        let short = Secrets { key: "", prompt: "a cat" };
        assert_eq!(short.clean("there was a catastrophe", MOST), "there was a catastrophe");
        let whole = Secrets { key: "", prompt: "a red cat é" };
        assert_eq!(whole.clean("refused: a red cat é!", MOST), "refused: [prompt]!");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cleaned = clean(&"ü".repeat(50_000));
        assert_eq!(cleaned.chars().count(), MOST + 1);
        assert!(cleaned.ends_with("ü…"));
    }
}
