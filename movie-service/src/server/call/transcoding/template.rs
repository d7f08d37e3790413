//! Path templates of HTTP rules (the grammar in google/api/http.proto).

use percent_encoding::percent_decode_str;

/// A path template: literal segments, and variables of one segment. A verb, such as `:search`, belongs to its literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Segment>);

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// A variable, by the path of the field that it sets.
    Variable(String),
}

/// A value of a path is not valid UTF-8 after percent-decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

impl Template {
    /// Parses a template; `None` if it is invalid, or has a variable that is more than one whole segment.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let segments = text.strip_prefix('/')?.split('/').map(|segment| {
            let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let name = variable.unwrap_or(segment);
            let is_valid = !name.is_empty() && !name.contains(['{', '}', '*', '=']);
            is_valid.then(|| match variable {
                Some(_) => Segment::Variable(name.to_owned()),
                None => Segment::Literal(name.to_owned()),
            })
        });
        segments.collect::<Option<_>>().map(Self)
    }

    /// Returns the paths of the fields that the variables set, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Variable(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Returns the literal part before the first variable, such as `/v1/movies/`.
    pub(crate) fn prefix(&self) -> String {
        let literals = self.0.iter().map_while(|segment| match segment {
            Segment::Literal(literal) => Some(literal.as_str()),
            Segment::Variable(_) => None,
        });
        literals.fold("/".to_owned(), |prefix, literal| prefix + literal + "/")
    }

    /// Returns whether the path of a request has the form of the template.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut segments = path.split('/');
        let is_match = self.0.iter().all(|expected| match (expected, segments.next()) {
            (Segment::Literal(literal), Some(segment)) => literal == segment,
            (Segment::Variable(_), Some(segment)) => !segment.is_empty(),
            (_, None) => false,
        });
        is_match && segments.next().is_none()
    }

    /// Returns the decoded values of the variables in a path that matches, in order.
    pub(crate) fn values(&self, path: &str) -> Result<Vec<String>, InvalidUtf8> {
        let segments = path.strip_prefix('/').unwrap_or_default().split('/');
        self.0
            .iter()
            .zip(segments)
            .filter(|(expected, _)| matches!(expected, Segment::Variable(_)))
            .map(|(_, segment)| {
                percent_decode_str(segment).decode_utf8().map(Into::into).map_err(|_| InvalidUtf8)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_by_its_segments() {
        let movie = Template::parse("/v1/movies/{movie.id}").unwrap();
        assert_eq!(movie.variables().collect::<Vec<_>>(), ["movie.id"]);
        assert_eq!(movie.prefix(), "/v1/movies/");
        for (path, value) in [
            ("/v1/movies/7", Ok("7")),
            ("/v1/movies/a%2Fb%20c", Ok("a/b c")),
            ("/v1/movies/a:b+c", Ok("a:b+c")),
            ("/v1/movies/..", Ok("..")),
            ("/v1/movies/%00", Ok("\0")),
            ("/v1/movies/%4", Ok("%4")),
            ("/v1/movies/%ff", Err(InvalidUtf8)),
        ] {
            assert!(movie.matches(path), "{path}");
            assert_eq!(movie.values(path), value.map(|value| vec![value.to_owned()]), "{path}");
        }
        for path in [
            "",
            "/",
            "v1/movies/7",
            "/v1/movies",
            "/v1/movies/",
            "/v1/movies/7/",
            "//v1/movies/7",
            "/v1/Movies/7",
        ] {
            assert!(!movie.matches(path), "{path}");
        }
    }

    #[test]
    fn a_verb_is_part_of_its_segment() {
        let search = Template::parse("/v1/movies:search").unwrap();
        assert!(search.matches("/v1/movies:search"));
        assert!(!search.matches("/v1/movies") && !search.matches("/v1/movies:searches"));
    }

    #[test]
    fn templates_that_need_more_are_refused() {
        for text in
            ["", "v1", "/v1/{name=movies/*}", "/v1/**", "/v1//a", "/v1/{}", "/v1/{id}:publish", "/v1/a{id}"]
        {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }
}
