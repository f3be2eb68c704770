//! Who may do what: the text of `data/policy.cedar`, asked once for every request. Deny by default;
//! an error while deciding is a denial.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};

use crate::core::{
    access::{Principal, Scope},
    lifecycle::Role,
};

/// The rules.
pub const POLICY: &str = include_str!("../../data/policy.cedar");
/// What they speak of.
pub const SCHEMA: &str = include_str!("../../data/policy.cedarschema");

/// The roles of people.
const ROLES: [Role; 6] = [
    Role::Customer,
    Role::Reviewer,
    Role::Operator,
    Role::Security,
    Role::Auditor,
    Role::Administrator,
];

/// Annotations of rules that limit tokens begin so.
const SCOPE_RULE: &str = "scope-";

/// Why the rules cannot be used: they are part of the program, so this is a bug, found at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the access policy cannot be used: {0}")]
pub struct PolicyError(String);

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The platform.
    Platform,
    /// A tenant.
    Tenant {
        /// Whose it is: nobody's (an empty name) if there is none.
        customer: &'a str,
        /// Whether it was never submitted.
        draft: bool,
    },
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Permitted,
    /// No: not within the limits of this token.
    OutOfScope,
    /// No.
    Denied,
}

/// The rules, parsed once.
#[derive(Debug)]
pub struct Policy {
    authorizer: Authorizer,
    rules: PolicySet,
    person: EntityTypeName,
    tenant: EntityTypeName,
    platform: Entity,
    anonymous: Entity,
    roles: BTreeMap<Role, HashSet<EntityUid>>,
    actions: HashMap<String, Entity>,
    open: HashSet<String>,
}

