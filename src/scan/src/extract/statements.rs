//! The walk over statements: bindings, branches, functions and classes.

use crate::facts::{
    Attribute, BindingKind, BranchKind, Class, Function, Handler, NONE, Param, ParamKind, Place,
    ScopeKind, Star, With,
};
use crate::syntax::ast::{self, Expr, Stmt};
use crate::syntax::span;

use super::Walk;

impl Walk<'_> {
    pub(super) fn statements(&mut self, body: &[Stmt]) {
        for statement in body {
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
                self.bind_target(&node.target, BindingKind::Element(iter));
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
                self.expr(&node.test, Place::Other);
                if let Some(message) = &node.msg {
                    self.expr(message, Place::Other);
                }
            }
            Stmt::Delete(node) => {
                for target in &node.targets {
                    if let Expr::Name(name) = target {
                        self.bind(&name.id, span(name), BindingKind::Unknown);
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
            for (target, value) in targets.iter().zip(values) {
                self.bind_target(target, BindingKind::Value(value));
            }
            return;
        }
        self.target = match &node.targets[..] {
            [Expr::Name(name), ..] => self.intern(&name.id),
            [Expr::Attribute(attribute), ..] => self.intern(&attribute.attr.id),
            _ => NONE,
        };
        let value = self.expr(&node.value, Place::Assigned);
        self.target = NONE;
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
        self.bind_target(&node.target, kind);
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
            other => {
                self.expr(other, Place::Other);
            }
        }
    }

    fn expression_statement(&mut self, node: &ast::StmtExpr) {
        // A docstring, or a comment by other means.
        if !node.value.is_string_literal_expr() {
            let value = self.expr(&node.value, Place::Statement);
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
                let own = self.intern(&name);
                if self.bound.contains(&(self.scope, own)) {
                    let outer = self.branch;
                    let group = self.new_group();
                    self.branch = self.open_branch(group, 0, BranchKind::Plain);
                    self.bind(&name, range, BindingKind::Value(items));
                    self.branch = outer;
                }
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
        self.statements(&node.body);
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

    fn function(&mut self, node: &ast::StmtFunctionDef) {
        let decorators = node
            .decorator_list
            .iter()
            .map(|decorator| self.expr(&decorator.expression, Place::Decorator))
            .collect();
        let params = self.parameters(&node.parameters);
        let annotation = node
            .returns
            .as_ref()
            .map_or(NONE, |returns| self.annotation(returns));
        let (name, qualname) = (self.intern(&node.name.id), self.qualname(&node.name.id));
        let qualname = self.intern(&qualname);
        let id = self.facts.functions.len() as u32;
        self.facts.functions.push(Function {
            name,
            qualname,
            scope: 0,
            parent: self.scope,
            class: self.class,
            is_async: node.is_async,
            is_generator: false,
            is_lambda: false,
            decorators,
            params,
            returns: Vec::new(),
            annotation,
            range: span(&node.name),
            body: (
                node.body.first().map_or(0, |first| span(first).0),
                node.body.last().map_or(0, |last| span(last).1),
            ),
        });
        self.bind(&node.name.id, span(&node.name), BindingKind::Function(id));
        let prefix = format!("{}{}.<locals>.", self.prefix, node.name.id);
        self.in_function(id, prefix, |walk| walk.statements(&node.body));
    }

    /// Runs a walk in the scope of a function whose entry exists already.
    pub(super) fn in_function(&mut self, id: u32, prefix: String, walk: impl FnOnce(&mut Self)) {
        let scope = self.open_scope(ScopeKind::Function, id);
        self.facts.functions[id as usize].scope = scope;
        let group = self.new_group();
        let branch = self.open_branch(group, 0, BranchKind::Body);
        let outer = (
            self.scope,
            self.function,
            self.class,
            self.branch,
            self.receiver,
        );
        let outer_prefix = std::mem::replace(&mut self.prefix, prefix);
        if self.class != NONE {
            let function = &self.facts.functions[id as usize];
            self.receiver = function
                .params
                .first()
                .map(|param| (self.class, param.name));
        }
        (self.scope, self.function, self.class, self.branch) = (scope, id, NONE, branch);
        for index in 0..self.facts.functions[id as usize].params.len() {
            let name = self.facts.functions[id as usize].params[index].name;
            let name = self.facts.text(name).to_owned();
            let at = self.facts.functions[id as usize].range.0;
            let kind = BindingKind::Param {
                function: id,
                index: index as u32,
            };
            self.bind(&name, (at, at), kind);
        }
        walk(self);
        self.prefix = outer_prefix;
        (
            self.scope,
            self.function,
            self.class,
            self.branch,
            self.receiver,
        ) = outer;
    }

    /// Reads parameters with their defaults, which belong to the scope around.
    pub(super) fn parameters(&mut self, parameters: &ast::Parameters) -> Vec<Param> {
        let mut found = Vec::new();
        let mut add = |walk: &mut Self, kind, name: &ast::Parameter, default: Option<&Expr>| {
            let param = Param {
                name: walk.intern(&name.name.id),
                kind,
                annotation: name
                    .annotation
                    .as_ref()
                    .map_or(NONE, |a| walk.annotation(a)),
                default: default.map_or(NONE, |default| walk.expr(default, Place::Other)),
            };
            found.push(param);
        };
        for part in parameters.posonlyargs.iter().chain(&parameters.args) {
            add(
                self,
                ParamKind::Plain,
                &part.parameter,
                part.default.as_deref(),
            );
        }
        if let Some(part) = &parameters.vararg {
            add(self, ParamKind::Args, part, None);
        }
        for part in &parameters.kwonlyargs {
            add(
                self,
                ParamKind::KeywordOnly,
                &part.parameter,
                part.default.as_deref(),
            );
        }
        if let Some(part) = &parameters.kwarg {
            add(self, ParamKind::Keywords, part, None);
        }
        found
    }

    fn class(&mut self, node: &ast::StmtClassDef) {
        for decorator in &node.decorator_list {
            self.expr(&decorator.expression, Place::Decorator);
        }
        let mut bases = Vec::new();
        if let Some(arguments) = &node.arguments {
            for base in &arguments.args {
                bases.push(self.expr(base, Place::Base));
            }
            for keyword in &arguments.keywords {
                self.expr(&keyword.value, Place::Other);
            }
        }
        let id = self.facts.classes.len() as u32;
        let qualname = self.qualname(&node.name.id);
        let class = Class {
            name: self.intern(&node.name.id),
            qualname: self.intern(&qualname),
            scope: 0,
            parent: self.scope,
            bases,
            attributes: Vec::new(),
            range: span(&node.name),
        };
        self.facts.classes.push(class);
        self.bind(&node.name.id, span(&node.name), BindingKind::Class(id));
        let scope = self.open_scope(ScopeKind::Class, id);
        self.facts.classes[id as usize].scope = scope;
        let outer = (self.scope, self.class);
        let prefix = format!("{}{}.", self.prefix, node.name.id);
        let prefix = std::mem::replace(&mut self.prefix, prefix);
        (self.scope, self.class) = (scope, id);
        self.statements(&node.body);
        (self.scope, self.class) = outer;
        self.prefix = prefix;
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
