//! What a stranger says, made fit for a log line and a row.

/// Longest message that is kept, in characters.
const MAX_MESSAGE: usize = 300;
/// Longest message that is looked at.
const MAX_LOOKED_AT: usize = 800;
/// So many characters in a row that also stand in the prompt are no coincidence.
const QUOTE: usize = 20;
/// Keys and prompts shorter than this are no secret, and taking them out would tear words apart.
const SHORTEST_SECRET: usize = 8;

/// What must not appear in a message, even when the provider quotes it.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    pub(super) key: &'a str,
    pub(super) prompt: &'a str,
}

impl Secrets<'_> {
    /// One line of at most 300 characters, without control characters, the key, or any quotation of the prompt.
    pub(super) fn clean(&self, text: &str) -> String {
        let line = one_line(text);
        let line = if self.key.len() < SHORTEST_SECRET { line } else { line.replace(self.key, "[key]") };
        let looked_at: String = line.chars().take(MAX_LOOKED_AT).collect();
        cut(&without_quotes(&looked_at, &one_line(self.prompt)))
    }
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

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "a portrait of Ada Lovelace,\nin the style of a wood engraving, on cream paper";

    fn clean(text: &str) -> String {
        Secrets { key: "sk-proj-1234567890", prompt: PROMPT }.clean(text)
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        assert_eq!(clean("bad\r\n2026 ERROR forged\u{1b}[31m\u{202e}\t end\0"), "bad 2026 ERROR forged [31m end");
    }

    #[test]
    fn a_key_is_taken_out_wherever_it_stands() {
        assert_eq!(clean("wrong: sk-proj-1234567890, sk-proj-1234567890."), "wrong: [key], [key].");
        let late = format!("{}sk-proj-1234567890", "x".repeat(MAX_MESSAGE - 5));
        assert!(!clean(&late).contains("sk-"), "a key is not cut in halves");
    }

    #[test]
    fn quotations_of_the_prompt_are_taken_out() {
        assert_eq!(clean(&format!("Prompt '{PROMPT}' refused")), "Prompt '[prompt]' refused");
        assert_eq!(clean("near \"of Ada Lovelace, in the style of a wood\": no"), "near \"[prompt]\": no");
        assert_eq!(clean("a portrait must be square"), "a portrait must be square");
        let short = Secrets { key: "", prompt: "a cat" };
        assert_eq!(short.clean("there was a catastrophe"), "there was a catastrophe");
        let whole = Secrets { key: "", prompt: "a red cat é" };
        assert_eq!(whole.clean("refused: a red cat é!"), "refused: [prompt]!");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cleaned = clean(&"ü".repeat(50_000));
        assert_eq!(cleaned.chars().count(), MAX_MESSAGE + 1);
        assert!(cleaned.ends_with("ü…"));
    }
}
