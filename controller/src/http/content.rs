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
    content::{ENTRIES_LIMIT, Severity, Support, YearlyAssessment},
};

/// Fields of an object: name, meaning, shape.
type Fields = Vec<(&'static str, &'static str, RefOr<Schema>)>;

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
    let mut fields = vec![("kind", "Which kind of record this is", words([kind]))];
    fields.extend(fields_of(kind));
    let mut object = closed(fields);
    if kind == Kind::LawfulAccess {
        let sealed = ObjectBuilder::new().schema_type(Type::Boolean);
        let sealed = sealed.default(Some(false.into()));
        let means = "Whether the document demands that the customer is not told";
        object = object.property("sealed", sealed.description(Some(means)));
    }
    object.title(Some(format!("{} (clause {})", kind.as_str(), kind.clause()))).build().into()
}

fn fields_of(kind: Kind) -> Fields {
    match kind {
        Kind::HandoverReceipt => vec![
            ("received_by", "Who received the resources", text()),
            ("items", "What was handed over, item by item", list(text(), 1)),
        ],
        Kind::Inspection => vec![
            ("checked", "What was checked", text()),
            ("findings", "What was found; none if all is well", list(finding(), 0)),
        ],
        Kind::Support => {
            let services = [
                Support::MigrationPlan,
                Support::Consulting,
                Support::Optimisation,
                Support::Training,
            ];
            vec![
                ("service", "Which help of clause 8.4 was given", words(services)),
                ("summary", "What was done", text()),
            ]
        }
        Kind::ResponsibilityLetter => vec![("signed_by", "Who signed the letter", text())],
        Kind::Administrators => vec![
            ("persons", "The customer's own administrators", list(administrator(), 1)),
            ("policy", "The customer's security policy, in short", text()),
        ],
        Kind::Controls => {
            vec![("controls", "The platform's security controls", list(control(), 1))]
        }
        Kind::PlatformAssessment => vec![
            (
                "assessment",
                "Which of the yearly assessments",
                words([YearlyAssessment::MlpsLevel3, YearlyAssessment::Risk]),
            ),
            ("assessor", "Who assessed", text()),
            ("report_no", "Number of the report", text()),
            ("conclusion", "What it concludes, such as `met`", text()),
        ],
        Kind::LawfulAccess => vec![
            ("authority", "Which authority asks", text()),
            ("document_no", "Number of the authority's document", text()),
            ("scope", "What may be looked at", text()),
        ],
        Kind::AccessShown => vec![
            ("access", "The id of the lawful access' record", id()),
            ("shown", "What was shown, to the letter", text()),
            ("officers", "The officers who looked at it", list(text(), 1)),
        ],
    }
}

fn finding() -> RefOr<Schema> {
    let severity = words([Severity::Low, Severity::Medium, Severity::High]);
    let fields = vec![
        ("severity", "How bad it is", severity),
        ("finding", "What was found", text()),
        ("advice", "What to do about it", text()),
    ];
    closed(fields).build().into()
}

fn administrator() -> RefOr<Schema> {
    let fields = vec![("name", "Who", text()), ("duty", "For what, such as `backups`", text())];
    closed(fields).build().into()
}

fn control() -> RefOr<Schema> {
    let what = "What is to be controlled, such as a clause of GB/T 22239";
    let fields = vec![("control", what, text()), ("measure", "What is done", text())];
    closed(fields).build().into()
}

fn closed(fields: Fields) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let object =
        object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    fields.into_iter().fold(object, |object, (name, means, schema)| {
        object.property(name, described(schema, means)).required(name)
    })
}

fn described(mut schema: RefOr<Schema>, means: &str) -> RefOr<Schema> {
    match &mut schema {
        RefOr::T(Schema::Object(object)) => object.description = Some(means.to_owned()),
        RefOr::T(Schema::Array(array)) => array.description = Some(means.to_owned()),
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
    schema
}

fn list(items: RefOr<Schema>, least: usize) -> RefOr<Schema> {
    let list = ArrayBuilder::new().items(items);
    list.min_items(Some(least)).max_items(Some(ENTRIES_LIMIT)).into()
}

fn id() -> RefOr<Schema> {
    let format = SchemaFormat::Custom("uuid".to_owned());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
}
