//! The walk over expressions: chains of names, calls, and texts that name Eventlet.

use crate::facts::{Arg, BindingKind, Function, NONE, Node, Place, ScopeKind, Text, TextPlace};
use crate::syntax::ast::{self, Expr};
use crate::syntax::{parse_annotation, span};

use super::Walk;

/// Longer texts are prose or data.
const LONGEST_NAME: usize = 200;

impl Walk<'_> {
    /// Visits an expression and returns its node.
    pub(super) fn expr(&mut self, expr: &Expr, place: Place) -> u32 {
        match expr {
            Expr::Name(_) | Expr::Attribute(_) => {
                let id = self.chain(expr);
                self.record_use(id, place);
                id
            }
            Expr::Call(node) => self.call(node, place, false),
            Expr::Await(node) => {
                let inner = match &*node.value {
                    Expr::Call(call) => self.call(call, place, true),
                    other => {
                        let inner = self.expr(other, place);
                        if let Some(last) = self.facts.uses.last_mut()
                            && last.expr == inner
                        {
                            last.awaited = true;
                        }
                        inner
                    }
                };
                self.node(Node::Await(inner), span(node))
            }
            Expr::StringLiteral(node) => {
                let text = node.value.to_str();
                self.text(text, span(node), TextPlace::Other)
            }
            Expr::FString(node) => self.f_string(node),
            Expr::NumberLiteral(node) => {
                let value = match &node.value {
                    ast::Number::Int(int) => int.as_i64(),
                    ast::Number::Float(0.0) => Some(0),
                    _ => None,
                };
                self.node(value.map_or(Node::Other, Node::Int), span(node))
            }
            Expr::BooleanLiteral(node) => self.node(Node::Bool(node.value), span(node)),
            Expr::NoneLiteral(node) => self.node(Node::Nothing, span(node)),
            Expr::BoolOp(node) => {
                let parts = node
                    .values
                    .iter()
                    .map(|v| self.expr(v, Place::Other))
                    .collect();
                self.node(Node::Either(parts), span(node))
            }
            Expr::If(node) => {
                self.expr(&node.test, Place::Other);
                let parts = vec![self.expr(&node.body, place), self.expr(&node.orelse, place)];
                self.node(Node::Either(parts), span(node))
            }
            Expr::Named(node) => {
                let value = self.expr(&node.value, Place::Assigned);
                let inner = self.scope;
                while self.facts.scopes[self.scope as usize].kind == ScopeKind::Comprehension {
                    self.scope = self.facts.scopes[self.scope as usize].parent;
                }
                let outer = std::mem::replace(&mut self.holds_from, span(node).1);
                self.bind_target(&node.target, BindingKind::Value(value));
                self.holds_from = outer;
                self.scope = inner;
                value
            }
            Expr::List(node) => self.many(&node.elts, place, span(node)),
            Expr::Tuple(node) => self.many(&node.elts, place, span(node)),
            Expr::Set(node) => self.many(&node.elts, place, span(node)),
            Expr::Starred(node) => self.expr(&node.value, place),
            Expr::Lambda(node) => self.lambda(node),
            Expr::Subscript(node) => self.subscript(node, place),
            Expr::Compare(node) => self.compare(node),
            Expr::BinOp(node) => self.binary(node),
            Expr::ListComp(node) => self.comprehension(&node.generators, &[&node.elt], span(node)),
            Expr::SetComp(node) => self.comprehension(&node.generators, &[&node.elt], span(node)),
            Expr::Generator(node) => self.comprehension(&node.generators, &[&node.elt], span(node)),
            Expr::DictComp(node) => {
                let mut parts: Vec<&Expr> = vec![&node.value];
                parts.extend(node.key.as_deref());
                self.comprehension(&node.generators, &parts, span(node))
            }
            Expr::Dict(node) => self.dict(node, TextPlace::Other),
            Expr::UnaryOp(node) => {
                self.expr(&node.operand, Place::Other);
                self.node(Node::Other, span(node))
            }
            Expr::Yield(node) => {
                self.mark_generator();
                if let Some(value) = &node.value {
                    self.expr(value, Place::Other);
                }
                self.node(Node::Other, span(node))
            }
            Expr::YieldFrom(node) => {
                self.mark_generator();
                self.expr(&node.value, Place::Other);
                self.node(Node::Other, span(node))
            }
            Expr::Slice(node) => {
                for part in [&node.lower, &node.upper, &node.step].into_iter().flatten() {
                    self.expr(part, Place::Other);
                }
                self.node(Node::Other, span(node))
            }
            Expr::TString(node) => {
                for element in node.value.elements() {
                    if let Some(interpolation) = element.as_interpolation() {
                        self.expr(&interpolation.expression, Place::Other);
                    }
                }
                self.node(Node::Other, span(node))
            }
            Expr::BytesLiteral(_) | Expr::EllipsisLiteral(_) | Expr::IpyEscapeCommand(_) => {
                self.node(Node::Other, span(expr))
            }
        }
    }

    /// A dict with its keys written out is a record: what its values have in common is nothing.
    fn dict(&mut self, node: &ast::ExprDict, keys: TextPlace) -> u32 {
        for item in &node.items {
            match &item.key {
                Some(Expr::StringLiteral(key)) => {
                    self.text(key.value.to_str(), span(key), keys);
                }
                Some(key) => {
                    self.expr(key, Place::Other);
                }
                None => {}
            }
            self.expr(&item.value, Place::Other);
        }
        self.node(Node::Other, span(node))
    }

    fn mark_generator(&mut self) {
        if let Some(function) = self.facts.functions.get_mut(self.function as usize) {
            function.is_generator = true;
        }
    }

    /// Visits a name or attribute that is a part of a longer chain.
    fn chain(&mut self, expr: &Expr) -> u32 {
        match expr {
            Expr::Name(node) => {
                let name = self.intern(&node.id);
                let (from, branch) = (self.scope, self.branch);
                self.node(
                    Node::Name {
                        name,
                        from,
                        home: NONE,
                        branch,
                    },
                    span(node),
                )
            }
            Expr::Attribute(node) => {
                let name = self.intern(&node.attr.id);
                let base = match &*node.value {
                    base @ (Expr::Name(_) | Expr::Attribute(_)) => self.chain(base),
                    base => self.expr(base, Place::Attribute(name)),
                };
                self.node(Node::Attr { base, name }, span(node))
            }
            other => self.expr(other, Place::Other),
        }
    }

    fn call(&mut self, node: &ast::ExprCall, place: Place, awaited: bool) -> u32 {
        let func = match &*node.func {
            func @ (Expr::Name(_) | Expr::Attribute(_)) => {
                let id = self.chain(func);
                Some((id, self.record_use(id, place)))
            }
            _ => None,
        };
        // Its arguments name it, so it gets its number first.
        let id = self.node(Node::Other, span(node));
        if let Some((_, index)) = func {
            self.facts.uses[index].call = id;
            self.facts.uses[index].awaited = awaited;
        }
        let func = func.map_or_else(|| self.expr(&node.func, Place::Other), |(id, _)| id);
        let mut args = Vec::new();
        for (index, argument) in node.arguments.args.iter().enumerate() {
            let at = index as u32;
            let value = self.argument(argument, id, at, NONE);
            args.push(Arg {
                name: NONE,
                value,
                starred: argument.is_starred_expr(),
            });
        }
        for (index, keyword) in node.arguments.keywords.iter().enumerate() {
            let at = (node.arguments.args.len() + index) as u32;
            let name = keyword
                .arg
                .as_ref()
                .map_or(NONE, |name| self.intern(&name.id));
            let value = self.argument(&keyword.value, id, at, name);
            args.push(Arg {
                name,
                value,
                starred: keyword.arg.is_none(),
            });
        }
        self.note_socket_handler(func, &args);
        self.facts.exprs[id as usize].node = Node::Call { func, args };
        id
    }

    /// `WebSocketWSGI(serve)` gives `serve` a WebSocket.
    fn note_socket_handler(&mut self, func: u32, args: &[Arg]) {
        let last = |id: u32| match self.facts.expr(id).node {
            Node::Name { name, .. } | Node::Attr { name, .. } => Some(name),
            _ => None,
        };
        if last(func).is_some_and(|name| self.facts.text(name) == "WebSocketWSGI")
            && let Some(handler) = args.first().and_then(|arg| last(arg.value))
        {
            self.facts.handlers_of_sockets.push(handler);
        }
    }

    fn argument(&mut self, argument: &Expr, call: u32, at: u32, keyword: u32) -> u32 {
        match argument {
            Expr::StringLiteral(node) => {
                let place = TextPlace::Argument(call, at, keyword);
                let text = node.value.to_str();
                self.text(text, span(node), place)
            }
            Expr::Dict(node) if keyword == NONE => {
                self.dict(node, TextPlace::Argument(call, at, NONE))
            }
            Expr::List(_) | Expr::Tuple(_) | Expr::Dict(_) if keyword != NONE => {
                let outer = std::mem::replace(&mut self.target, keyword);
                let id = self.expr(argument, Place::Argument(call, at));
                self.target = outer;
                id
            }
            _ => self.expr(argument, Place::Argument(call, at)),
        }
    }

    /// Keeps a text; one that has Eventlet's name in it is looked at later.
    fn text(&mut self, text: &str, range: (u32, u32), place: TextPlace) -> u32 {
        if text.len() > LONGEST_NAME {
            return self.node(Node::Other, range);
        }
        let value = self.intern(text);
        if text.contains("eventlet") || text.contains("EVENTLET_") {
            let place = match place {
                TextPlace::Other if self.target != NONE => TextPlace::Assigned(self.target),
                place => place,
            };
            let (function, class) = (self.function, self.class);
            self.facts.texts.push(Text {
                value,
                range,
                function,
                class,
                place,
            });
        }
        self.node(Node::Text(value), range)
    }

    fn f_string(&mut self, node: &ast::ExprFString) -> u32 {
        let mut prefix = None;
        for (index, element) in node.value.elements().enumerate() {
            if let Some(interpolation) = element.as_interpolation() {
                self.expr(&interpolation.expression, Place::Other);
            } else if let Some(literal) = element.as_literal()
                && index == 0
                && literal.value.len() <= LONGEST_NAME
            {
                prefix = Some(literal.value.to_string());
            }
        }
        let node_value = prefix.map_or(Node::Other, |text| Node::Prefix(self.intern(&text)));
        self.node(node_value, span(node))
    }

    fn many(&mut self, items: &[Expr], place: Place, range: (u32, u32)) -> u32 {
        let place = match place {
            Place::Except | Place::Annotation => place,
            _ => Place::Other,
        };
        let mut found = Vec::with_capacity(items.len().min(64));
        for (index, item) in items.iter().enumerate() {
            let id = match item {
                Expr::StringLiteral(node) => {
                    let text = node.value.to_str();
                    let before = index.checked_sub(1).map(|before| &items[before]);
                    let place = match (self.target, before) {
                        (NONE, Some(Expr::StringLiteral(before))) => {
                            TextPlace::After(self.intern(before.value.to_str()))
                        }
                        (NONE, _) => TextPlace::Other,
                        (target, _) => TextPlace::Listed(target),
                    };
                    self.text(text, span(node), place)
                }
                item => self.expr(item, place),
            };
            // Tables of data have thousands; none of them matters.
            if found.len() < 64 {
                found.push(id);
            }
        }
        self.node(Node::Many(found), range)
    }

    fn lambda(&mut self, node: &ast::ExprLambda) -> u32 {
        let params = node
            .parameters
            .as_ref()
            .map_or_else(Vec::new, |params| self.parameters(params));
        let (name, qualname) = (self.intern("<lambda>"), self.qualname("<lambda>"));
        let qualname = self.intern(&qualname);
        let id = self.facts.functions.len() as u32;
        self.facts.functions.push(Function {
            name,
            qualname,
            scope: 0,
            parent: self.scope,
            class: NONE,
            is_async: false,
            is_generator: false,
            is_lambda: true,
            decorators: Vec::new(),
            params,
            returns: Vec::new(),
            annotation: NONE,
            range: span(node),
            body: span(&*node.body),
        });
        let prefix = format!("{}<lambda>.<locals>.", self.prefix);
        // It has no receiver of its own, whatever class it stands in.
        let class = std::mem::replace(&mut self.class, NONE);
        self.in_function(id, prefix, |walk| {
            let value = walk.expr(&node.body, Place::Returned);
            walk.facts.functions[id as usize].returns.push(value);
        });
        self.class = class;
        self.node(Node::Lambda(id), span(node))
    }

    fn subscript(&mut self, node: &ast::ExprSubscript, place: Place) -> u32 {
        let base = match &*node.value {
            base @ (Expr::Name(_) | Expr::Attribute(_)) => {
                let id = self.chain(base);
                let place = if place == Place::Annotation {
                    place
                } else {
                    Place::Other
                };
                self.record_use(id, place);
                id
            }
            base => self.expr(base, Place::Other),
        };
        let key = match &*node.slice {
            Expr::StringLiteral(text) if place == Place::Annotation => self.annotation_text(text),
            Expr::StringLiteral(text) => {
                let value = text.value.to_str();
                self.text(value, span(text), TextPlace::Key(base))
            }
            slice => {
                let place = if place == Place::Annotation {
                    place
                } else {
                    Place::Other
                };
                self.expr(slice, place)
            }
        };
        self.node(Node::Item { base, key }, span(node))
    }

    fn compare(&mut self, node: &ast::ExprCompare) -> u32 {
        let literal = |expr: &Expr| match expr {
            Expr::StringLiteral(text) => Some((text.value.to_str().to_owned(), span(text))),
            _ => None,
        };
        let sides: Vec<&Expr> = std::iter::once(&*node.left)
            .chain(&node.comparators)
            .collect();
        let mut other = NONE;
        for &side in &sides {
            if literal(side).is_none() {
                other = self.expr(side, Place::Other);
            }
        }
        for &side in &sides {
            if let Some((text, range)) = literal(side) {
                self.text(&text, range, TextPlace::Compared(other));
            }
        }
        self.node(Node::Other, span(node))
    }

    fn binary(&mut self, node: &ast::ExprBinOp) -> u32 {
        let left = self.expr(&node.left, Place::Other);
        let right = self.expr(&node.right, Place::Other);
        let value = match (&self.facts.expr(left).node, node.op) {
            (Node::Text(text) | Node::Prefix(text), ast::Operator::Add | ast::Operator::Mod) => {
                let text = self.facts.text(*text).split('%').next().unwrap_or_default();
                let text = text.to_owned();
                Node::Prefix(self.intern(&text))
            }
            // The second is an annotation: this or that.
            (Node::Many(_), ast::Operator::Add) | (_, ast::Operator::BitOr) => {
                Node::Either(vec![left, right])
            }
            _ => Node::Other,
        };
        self.node(value, span(node))
    }

    fn comprehension(
        &mut self,
        generators: &[ast::Comprehension],
        parts: &[&Expr],
        range: (u32, u32),
    ) -> u32 {
        let outer = self.scope;
        for (index, generator) in generators.iter().enumerate() {
            let iter = self.expr(&generator.iter, Place::Other);
            if index == 0 {
                self.scope = self.open_scope(ScopeKind::Comprehension, NONE);
            }
            self.bind_elements(&generator.target, iter);
            for test in &generator.ifs {
                self.expr(test, Place::Other);
            }
        }
        let items = parts
            .iter()
            .map(|part| self.expr(part, Place::Other))
            .collect();
        self.scope = outer;
        self.node(Node::Many(items), range)
    }

    pub(super) fn annotation(&mut self, expr: &Expr) -> u32 {
        match expr {
            Expr::StringLiteral(text) => self.annotation_text(text),
            other => self.expr(other, Place::Annotation),
        }
    }

    fn annotation_text(&mut self, text: &ast::ExprStringLiteral) -> u32 {
        let [part] = text.value.as_slice() else {
            return self.node(Node::Other, span(text));
        };
        match parse_annotation(self.source, part) {
            Some(expr) => self.expr(&expr, Place::Annotation),
            None => self.node(Node::Other, span(text)),
        }
    }
}
