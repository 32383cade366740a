//! From tokens to the syntax tree, with the checks that Go makes while parsing: known functions, declared
//! variables, closed blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Command, Node, Operand, OperandKind, Pipeline};
use super::lexer::{self, Kind, Mistake, Token};
use super::value::Value;

/// Most blocks and parentheses within one another.
const DEPTH_MAX: usize = 200;

/// What a text defines: named templates, and what it prints itself.
#[derive(Debug, Default)]
pub struct Parsed {
    /// What the text prints itself.
    pub body: Vec<Node>,
    /// `define` and `block`.
    pub defined: BTreeMap<Arc<str>, Vec<Node>>,
}

/// Parses `text`. `variables` are known from the start, with their dollars; `is_function` knows the functions.
pub fn parse(text: &str, variables: &[&str], is_function: &dyn Fn(&str) -> bool) -> Result<Parsed, Mistake> {
    let tokens = lexer::tokens(text)?;
    let mut known: Vec<Arc<str>> = vec!["$".into()];
    known.extend(variables.iter().map(|name| Arc::from(*name)));
    let mut parser =
        Parser { tokens, next: 0, variables: known, is_function, defined: BTreeMap::new(), loops: 0, depth: 0 };
    let (body, end) = parser.nodes(true)?;
    match end {
        Ending::Text => Ok(Parsed { body, defined: parser.defined }),
        Ending::Closed(at) => Err((at, "unexpected {{end}}".to_string())),
        Ending::Else(at) => Err((at, "unexpected {{else}}".to_string())),
    }
}

/// What ends a list of nodes.
enum Ending {
    Text,
    /// `{{end}}` was read.
    Closed(usize),
    /// `{{else` was read.
    Else(usize),
}