impl Policy {
    /// Parses the rules and holds them against their schema.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn load() -> Result<Self, PolicyError> {
        Self::of(POLICY, SCHEMA)
    }

    fn of(rules: &str, schema: &str) -> Result<Self, PolicyError> {
        let (schema, warnings) = Schema::from_cedarschema_str(schema).map_err(wrong)?;
        if let Some(warning) = warnings.into_iter().next() {
            return Err(wrong(warning));
        }
        let rules: PolicySet = rules.parse().map_err(wrong)?;
        let checked = Validator::new(schema.clone()).validate(&rules, ValidationMode::Strict);
        if !checked.validation_passed_without_warnings() {
            return Err(wrong(checked));
        }
        let role = |name: &str| uid(&entity_type("Role")?, name);
        let mut roles = BTreeMap::new();
        for one in ROLES {
            let mut of = HashSet::from([role(one.as_str())?]);
            if one != Role::Customer {
                of.insert(role("provider")?);
            }
            roles.insert(one, of);
        }
        let mut policy = Self {
            authorizer: Authorizer::new(),
            rules,
            person: entity_type("Person")?,
            tenant: entity_type("Tenant")?,
            platform: without_parents(uid(&entity_type("Platform")?, "platform")?),
            anonymous: without_parents(uid(&entity_type("Anonymous")?, "anonymous")?),
            roles,
            actions: actions(&schema)?,
            open: HashSet::new(),
        };
        let open = policy
            .actions
            .keys()
            .filter(|action| policy.decide(None, action, Resource::Platform) == Verdict::Permitted);
        policy.open = open.cloned().collect();
        Ok(policy)
    }

    /// Whether anybody may do this, without a token.
    #[must_use]
    pub fn is_open(&self, action: &str) -> bool {
        self.open.contains(action)
    }

    /// Whether somebody, or nobody who is known, may do this.
    #[must_use]
    pub fn decide(
        &self,
        principal: Option<&Principal>,
        action: &str,
        resource: Resource<'_>,
    ) -> Verdict {
        let of = |principal: &Principal| {
            let customer = principal.actor.customer.as_deref();
            self.person(principal.actor.role, customer, &principal.scope)
        };
        let who = match principal {
            Some(principal) => of(principal),
            None => Ok(self.anonymous.clone()),
        };
        who.and_then(|who| self.ask(who, action, resource)).unwrap_or_else(|error| {
            tracing::error!(action, %error, "a request was denied because it cannot be decided on");
            Verdict::Denied
        })
    }

    /// Which roles may do this at all, on a tenant of their own: for people who may not.
    #[must_use]
    pub fn roles_for(&self, action: &str, on_tenant: bool) -> Vec<&'static str> {
        let own = "own";
        let resource = if on_tenant {
            Resource::Tenant { customer: own, draft: false }
        } else {
            Resource::Platform
        };
        let may = |role: &Role| {
            let customer = (*role == Role::Customer).then_some(own);
            let who = self.person(*role, customer, &Scope::Everything);
            let verdict = who.and_then(|who| self.ask(who, action, resource));
            verdict == Ok(Verdict::Permitted)
        };
        ROLES.iter().filter(|role| may(role)).map(|role| role.as_str()).collect()
    }

    fn person(
        &self,
        role: Role,
        customer: Option<&str>,
        scope: &Scope,
    ) -> Result<Entity, PolicyError> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let mut attributes = HashMap::new();
        if let Some(customer) = customer {
            attributes.insert("customer".to_owned(), text(customer));
        }
        if let Scope::Groups(groups) = scope {
            let groups = groups.iter().map(|group| text(group.as_str()));
            attributes.insert("scope".to_owned(), RestrictedExpression::new_set(groups));
        }
        // Rules go by role, customer and scope; the name makes no difference to them.
        let roles = self.roles.get(&role).cloned().unwrap_or_default();
        Entity::new(uid(&self.person, "caller")?, attributes, roles).map_err(wrong)
    }

    fn ask(
        &self,
        who: Entity,
        action: &str,
        resource: Resource<'_>,
    ) -> Result<Verdict, PolicyError> {
        let action = self.actions.get(action).ok_or_else(|| wrong("no such action"))?;
        let what = match resource {
            Resource::Platform => self.platform.clone(),
            Resource::Tenant { customer, draft } => {
                let attributes = HashMap::from([
                    ("customer".to_owned(), RestrictedExpression::new_string(customer.to_owned())),
                    ("draft".to_owned(), RestrictedExpression::new_bool(draft)),
                ]);
                Entity::new(uid(&self.tenant, "tenant")?, attributes, HashSet::new())
                    .map_err(wrong)?
            }
        };
        let request = Request::new(who.uid(), action.uid(), what.uid(), Context::empty(), None)
            .map_err(wrong)?;
        let entities = Entities::from_entities([who, action.clone(), what], None).map_err(wrong)?;
        let answer = self.authorizer.is_authorized(&request, &self.rules, &entities);
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(wrong(error));
        }
        let mut reasons = answer.diagnostics().reason();
        Ok(match answer.decision() {
            Decision::Allow => Verdict::Permitted,
            Decision::Deny if reasons.any(|rule| self.limits_tokens(rule)) => Verdict::OutOfScope,
            Decision::Deny => Verdict::Denied,
        })
    }

    fn limits_tokens(&self, rule: &cedar_policy::PolicyId) -> bool {
        self.rules.annotation(rule, "id").is_some_and(|id| id.starts_with(SCOPE_RULE))
    }
}

/// Every action with all groups that it is in.
fn actions(schema: &Schema) -> Result<HashMap<String, Entity>, PolicyError> {
    let entities = schema.action_entities().map_err(wrong)?;
    let named = entities.iter().map(|entity| {
        let uid = entity.uid();
        let groups = entities.ancestors(&uid).map(|all| all.cloned().collect());
        let name = uid.id().unescaped().to_owned();
        (name, Entity::new_no_attrs(uid, groups.unwrap_or_default()))
    });
    Ok(named.collect())
}

fn without_parents(uid: EntityUid) -> Entity {
    Entity::new_no_attrs(uid, HashSet::new())
}

fn entity_type(name: &str) -> Result<EntityTypeName, PolicyError> {
    name.parse().map_err(wrong)
}

fn uid(of: &EntityTypeName, name: &str) -> Result<EntityUid, PolicyError> {
    Ok(EntityUid::from_type_name_and_id(of.clone(), EntityId::new(name)))
}

fn wrong(error: impl std::fmt::Display) -> PolicyError {
    PolicyError(error.to_string())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
