//! The shape of what records say ([`Content`]) for the OpenAPI document, kind by kind.
//!
//! [`Content`]: crate::core::record::Content

use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat,
    schema::{AdditionalProperties, Type},
};

use super::form::{text, words};
use crate::core::record::{
    Kind,
    content::{Assessment, ENTRIES_LIMIT, Severity, Support},
};

type Fields = Vec<(&'static str, RefOr<Schema>)>;

/// One of the kinds.
pub(super) fn content() -> RefOr<Schema> {
    let kinds = KINDS.iter().fold(OneOfBuilder::new(), |all, kind| all.item(one(*kind)));
    Schema::OneOf(kinds.build()).into()
}

/// All of them, in the order of the clauses.
const KINDS: [Kind; 9] = [
    Kind::HandoverReceipt,
    Kind::ResponsibilityLetter,
    Kind::Administrators,
    Kind::LawfulAccess,
    Kind::AccessShown,
    Kind::Controls,
    Kind::PlatformAssessment,
    Kind::Inspection,
    Kind::Support,
];

fn one(kind: Kind) -> RefOr<Schema> {
    let mut fields = vec![("kind", words([kind]))];
    fields.extend(fields_of(kind));
    let mut object = closed(fields);
    if kind == Kind::LawfulAccess {
        let sealed = ObjectBuilder::new().schema_type(Type::Boolean);
        object = object.property("sealed", sealed.default(Some(false.into())));
    }
    object.title(Some(format!("{} (clause {})", kind.as_str(), kind.clause()))).build().into()
}

fn fields_of(kind: Kind) -> Fields {
    match kind {
        Kind::HandoverReceipt => vec![("received_by", text()), ("items", list(text(), 1))],
        Kind::Inspection => vec![("checked", text()), ("findings", list(finding(), 0))],
        Kind::Support => {
            let services = [
                Support::MigrationPlan,
                Support::Consulting,
                Support::Optimisation,
                Support::Training,
            ];
            vec![("service", words(services)), ("summary", text())]
        }
        Kind::ResponsibilityLetter => vec![("signed_by", text())],
        Kind::Administrators => {
            vec![("persons", list(texts(&["name", "duty"]), 1)), ("policy", text())]
        }
        Kind::Controls => vec![("controls", list(texts(&["control", "measure"]), 1))],
        Kind::PlatformAssessment => vec![
            ("assessment", words([Assessment::MlpsLevel3, Assessment::Risk])),
            ("assessor", text()),
            ("report_no", text()),
            ("conclusion", text()),
        ],
        Kind::LawfulAccess => {
            vec![("authority", text()), ("document_no", text()), ("scope", text())]
        }
        Kind::AccessShown => {
            vec![("access", id()), ("shown", text()), ("officers", list(text(), 1))]
        }
    }
}

fn finding() -> RefOr<Schema> {
    let severity = words([Severity::Low, Severity::Medium, Severity::High]);
    let fields = vec![("severity", severity), ("finding", text()), ("advice", text())];
    closed(fields).build().into()
}

fn texts(names: &[&'static str]) -> RefOr<Schema> {
    closed(names.iter().map(|name| (*name, text())).collect()).build().into()
}

fn closed(fields: Fields) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let object =
        object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    fields
        .into_iter()
        .fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

fn list(items: RefOr<Schema>, least: usize) -> RefOr<Schema> {
    let list = ArrayBuilder::new().items(items);
    list.min_items(Some(least)).max_items(Some(ENTRIES_LIMIT)).into()
}

fn id() -> RefOr<Schema> {
    let format = SchemaFormat::Custom("uuid".to_owned());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
}