struct Parser<'p> {
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<Arc<str>>,
    is_function: &'p dyn Fn(&str) -> bool,
    defined: BTreeMap<Arc<str>, Vec<Node>>,
    loops: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        if self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&self) -> Option<&str> {
        match &self.peek().kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn expect_close(&mut self, context: &str) -> Result<(), Mistake> {
        self.skip_space();
        let token = self.take();
        if token.kind == Kind::Close { Ok(()) } else { Err(unexpected(&token, context)) }
    }

    fn deeper(&mut self) -> Result<(), Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err((self.peek().at, format!("more than {DEPTH_MAX} blocks and parentheses within one another")));
        }
        Ok(())
    }

    fn nodes(&mut self, is_top: bool) -> Result<(Vec<Node>, Ending), Mistake> {
        self.deeper()?;
        let mut nodes = Vec::new();
        let end = loop {
            let token = self.take();
            match token.kind {
                Kind::Text(text) => nodes.push(Node::Text(text.into())),
                Kind::End => break Ending::Text,
                Kind::Open => {
                    self.skip_space();
                    match self.peek_word() {
                        Some("end") => {
                            self.next += 1;
                            self.expect_close("end")?;
                            break Ending::Closed(token.at);
                        }
                        Some("else") => {
                            self.next += 1;
                            break Ending::Else(token.at);
                        }
                        _ => nodes.extend(self.action(token.at, is_top)?),
                    }
                }
                _ => return Err(unexpected(&token, "input")),
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn action(&mut self, open: usize, is_top: bool) -> Result<Option<Node>, Mistake> {
        let Some(word) = self.peek_word().map(str::to_string) else {
            return self.pipeline("command", &Kind::Close).map(|pipeline| Some(Node::Action(pipeline)));
        };
        match word.as_str() {
            "if" | "with" | "range" => {
                self.next += 1;
                self.control(&word, open).map(Some)
            }
            "define" if is_top => {
                self.next += 1;
                self.definition(open).map(|()| None)
            }
            "define" => Err((open, "unexpected {{define}}".to_string())),
            "block" => {
                self.next += 1;
                self.block(open).map(Some)
            }
            "template" => {
                self.next += 1;
                self.call(open).map(Some)
            }
            "break" | "continue" => {
                self.next += 1;
                self.expect_close(&word)?;
                if self.loops == 0 {
                    return Err((open, format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                Ok(Some(if word == "break" { Node::Break } else { Node::Continue }))
            }
            _ => self.pipeline("command", &Kind::Close).map(|pipeline| Some(Node::Action(pipeline))),
        }
    }

    fn control(&mut self, word: &str, open: usize) -> Result<Node, Mistake> {
        let known = self.variables.len();
        let is_range = word == "range";
        let pipeline = self.pipeline(word, &Kind::Close)?;
        self.loops += usize::from(is_range);
        let (body, mut end) = self.nodes(false)?;
        self.loops -= usize::from(is_range);
        let mut otherwise = Vec::new();
        if let Ending::Else(at) = end {
            self.skip_space();
            match self.peek_word() {
                // `else if` is an `if` in the else branch, and they share one end.
                Some(next) if !is_range && next == word => {
                    self.next += 1;
                    self.deeper()?;
                    otherwise.push(self.control(word, at)?);
                    self.depth -= 1;
                    end = Ending::Closed(at);
                }
                _ => {
                    self.expect_close("else")?;
                    (otherwise, end) = self.nodes(false)?;
                }
            }
        }
        self.variables.truncate(known);
        match end {
            Ending::Closed(_) => {}
            Ending::Else(at) => return Err((at, "expected end; found {{else}}".to_string())),
            Ending::Text => return Err((open, format!("unexpected EOF: {{{{{word}}}}} has no {{{{end}}}}"))),
        }
        Ok(if is_range {
            Node::Range { pipeline, body, otherwise }
        } else {
            Node::Branch { with: word == "with", pipeline, body, otherwise }
        })
    }

    fn name(&mut self, context: &str) -> Result<Arc<str>, Mistake> {
        self.skip_space();
        let token = self.take();
        match token.kind {
            Kind::Quoted(name) => Ok(name.into()),
            _ => Err(unexpected(&token, context)),
        }
    }

    /// The body of a named template, which sees no variable of what is around it.
    fn named_body(&mut self, open: usize, name: Arc<str>) -> Result<(), Mistake> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, end) = self.nodes(false)?;
        self.variables = outer;
        self.loops = loops;
        if !matches!(end, Ending::Closed(_)) {
            return Err((open, format!("unexpected EOF: the definition of {name:?} has no {{{{end}}}}")));
        }
        // As in Go, a template of blanks alone neither replaces one that says something nor stands in its way.
        let is_blank =
            |body: &[Node]| body.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()));
        match self.defined.get(&name) {
            Some(known) if !is_blank(known) && is_blank(&body) => {}
            Some(known) if !is_blank(known) => return Err((open, format!("multiple definition of template {name:?}"))),
            _ => {
                self.defined.insert(name, body);
            }
        }
        Ok(())
    }

    fn definition(&mut self, open: usize) -> Result<(), Mistake> {
        let name = self.name("define clause")?;
        self.expect_close("define clause")?;
        self.named_body(open, name)
    }

    fn block(&mut self, open: usize) -> Result<Node, Mistake> {
        let name = self.name("block clause")?;
        let pipeline = self.pipeline("block clause", &Kind::Close)?;
        self.named_body(open, name.clone())?;
        Ok(Node::Template { at: open, name, pipeline: Some(pipeline) })
    }

    fn call(&mut self, open: usize) -> Result<Node, Mistake> {
        let name = self.name("template clause")?;
        self.skip_space();
        if self.peek().kind == Kind::Close {
            self.next += 1;
            return Ok(Node::Template { at: open, name, pipeline: None });
        }
        let pipeline = self.pipeline("template clause", &Kind::Close)?;
        Ok(Node::Template { at: open, name, pipeline: Some(pipeline) })
    }

    /// A pipeline and the token that ends it.
    fn pipeline(&mut self, context: &str, end: &Kind) -> Result<Pipeline, Mistake> {
        self.deeper()?;
        self.skip_space();
        let at = self.peek().at;
        let (variables, is_assignment) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            let token = self.peek().clone();
            if token.kind == *end {
                self.next += 1;
                if commands.is_empty() {
                    return Err((token.at, format!("missing value for {context}")));
                }
                break;
            }
            let command = self.command(context)?;
            let head = &command.words[0];
            let is_value = matches!(head.kind, OperandKind::Constant(_) | OperandKind::Dot | OperandKind::Nil);
            if is_value && !commands.is_empty() {
                let place = commands.len() + 1;
                return Err((head.at, format!("non executable command in pipeline stage {place}")));
            }
            commands.push(command);
        }
        // A declared variable is not known in its own value.
        if !is_assignment {
            self.variables.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipeline { at, variables, is_assignment, commands })
    }

    fn declarations(&mut self, context: &str) -> Result<(Vec<Arc<str>>, bool), Mistake> {
        let begin = self.next;
        let mut names: Vec<Arc<str>> = Vec::new();
        while let Kind::Variable(name) = &self.peek().kind {
            names.push(name.as_str().into());
            let at = self.peek().at;
            self.next += 1;
            self.skip_space();
            match self.peek().kind {
                Kind::Declare | Kind::Assign => {
                    let is_assignment = self.peek().kind == Kind::Assign;
                    self.next += 1;
                    let unknown = names.iter().find(|name| is_assignment && !self.variables.contains(name));
                    if let Some(name) = unknown {
                        return Err((at, format!("undefined variable {name:?}")));
                    }
                    return Ok((names, is_assignment));
                }
                Kind::Comma if context == "range" && names.len() < 2 => {
                    self.next += 1;
                    self.skip_space();
                }
                Kind::Comma => return Err((at, format!("too many declarations in {context}"))),
                _ => break,
            }
        }
        self.next = begin;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, context: &str) -> Result<Command, Mistake> {
        let mut words = Vec::new();
        loop {
            self.skip_space();
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            let token = self.peek().clone();
            match token.kind {
                Kind::Space => {}
                Kind::Pipe => {
                    self.next += 1;
                    self.skip_space();
                    if matches!(self.peek().kind, Kind::Close | Kind::RightParen) {
                        return Err((token.at, format!("missing value for {context}")));
                    }
                    break;
                }
                Kind::Close | Kind::RightParen => break,
                _ => return Err(unexpected(&token, "operand")),
            }
            if words.is_empty() {
                return Err(unexpected(self.peek(), context));
            }
        }
        if words.is_empty() { Err((self.peek().at, "empty command".to_string())) } else { Ok(Command { words }) }
    }

    fn operand(&mut self) -> Result<Option<Operand>, Mistake> {
        let token = self.peek().clone();
        let at = token.at;
        let kind = match token.kind {
            Kind::Word(word) => match word.as_str() {
                "true" | "false" => OperandKind::Constant(Value::Bool(word == "true")),
                "nil" => OperandKind::Nil,
                name if (self.is_function)(name) => OperandKind::Function(name.into()),
                name => return Err((at, format!("function {name:?} not defined"))),
            },
            Kind::Dot => OperandKind::Dot,
            Kind::Field(name) => OperandKind::Field(vec![name.into()]),
            Kind::Variable(name) => {
                let name: Arc<str> = name.into();
                if !self.variables.contains(&name) {
                    return Err((at, format!("undefined variable {name:?}")));
                }
                OperandKind::Variable(name, Vec::new())
            }
            Kind::Number(literal) => match lexer::number(&literal) {
                Some(Ok(value)) => OperandKind::Constant(Value::Int(value)),
                Some(Err(value)) => OperandKind::Constant(Value::Float(value)),
                None => return Err((at, format!("bad number syntax: {literal:?}"))),
            },
            Kind::Quoted(text) => OperandKind::Constant(Value::text(text)),
            Kind::LeftParen => {
                self.next += 1;
                let pipeline = self.pipeline("parenthesized pipeline", &Kind::RightParen)?;
                return self.fields(Operand { at, kind: OperandKind::Chain(Box::new(pipeline), Vec::new()) }).map(Some);
            }
            _ => return Ok(None),
        };
        self.next += 1;
        self.fields(Operand { at, kind }).map(Some)
    }

    /// Fields that follow an operand without a blank.
    fn fields(&mut self, mut operand: Operand) -> Result<Operand, Mistake> {
        while let Kind::Field(name) = self.peek().kind.clone() {
            let at = self.peek().at;
            self.next += 1;
            match &mut operand.kind {
                OperandKind::Field(names) | OperandKind::Variable(_, names) | OperandKind::Chain(_, names) => {
                    names.push(name.into());
                }
                OperandKind::Function(_) => {
                    let command = Command { words: vec![operand.clone()] };
                    let pipeline = Pipeline {
                        at: operand.at,
                        variables: Vec::new(),
                        is_assignment: false,
                        commands: vec![command],
                    };
                    operand.kind = OperandKind::Chain(Box::new(pipeline), vec![name.into()]);
                }
                OperandKind::Dot | OperandKind::Nil | OperandKind::Constant(_) => {
                    return Err((at, format!("unexpected . after term {:?}", operand.to_string())));
                }
            }
        }
        Ok(operand)
    }
}

fn unexpected(token: &Token, context: &str) -> Mistake {
    let found = match &token.kind {
        Kind::Text(text) => format!("{text:?}"),
        Kind::Open => "\"{{\"".to_string(),
        Kind::Close => "\"}}\"".to_string(),
        Kind::Space => "blank".to_string(),
        Kind::Word(word) => format!("<{word}>"),
        Kind::Field(name) => format!("<.{name}>"),
        Kind::Variable(name) => format!("<{name}>"),
        Kind::Dot => "<.>".to_string(),
        Kind::Number(literal) => format!("{literal:?}"),
        Kind::Quoted(text) => format!("{text:?}"),
        Kind::Pipe => "\"|\"".to_string(),
        Kind::LeftParen => "\"(\"".to_string(),
        Kind::RightParen => "\")\"".to_string(),
        Kind::Comma => "\",\"".to_string(),
        Kind::Declare => "\":=\"".to_string(),
        Kind::Assign => "\"=\"".to_string(),
        Kind::End => "EOF".to_string(),
    };
    (token.at, format!("unexpected {found} in {context}"))
}
