//! Schemas of tagged unions: each member has the tag as a required property of one value, and the union names every
//! member in its discriminator's mapping, so that generated clients decode each to a type of its own.

use poem_openapi::registry::{MetaDiscriminatorObject, MetaSchema, MetaSchemaRef, Registry};

/// One member of a union.
pub(super) struct Member {
    /// The value of the tag.
    pub(super) tag: &'static str,
    /// The component's name.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) description: &'static str,
    /// Its other properties: name, schema, whether it must be there.
    pub(super) properties: Vec<(&'static str, MetaSchemaRef, bool)>,
}

/// Registers the members, and the union `T` of them under `name` with the tag `property`.
pub(super) fn register<T>(
    registry: &mut Registry,
    name: &'static str,
    property: &'static str,
    description: &'static str,
    members: Vec<Member>,
) {
    registry.create_schema::<T, _>(name.to_owned(), |registry| {
        let mut mapping = Vec::new();
        let mut one_of = Vec::new();
        for member in members {
            mapping.push((member.tag.to_owned(), format!("#/components/schemas/{}", member.name)));
            one_of.push(MetaSchemaRef::Reference(member.name.to_owned()));
            let tag = MetaSchemaRef::Inline(Box::new(MetaSchema {
                enum_items: vec![member.tag.into()],
                ..MetaSchema::new("string")
            }));
            let mut schema = MetaSchema {
                title: Some(member.name.to_owned()),
                description: Some(member.description),
                required: vec![property],
                properties: vec![(property, tag)],
                ..MetaSchema::new("object")
            };
            for (property, property_schema, required) in member.properties {
                if required {
                    schema.required.push(property);
                }
                schema.properties.push((property, property_schema));
            }
            registry.schemas.insert(member.name.to_owned(), schema);
        }
        MetaSchema {
            description: Some(description),
            one_of,
            discriminator: Some(MetaDiscriminatorObject { property_name: property, mapping }),
            ..MetaSchema::ANY
        }
    });
}

/// A schema with a description.
pub(super) fn plain(ty: &'static str, format: Option<&'static str>, description: &'static str) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema { format, description: Some(description), ..MetaSchema::new(ty) }))
}

/// [`poem_openapi::types::Type`] for a union that is registered by hand.
macro_rules! union_type {
    ($type:ty, $name:literal, $register:path) => {
        impl poem_openapi::types::Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Reference($name.to_owned())
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                $register(registry);
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }
    };
}
pub(super) use union_type;
