//! The walk over functions and classes.

use crate::facts::{
    BindingKind, BranchKind, Class, Function, NONE, Param, ParamKind, Place, ScopeKind,
};
use crate::syntax::ast::{self, Expr};
use crate::syntax::span;

use super::Walk;
use super::checks::names_lock;

impl Walk<'_> {
    pub(super) fn function(&mut self, node: &ast::StmtFunctionDef) {
        let decorators = node
            .decorator_list
            .iter()
            .map(|decorator| self.expr(&decorator.expression, Place::Decorator))
            .collect();
        self.type_params(node.type_params.as_deref());
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
        let is_locked = node
            .decorator_list
            .iter()
            .any(|decorator| names_lock(&decorator.expression));
        let outer = std::mem::replace(&mut self.locks, is_locked.into());
        self.in_function(id, prefix, |walk| walk.statements(&node.body));
        self.locks = outer;
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

    /// Bounds and defaults of type parameters.
    pub(super) fn type_params(&mut self, params: Option<&ast::TypeParams>) {
        for param in params.into_iter().flat_map(|params| &params.type_params) {
            let (bound, default) = match param {
                ast::TypeParam::TypeVar(param) => (&param.bound, &param.default),
                ast::TypeParam::TypeVarTuple(param) => (&None, &param.default),
                ast::TypeParam::ParamSpec(param) => (&None, &param.default),
            };
            for expr in bound.iter().chain(default) {
                self.annotation(expr);
            }
        }
    }

    pub(super) fn class(&mut self, node: &ast::StmtClassDef) {
        for decorator in &node.decorator_list {
            self.expr(&decorator.expression, Place::Decorator);
        }
        self.type_params(node.type_params.as_deref());
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
