//! The resource of a new service: its names and fields, checked.

use std::collections::HashSet;
use std::str::FromStr;

use anyhow::{Result, anyhow, ensure};

/// Keywords of Rust (The Rust Reference, Keywords), also those of later use.
const RUST_KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn for \
    gen if impl in let loop macro match mod move mut override priv pub ref return self static struct super trait true try \
    type typeof union unsafe unsized use virtual where while yield";

/// Keywords of the language of contracts (Protocol Buffers, proto3 specification), and its types.
const PROTO_WORDS: &str = "bool bytes double edition enum export extend extensions false fixed32 fixed64 float group import inf int32 \
    int64 local map max message nan oneof option optional package public repeated required reserved returns rpc service \
    sfixed32 sfixed64 sint32 sint64 stream string syntax to true uint32 uint64 weak";

/// A kind of things that a service holds, such as books.
#[derive(Debug)]
pub(super) struct Resource {
    /// In the singular: `audio_book`.
    pub(super) name: String,
    pub(super) plural: String,
    /// All fields but the id.
    pub(super) fields: Vec<Field>,
}

/// A field of a resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// The type in the contract.
    pub(super) kind: Kind,
}

/// Makes [`Kind`] from its types in the contract and in Rust, and its values in the samples.
macro_rules! kinds {
    ($($variant:ident: $proto:literal $rust:literal $sample:expr;)*) => {
        /// The type of a field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($variant),*
        }

        impl Kind {
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name in the contract.
            pub(super) fn proto(self) -> &'static str {
                match self { $(Self::$variant => $proto),* }
            }

            /// Returns the name in Rust.
            pub(super) fn rust(self) -> &'static str {
                match self { $(Self::$variant => $rust),* }
            }

            /// Returns the value of a field in the sample with this number.
            fn sample(self, field: &str, number: u8) -> String {
                let sample: fn(&str, u8) -> String = match self { $(Self::$variant => $sample),* };
                sample(field, number)
            }
        }
    };
}

kinds! {
    String: "string" "String" |field, number| format!("\"{field} {number}\"");
    Int32: "int32" "i32" |_, number| number.to_string();
    Int64: "int64" "i64" |_, number| number.to_string();
    Uint32: "uint32" "u32" |_, number| number.to_string();
    Uint64: "uint64" "u64" |_, number| number.to_string();
    Float: "float" "f32" |_, number| format!("{number}.5");
    Double: "double" "f64" |_, number| format!("{number}.5");
    Bool: "bool" "bool" |_, number| (number % 2 == 1).to_string();
}

impl Resource {
    /// Makes a resource of arguments. Without a plural, one is derived from the name.
    ///
    /// # Errors
    ///
    /// If a name or a type cannot be used, or a name is used twice.
    pub(super) fn new(name: &str, plural: Option<&str>, fields: &[String]) -> Result<Self> {
        check_name("the resource", name)?;
        let plural = plural.map_or_else(|| plural_of(name), str::to_owned);
        check_name("the plural", &plural)?;
        ensure!(
            plural != name,
            "the plural `{plural}` is the name, too: give another one with --plural, such as `{name}_list`"
        );
        let fields: Vec<Field> = fields.iter().map(|field| field.parse()).collect::<Result<_>>()?;
        let mut seen = HashSet::from(["id"]);
        for Field { name, .. } in &fields {
            ensure!(name != "id", "the field `id` is a part of every resource, as a string: leave it out");
            ensure!(seen.insert(name), "the field `{name}` is given twice: leave one out, or rename it");
        }
        Ok(Self { name: name.to_owned(), plural, fields })
    }

    /// Returns a database with three of the resource, which are still called movies.
    pub(super) fn samples(&self) -> String {
        let sample = |number| {
            let value = |Field { name, kind }: &Field| format!(", \"{name}\": {}", kind.sample(name, number));
            let values: String = self.fields.iter().map(value).collect();
            format!("  {{\"id\": \"movie-{number}\"{values}}}")
        };
        format!("{{\"movies\": [\n{}\n]}}\n", [1, 2, 3].map(sample).join(",\n"))
    }

    /// Returns the name as that of a type: `AudioBook`.
    pub(super) fn type_name(&self) -> String {
        camel_case(&self.name)
    }

    /// Returns the plural as a part of the names of types: `AudioBooks`.
    pub(super) fn type_plural(&self) -> String {
        camel_case(&self.plural)
    }
}

impl FromStr for Field {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let types: Vec<&str> = Kind::ALL.iter().map(|kind| kind.proto()).collect();
        let types = types.join(", ");
        let (name, kind) = text.split_once(':').ok_or_else(|| {
            anyhow!("the field `{text}` has no type: expected FIELD:TYPE, such as `{text}:string`; types are {types}")
        })?;
        check_name("the field", name)?;
        let kind = Kind::ALL.iter().find(|known| known.proto() == kind);
        let kind =
            kind.ok_or_else(|| anyhow!("the field `{text}` has an unknown type: expected one of {types}"))?;
        Ok(Self { name: name.to_owned(), kind: *kind })
    }
}

