//! Rust text as tokens, with the lines they stand on: enough of the language to tell code from
//! comments and strings, and code from its tests.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// `::`, or any other single sign.
    Sign,
    /// A string; the token's text is what stands between the quotes.
    Text,
}

/// A piece of code.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// The line it starts on, from 1.
    pub(crate) line: usize,
    /// The line it ends on.
    pub(crate) end_line: usize,
    /// Whether it is compiled for tests only.
    pub(crate) test: bool,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// The tokens of a file; those under `#[cfg(test)]` are marked.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
        out: Vec::new(),
    };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    let mut tokens = lexer.out;
    mark_tests(&mut tokens);
    tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    fn step(&mut self) {
        match self.peek(0) {
            '/' if self.peek(1) == '/' => {
                let len = self.run_len(|c| c != '\n');
                self.skip(len);
            }
            '/' if self.peek(1) == '*' => self.block_comment(),
            '"' => self.text(0),
            '\'' => self.quote(),
            c if c.is_whitespace() => self.skip(1),
            c if is_word(c) => self.word(),
            ':' if self.peek(1) == ':' => self.push(Kind::Sign, 2),
            _ => self.push(Kind::Sign, 1),
        }
    }

    fn run_len(&self, belongs: impl Fn(char) -> bool) -> usize {
        self.run_len_from(0, belongs)
    }

    fn run_len_from(&self, start: usize, belongs: impl Fn(char) -> bool) -> usize {
        let rest = self.chars.iter().skip(self.at + start);
        rest.take_while(|&&c| belongs(c)).count()
    }

    fn push(&mut self, kind: Kind, len: usize) {
        let text = self.chars[self.at..(self.at + len).min(self.chars.len())].iter();
        let (text, line) = (text.collect(), self.line);
        self.skip(len);
        let token = Token {
            kind,
            text,
            line,
            end_line: self.line,
            test: false,
        };
        self.out.push(token);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.skip(1);
                    continue;
                }
            }
            self.skip(2);
            if depth == 0 {
                return;
            }
        }
    }

    /// A word, or the string that its prefix (`r`, `b`, `c`, with `#`s) opens.
    fn word(&mut self) {
        let len = self.run_len(is_word);
        let prefix: String = self.chars[self.at..self.at + len].iter().collect();
        let hashes = self.run_len_from(len, |c| c == '#');
        let opens = self.peek(len + hashes) == '"';
        if opens && matches!(prefix.as_str(), "r" | "br" | "cr") {
            self.skip(len + hashes);
            self.raw_text(hashes);
        } else {
            self.push(Kind::Word, len);
        }
    }

    /// A string that stands at `at`, behind `before` signs that belong to its opening.
    fn text(&mut self, before: usize) {
        self.skip(before + 1);
        let len = {
            let mut len = 0;
            while self.at + len < self.chars.len() && self.peek(len) != '"' {
                len += 1 + usize::from(self.peek(len) == '\\');
            }
            len
        };
        self.push(Kind::Text, len);
        self.skip(1);
    }

    fn raw_text(&mut self, hashes: usize) {
        self.skip(1);
        let closes = |lexer: &Lexer, i: usize| {
            lexer.peek(i) == '"' && (1..=hashes).all(|h| lexer.peek(i + h) == '#')
        };
        let rest = self.chars.len() - self.at.min(self.chars.len());
        let len = (0..rest).find(|&i| closes(self, i)).unwrap_or(rest);
        self.push(Kind::Text, len);
        self.skip(1 + hashes);
    }

    /// A character such as `'"'`, or the tick of a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == '\\' {
            let len = 4 + self.run_len_from(3, |c| c != '\'');
            self.push(Kind::Text, len);
        } else if self.peek(2) == '\'' {
            self.push(Kind::Text, 3);
        } else {
            self.push(Kind::Sign, 1);
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The index of the bracket that closes the one at `open`; the last token if none does.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Sign {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 {
            return i;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Whether the tokens from `at` on read like this.
pub(crate) fn reads(tokens: &[Token], at: usize, words: &[&str]) -> bool {
    let found = tokens.iter().skip(at).take(words.len());
    found.len() == words.len() && found.zip(words).all(|(token, word)| token.is(word))
}

fn mark_tests(tokens: &mut [Token]) {
    let is_test = |tokens: &[Token], at: usize| {
        reads(tokens, at, &["cfg", "(", "test", ")"])
            || reads(tokens, at, &["cfg", "(", "all", "(", "test", ","])
    };
    let mut at = 0;
    while at < tokens.len() {
        let end = if reads(tokens, at, &["#", "!", "["]) && is_test(tokens, at + 3) {
            tokens.len() - 1
        } else if reads(tokens, at, &["#", "["]) && is_test(tokens, at + 2) {
            item_end(tokens, closing(tokens, at + 1) + 1)
        } else {
            at += 1;
            continue;
        };
        tokens[at..=end].iter_mut().for_each(|t| t.test = true);
        at = end + 1;
    }
}

/// The words that an item starts with.
const ITEMS: &[&str] = &[
    "pub",
    "mod",
    "fn",
    "use",
    "const",
    "static",
    "struct",
    "enum",
    "impl",
    "trait",
    "type",
    "unsafe",
    "async",
    "extern",
    "let",
    "macro_rules",
];

/// Where the item, field or arm that starts at `at` ends.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while reads(tokens, at, &["#", "["]) {
        at = closing(tokens, at + 1) + 1;
    }
    let is_item = ITEMS.iter().any(|word| reads(tokens, at, &[word]));
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            _ if tokens[at].kind == Kind::Text => {}
            ";" => return at,
            "," if !is_item => return at,
            "{" => return closing(tokens, at),
            "(" | "[" => at = closing(tokens, at),
            _ => {}
        }
        at += 1;
    }
    tokens.len() - 1
}
