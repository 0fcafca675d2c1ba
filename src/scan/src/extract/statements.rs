//! The walk over statements: bindings and branches.

use crate::facts::{Attribute, BindingKind, BranchKind, Handler, NONE, Place, Star, With};
use crate::syntax::ast::{self, Expr, Stmt};
use crate::syntax::span;

use super::Walk;
use super::checks::names_lock;

impl Walk<'_> {
    pub(super) fn statements(&mut self, body: &[Stmt]) {
        for (at, statement) in body.iter().enumerate() {
            if let Stmt::If(node) = statement {
                self.check(node, &body[at + 1..]);
            }
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::FunctionDef(node) => self.function(node),
            Stmt::ClassDef(node) => self.class(node),
            Stmt::Import(node) => self.import(node),
            Stmt::ImportFrom(node) => self.import_from(node),
            Stmt::Assign(node) => self.assign(node),
            Stmt::AnnAssign(node) => self.assign_annotated(node),
            Stmt::AugAssign(node) => {
                let value = self.expr(&node.value, Place::Assigned);
                if let Expr::Name(name) = &*node.target {
                    if name.id == "__all__" {
                        self.add_exports(value);
                    }
                } else {
                    self.expr(&node.target, Place::Other);
                }
            }
            Stmt::Expr(node) => self.expression_statement(node),
            Stmt::Return(node) => {
                if let Some(value) = &node.value {
                    let value = self.expr(value, Place::Returned);
                    if let Some(function) = self.facts.functions.get_mut(self.function as usize) {
                        function.returns.push(value);
                    }
                }
            }
            Stmt::Raise(node) => {
                if let Some(exc) = &node.exc {
                    self.expr(exc, Place::Raise);
                }
                if let Some(cause) = &node.cause {
                    self.expr(cause, Place::Other);
                }
            }
            Stmt::If(node) => self.branches(node),
            Stmt::For(node) => {
                let iter = self.expr(&node.iter, Place::Other);
                let outer = self.branch;
                let group = self.new_group();
                self.branch = self.open_branch(group, 0, BranchKind::Loop);
                self.bind_elements(&node.target, iter);
                self.statements(&node.body);
                self.branch = outer;
                self.block(&node.orelse, group, 0, BranchKind::Plain);
            }
            Stmt::While(node) => {
                self.expr(&node.test, Place::Other);
                let group = self.new_group();
                self.block(&node.body, group, 0, BranchKind::Loop);
                self.block(&node.orelse, group, 0, BranchKind::Plain);
            }
            Stmt::With(node) => self.with(node),
            Stmt::Try(node) => self.try_statement(node),
            Stmt::Match(node) => {
                self.expr(&node.subject, Place::Other);
                let group = self.new_group();
                for (arm, case) in node.cases.iter().enumerate() {
                    self.pattern(&case.pattern);
                    if let Some(guard) = &case.guard {
                        self.expr(guard, Place::Other);
                    }
                    self.block(&case.body, group, arm as u32, BranchKind::Plain);
                }
            }
            Stmt::Assert(node) => {
                self.facts.asserts.push((self.function, span(node).0));
                self.expr(&node.test, Place::Other);
                if let Some(message) = &node.msg {
                    self.expr(message, Place::Other);
                }
            }
            Stmt::Delete(node) => {
                for target in &node.targets {
                    if let Expr::Name(name) = target {
                        self.bind(&name.id, span(name), BindingKind::Deleted);
                    } else {
                        self.expr(target, Place::Other);
                    }
                }
            }
            Stmt::Global(node) => {
                for name in &node.names {
                    let name = self.intern(&name.id);
                    self.declared.insert((self.scope, name), true);
                }
            }
            Stmt::Nonlocal(node) => {
                for name in &node.names {
                    let name = self.intern(&name.id);
                    self.declared.insert((self.scope, name), false);
                }
            }
            Stmt::TypeAlias(node) => {
                self.type_params(node.type_params.as_deref());
                let value = self.expr(&node.value, Place::Annotation);
                self.bind_target(&node.name, BindingKind::Value(value));
            }
            Stmt::Pass(_) | Stmt::Break(_) | Stmt::Continue(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn import(&mut self, node: &ast::StmtImport) {
        for alias in &node.names {
            let module = self.intern(&alias.name.id);
            let range = span(alias);
            let name = alias.asname.as_ref().map(|name| name.id.to_string());
            let renamed = name.is_some();
            let name = name.unwrap_or_else(|| {
                alias
                    .name
                    .id
                    .split('.')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            });
            self.bind(&name, range, BindingKind::Import { module, renamed });
        }
    }

    fn import_from(&mut self, node: &ast::StmtImportFrom) {
        let module = self.intern(node.module.as_ref().map_or("", |name| &name.id));
        for alias in &node.names {
            if alias.name.id == "*" {
                self.facts.stars.push(Star {
                    scope: self.scope,
                    level: node.level,
                    module,
                    range: span(alias),
                });
                continue;
            }
            let name = self.intern(&alias.name.id);
            let bound = alias.asname.as_ref().unwrap_or(&alias.name).id.to_string();
            let kind = BindingKind::From {
                level: node.level,
                module,
                name,
            };
            self.bind(&bound, span(alias), kind);
        }
    }

    fn assign(&mut self, node: &ast::StmtAssign) {
        if let [target @ (Expr::Tuple(_) | Expr::List(_))] = &node.targets[..]
            && let (Some(targets), Some(values)) = (elements(target), elements(&node.value))
            && targets.len() == values.len()
            && !values.iter().chain(targets).any(Expr::is_starred_expr)
        {
            let values: Vec<u32> = values
                .iter()
                .map(|value| self.expr(value, Place::Assigned))
                .collect();
            self.holds_from = span(node).1;
            for (target, value) in targets.iter().zip(values) {
                self.bind_target(target, BindingKind::Value(value));
            }
            self.holds_from = 0;
            return;
        }
        self.target = match &node.targets[..] {
            [Expr::Name(name), ..] => self.intern(&name.id),
            [Expr::Attribute(attribute), ..] => self.intern(&attribute.attr.id),
            _ => NONE,
        };
        let value = self.expr(&node.value, Place::Assigned);
        self.target = NONE;
        self.holds_from = span(node).1;
        for target in &node.targets {
            if let Expr::Name(name) = target
                && name.id == "__all__"
                && self.scope == 0
            {
                self.facts.exports = Some(Vec::new());
                self.add_exports(value);
            }
            self.bind_target(target, BindingKind::Value(value));
        }
        self.holds_from = 0;
    }

    fn add_exports(&mut self, value: u32) {
        use crate::facts::Node;
        let mut found = Vec::new();
        if let Node::Many(items) = &self.facts.expr(value).node {
            for &item in items {
                if let Node::Text(text) = self.facts.expr(item).node {
                    found.push(text);
                }
            }
        }
        self.facts.exports.get_or_insert_default().extend(found);
    }

    fn assign_annotated(&mut self, node: &ast::StmtAnnAssign) {
        let annotation = self.annotation(&node.annotation);
        let kind = if let Some(value) = &node.value {
            if let Expr::Name(name) = &*node.target {
                self.target = self.intern(&name.id);
            }
            let value = BindingKind::Value(self.expr(value, Place::Assigned));
            self.target = NONE;
            value
        } else {
            BindingKind::Annotated(annotation)
        };
        self.holds_from = span(node).1;
        self.bind_target(&node.target, kind);
        self.holds_from = 0;
    }

    /// Binds what a loop goes over: with `enumerate` and `items` the second of two.
    pub(super) fn bind_elements(&mut self, target: &Expr, iter: u32) {
        use crate::facts::Node;
        if let (Some([first, second]), Node::Call { func, args }) =
            (elements(target), &self.facts.expr(iter).node)
        {
            let inner = match (&self.facts.expr(*func).node, &args[..]) {
                (Node::Name { name, .. }, [argument, ..])
                    if self.facts.text(*name) == "enumerate" =>
                {
                    Some(argument.value)
                }
                (Node::Attr { base, name }, []) if self.facts.text(*name) == "items" => Some(*base),
                _ => None,
            };
            if let Some(inner) = inner {
                self.bind_target(first, BindingKind::Unknown);
                self.bind_target(second, BindingKind::Element(inner));
                return;
            }
        }
        self.bind_target(target, BindingKind::Element(iter));
    }

    /// `things[key] = x` makes `x` one of the things.
    fn bind_item(&mut self, target: &ast::ExprSubscript, kind: &BindingKind) {
        use crate::facts::Node;
        let BindingKind::Value(value) = *kind else {
            return;
        };
        if target.slice.is_string_literal_expr() {
            // A record.
            return;
        }
        let range = span(target);
        match &*target.value {
            Expr::Name(name) => {
                let items = self.node(Node::Many(vec![value]), range);
                self.bind_more(&name.id, range, items);
            }
            Expr::Attribute(attribute) => {
                if let Expr::Name(base) = &*attribute.value
                    && let Some((class, receiver)) = self.receiver
                    && self.intern(&base.id) == receiver
                {
                    let name = self.intern(&attribute.attr.id);
                    let own = &self.facts.classes[class as usize].attributes;
                    if !own.iter().any(|attribute| attribute.name == name) {
                        // A base's: what it is made of is more than this.
                        return;
                    }
                    let items = self.node(Node::Many(vec![value]), range);
                    let attribute = Attribute {
                        name,
                        kind: BindingKind::Value(items),
                        function: self.function,
                    };
                    self.facts.classes[class as usize]
                        .attributes
                        .push(attribute);
                }
            }
            _ => {}
        }
    }

    /// Adds a meaning to a name of this scope, and takes none from it.
    fn bind_more(&mut self, name: &str, range: (u32, u32), value: u32) {
        let own = self.intern(name);
        if self.bound.contains(&(self.scope, own)) {
            let outer = self.branch;
            let group = self.new_group();
            self.branch = self.open_branch(group, 0, BranchKind::Plain);
            self.bind(name, range, BindingKind::Value(value));
            self.branch = outer;
        }
    }

    pub(super) fn bind_target(&mut self, target: &Expr, kind: BindingKind) {
        match target {
            Expr::Name(name) => self.bind(&name.id, span(name), kind),
            Expr::Attribute(attribute) => {
                if let Expr::Name(base) = &*attribute.value
                    && let Some((class, receiver)) = self.receiver
                    && self.intern(&base.id) == receiver
                {
                    let name = self.intern(&attribute.attr.id);
                    let function = self.function;
                    let attribute = Attribute {
                        name,
                        kind,
                        function,
                    };
                    self.facts.classes[class as usize]
                        .attributes
                        .push(attribute);
                } else {
                    self.expr(target, Place::Other);
                }
            }
            Expr::Tuple(_) | Expr::List(_) => {
                for element in elements(target).unwrap_or_default() {
                    let kind = match kind {
                        // for a, b in enumerate(...): who knows which is which.
                        BindingKind::Element(_) | BindingKind::Value(_) => BindingKind::Unknown,
                        _ => kind.clone(),
                    };
                    self.bind_target(element, kind);
                }
            }
            Expr::Starred(starred) => self.bind_target(&starred.value, BindingKind::Unknown),
            Expr::Subscript(subscript) => {
                self.expr(target, Place::Other);
                self.bind_item(subscript, &kind);
            }
            other => {
                self.expr(other, Place::Other);
            }
        }
    }

    fn expression_statement(&mut self, node: &ast::StmtExpr) {
        // A docstring, or a comment by other means.
        if !node.value.is_string_literal_expr() {
            let value = self.expr(&node.value, Place::Statement);
            if let Expr::Call(call) = &*node.value
                && let Expr::Attribute(attribute) = &*call.func
                && attribute.attr.id.starts_with("assert")
            {
                self.facts.asserts.push((self.function, span(node).0));
            }
            self.collect_appended(value);
        }
    }

    /// `things.append(x)` makes `x` one of the things.
    fn collect_appended(&mut self, value: u32) {
        use crate::facts::Node;
        let Node::Call { func, args } = &self.facts.expr(value).node else {
            return;
        };
        let ([argument], Node::Attr { base, name }) = (&args[..], &self.facts.expr(*func).node)
        else {
            return;
        };
        if !matches!(self.facts.text(*name), "append" | "add" | "appendleft") {
            return;
        }
        let (base, argument) = (*base, argument.value);
        let range = (self.facts.expr(value).start, self.facts.expr(value).end);
        match self.facts.expr(base).node {
            Node::Name { name, .. } => {
                let items = self.node(Node::Many(vec![argument]), range);
                let name = self.facts.text(name).to_owned();
                self.bind_more(&name, range, items);
            }
            Node::Attr { base, name } => {
                if let Node::Name { name: root, .. } = self.facts.expr(base).node
                    && let Some((class, receiver)) = self.receiver
                    && root == receiver
                {
                    let items = self.node(Node::Many(vec![argument]), range);
                    let attribute = Attribute {
                        name,
                        kind: BindingKind::Value(items),
                        function: self.function,
                    };
                    self.facts.classes[class as usize]
                        .attributes
                        .push(attribute);
                }
            }
            _ => {}
        }
    }

    fn branches(&mut self, node: &ast::StmtIf) {
        self.expr(&node.test, Place::Other);
        let group = self.new_group();
        let kind = if names_typing(&node.test) {
            BranchKind::Typing
        } else {
            BranchKind::Plain
        };
        if self.scope == 0 && is_main_test(&node.test) {
            self.facts.is_program = true;
        }
        self.block(&node.body, group, 0, kind);
        for (arm, clause) in node.elif_else_clauses.iter().enumerate() {
            if let Some(test) = &clause.test {
                self.expr(test, Place::Other);
            }
            self.block(&clause.body, group, arm as u32 + 1, BranchKind::Plain);
        }
    }

    fn with(&mut self, node: &ast::StmtWith) {
        for item in &node.items {
            let value = self.expr(&item.context_expr, Place::With);
            if let Some(target) = &item.optional_vars {
                self.bind_target(target, BindingKind::Entered(value));
            }
            let body = (
                node.body.first().map_or(0, |first| span(first).0),
                node.body.last().map_or(0, |last| span(last).1),
            );
            self.facts.withs.push(With {
                function: self.function,
                item: value,
                body,
                is_async: node.is_async,
            });
        }
        let locks = node
            .items
            .iter()
            .filter(|item| names_lock(&item.context_expr))
            .count() as u32;
        self.locks += locks;
        self.statements(&node.body);
        self.locks -= locks;
    }

    fn try_statement(&mut self, node: &ast::StmtTry) {
        let group = self.new_group();
        self.block(&node.body, group, 0, BranchKind::Plain);
        let body = (
            node.body.first().map_or(0, |first| span(first).0),
            node.body.last().map_or(0, |last| span(last).1),
        );
        let mut earlier = Vec::new();
        for handler in &node.handlers {
            let ast::ExceptHandler::ExceptHandler(handler) = handler;
            let caught = handler
                .type_
                .as_ref()
                .map_or(NONE, |caught| self.expr(caught, Place::Except));
            let group = self.new_group();
            let outer = self.branch;
            self.branch = self.open_branch(group, 0, BranchKind::Plain);
            if let Some(name) = &handler.name {
                self.bind(&name.id, span(name), BindingKind::Unknown);
            }
            self.statements(&handler.body);
            self.branch = outer;
            self.facts.handlers.push(Handler {
                function: self.function,
                caught,
                range: span(handler),
                body,
                raises: matches!(handler.body.last(), Some(Stmt::Raise(raise))
                    if raise.exc.is_none()),
                earlier: earlier.clone(),
            });
            earlier.push(caught);
        }
        let group = self.new_group();
        self.block(&node.orelse, group, 0, BranchKind::Plain);
        self.statements(&node.finalbody);
    }

    fn pattern(&mut self, pattern: &ast::Pattern) {
        use ast::Pattern;
        match pattern {
            Pattern::MatchValue(node) => {
                self.expr(&node.value, Place::Other);
            }
            Pattern::MatchSingleton(_) => {}
            Pattern::MatchSequence(node) => {
                for part in &node.patterns {
                    self.pattern(part);
                }
            }
            Pattern::MatchMapping(node) => {
                for key in &node.keys {
                    self.expr(key, Place::Other);
                }
                for part in &node.patterns {
                    self.pattern(part);
                }
                if let Some(rest) = &node.rest {
                    self.bind(&rest.id, span(rest), BindingKind::Unknown);
                }
            }
            Pattern::MatchClass(node) => {
                self.expr(&node.cls, Place::Except);
                for part in &node.arguments.patterns {
                    self.pattern(part);
                }
                for keyword in &node.arguments.keywords {
                    self.pattern(&keyword.pattern);
                }
            }
            Pattern::MatchStar(node) => {
                if let Some(name) = &node.name {
                    self.bind(&name.id, span(name), BindingKind::Unknown);
                }
            }
            Pattern::MatchAs(node) => {
                if let Some(part) = &node.pattern {
                    self.pattern(part);
                }
                if let Some(name) = &node.name {
                    self.bind(&name.id, span(name), BindingKind::Unknown);
                }
            }
            Pattern::MatchOr(node) => {
                for part in &node.patterns {
                    self.pattern(part);
                }
            }
        }
    }
}

fn elements(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(node) => Some(&node.elts),
        Expr::List(node) => Some(&node.elts),
        _ => None,
    }
}

fn names_typing(test: &Expr) -> bool {
    match test {
        Expr::Name(name) => name.id == "TYPE_CHECKING",
        Expr::Attribute(attribute) => attribute.attr.id == "TYPE_CHECKING",
        _ => false,
    }
}

fn is_main_test(test: &Expr) -> bool {
    let Expr::Compare(compare) = test else {
        return false;
    };
    let is_name = |e: &Expr| matches!(e, Expr::Name(name) if name.id == "__name__");
    let is_text =
        |e: &Expr| matches!(e, Expr::StringLiteral(text) if text.value.to_str() == "__main__");
    let (left, right) = (&*compare.left, &compare.comparators[0]);
    is_name(left) && is_text(right) || is_text(left) && is_name(right)
}