/// Fails unless contracts and Rust can have this name.
fn check_name(what: &str, name: &str) -> Result<()> {
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let starts_with_letter = |part: &str| part.starts_with(|first: char| first.is_ascii_lowercase());
    // A part that starts with a digit would lose its `_` in the names of types, and in JSON.
    ensure!(
        name.split('_').all(|part| is_part(part) && starts_with_letter(part)),
        "{what} `{name}`: expected a name such as `audio_book`: lower-case letters and digits, with single `_` between the \
         words, each of which starts with a letter"
    );
    for (words, language) in [(RUST_KEYWORDS, "Rust"), (PROTO_WORDS, "Protocol Buffers")] {
        ensure!(
            !words.split_whitespace().any(|word| word == name),
            "{what} `{name}`: the word is reserved in {language}: choose another name, such as `item_{name}`"
        );
    }
    Ok(())
}

/// Returns the regular English plural.
fn plural_of(name: &str) -> String {
    let stem = name.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    if let Some(stem) = stem {
        format!("{stem}ies")
    } else if ["s", "x", "z", "ch", "sh"].iter().any(|end| name.ends_with(end)) {
        format!("{name}es")
    } else {
        format!("{name}s")
    }
}

fn camel_case(name: &str) -> String {
    let word =
        |word: &str| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default();
    name.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str, plural: Option<&str>, fields: &[&str]) -> String {
        let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
        Resource::new(name, plural, &fields).unwrap_err().to_string()
    }

    #[test]
    fn names_of_types_and_plurals_are_derived() {
        for (name, plural, types) in [
            ("book", "books", ("Book", "Books")),
            ("tv_series", "tv_serieses", ("TvSeries", "TvSerieses")),
            ("city", "cities", ("City", "Cities")),
            ("play", "plays", ("Play", "Plays")),
            ("fox", "foxes", ("Fox", "Foxes")),
            ("batch2", "batch2s", ("Batch2", "Batch2s")),
        ] {
            let resource = Resource::new(name, None, &[]).unwrap();
            assert_eq!(resource.plural, plural);
            assert_eq!((resource.type_name().as_str(), resource.type_plural().as_str()), types);
        }
        assert_eq!(Resource::new("person", Some("people"), &[]).unwrap().plural, "people");
    }

    #[test]
    fn every_type_of_a_field_is_known() {
        for kind in Kind::ALL {
            let field: Field = format!("pages:{}", kind.proto()).parse().unwrap();
            assert_eq!(field, Field { name: "pages".to_owned(), kind: *kind });
        }
    }

    #[test]
    fn a_name_that_is_no_identifier_is_refused_with_what_is_expected() {
        for name in ["", "Book", "audio-book", "2nd", "a__b", "_a", "a_", "a b", "a_1", "é", "../a"] {
            let error = error(name, None, &[]);
            assert!(error.starts_with(&format!("the resource `{name}`: expected a name such as")), "{error}");
        }
        assert!(error("book", Some("Books"), &[]).starts_with("the plural `Books`: expected"));
        assert!(error("book", None, &["Pages:int32"]).starts_with("the field `Pages`: expected"));
    }

    #[test]
    fn a_reserved_word_is_refused_with_its_language() {
        assert!(
            error("type", None, &[]).starts_with("the resource `type`: the word is reserved in Rust: choose")
        );
        assert!(error("message", None, &[]).contains("the word is reserved in Protocol Buffers"));
        assert!(
            error("book", None, &["async:bool"]).contains("the field `async`: the word is reserved in Rust")
        );
        assert!(error("book", None, &["string:bool"]).contains("`string`: the word is reserved in Protocol"));
    }

    #[test]
    fn a_field_without_a_known_type_is_refused_with_the_known_ones() {
        assert!(
            error("book", None, &["pages"])
                .contains("the field `pages` has no type: expected FIELD:TYPE, such as")
        );
        for field in ["pages:", "pages:int", "pages:int32:", "pages:Int32"] {
            let error = error("book", None, &[field]);
            assert!(
                error.contains(&format!("`{field}` has an unknown type: expected one of string, int32,")),
                "{error}"
            );
        }
    }

    #[test]
    fn repeated_names_are_refused() {
        let twice = error("book", None, &["author:string", "author:int32"]);
        assert_eq!(twice, "the field `author` is given twice: leave one out, or rename it");
        assert!(error("book", None, &["id:string"]).contains("the field `id` is a part of every resource"));
        assert!(error("sheep", Some("sheep"), &[]).contains("give another one with --plural"));
    }
}
