//! The routes: which HTTP request calls which RPC, from the annotations of the contract.

use std::sync::Arc;

use http::Method;
use prost_reflect::{
    Cardinality, DescriptorError, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};
use tonic::Status;

use crate::rpc::{Kind as RpcKind, Rpc};
use crate::server::call::transcoding::error::{ErrorObject, ErrorWriter};
use crate::server::call::transcoding::json_writer::{JsonWriter, UnsupportedField};
use crate::server::call::transcoding::parameter;
use crate::server::call::transcoding::template::Template;

/// The annotation of a method with its HTTP rule.
const HTTP_RULE: &str = "google.api.http";

/// The annotation of a file with HTTP rules for methods of other files.
const HTTP_RULES: &str = "movie.http.rules";

/// An RPC that can be called over HTTP.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) rpc: Rpc,
    pub(crate) method: Method,
    pub(crate) template: Template,
    pub(crate) request: MessageDescriptor,
    pub(crate) response: MessageDescriptor,
    pub(crate) body: BodyBinding,
    /// The paths of the fields that query parameters can set, in JSON names.
    pub(crate) parameters: Vec<String>,
    /// Writes a response message.
    pub(crate) writer: JsonWriter,
    /// Whether the response is a stream of messages.
    pub(crate) is_streaming: bool,
    /// The path of the field of the request with the expected etag of the resource (AIP-154), if there is one.
    pub(crate) etag_path: Option<String>,
    /// The number of the field with the version of the response, if it has one.
    pub(crate) etag: Option<u32>,
    /// The number of the field from which a stream resumes, if messages of the response have one.
    pub(crate) resume_token: Option<u32>,
    errors: ErrorWriter,
    /// The path of the resource that the request creates, with the field of the response that completes it.
    pub(crate) created: Option<(String, FieldDescriptor)>,
}

/// What the body of a request sets.
#[derive(Debug)]
pub(crate) enum BodyBinding {
    /// Nothing: there is no body.
    None,
    /// A field of the request message.
    Field(FieldDescriptor),
    /// A repeated field of streamed request messages: each line of the body is an element.
    Elements(FieldDescriptor),
}

/// All routes.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Arc<Route>>);

/// An annotation of the contract that this service cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoutesError {
    #[error("the descriptors of the contract are invalid")]
    Descriptors(#[from] DescriptorError),
    #[error("the HTTP rule of {method} is not supported: {problem}")]
    Rule { method: String, problem: &'static str },
    #[error("the response of {method} cannot be written as JSON")]
    Response { method: String, source: UnsupportedField },
}

impl Routes {
    /// Reads the annotations in `descriptors`.
    ///
    /// # Errors
    ///
    /// [`RoutesError`] if the descriptors are invalid, or a rule is not supported.
    pub(crate) fn new(descriptors: &DescriptorPool) -> Result<Self, RoutesError> {
        let (mut routes, errors) = (Vec::new(), ErrorWriter::new(descriptors));
        let methods = || descriptors.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        if let Some(extension) = descriptors.get_extension_by_name(HTTP_RULE) {
            for method in methods() {
                let options = method.options();
                if options.has_extension(&extension)
                    && let Value::Message(rule) = options.get_extension(&extension).as_ref()
                {
                    routes.push(Route::new(&method, rule, &errors)?);
                }
            }
        }
        if let Some(extension) = descriptors.get_extension_by_name(HTTP_RULES) {
            for file in descriptors.files() {
                let options = file.options();
                let Value::Message(rules) = options.get_extension(&extension).into_owned() else { continue };
                for rule in messages(&rules, "rules") {
                    let selector = text(&rule, "selector");
                    let method = methods().find(|method| method.full_name() == selector);
                    let method = method.ok_or_else(|| unsupported(&selector, "there is no such method"))?;
                    routes.push(Route::new(&method, &rule, &errors)?);
                }
            }
        }
        link_created(&mut routes);
        Ok(Self(routes.into_iter().map(Arc::new).collect()))
    }

    /// Returns the route of a request.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| route.method == *method && route.template.matches(path))
    }

    /// Returns the methods of all routes with this path.
    pub(crate) fn methods(&self, path: &str) -> impl Iterator<Item = &Method> {
        self.0.iter().filter(move |route| route.template.matches(path)).map(|route| &route.method)
    }

    /// Returns all routes, in the order of the contract.
    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Arc<Route>] {
        &self.0
    }
}

impl Route {
    fn new(
        method: &MethodDescriptor,
        rule: &DynamicMessage,
        errors: &ErrorWriter,
    ) -> Result<Self, RoutesError> {
        let name = method.full_name();
        let refuse = |problem| unsupported(name, problem);
        let pattern = [
            ("get", Method::GET),
            ("put", Method::PUT),
            ("post", Method::POST),
            ("delete", Method::DELETE),
            ("patch", Method::PATCH),
        ];
        let pattern = pattern.into_iter().find(|(field, _)| rule.has_field_by_name(field));
        let (field, verb) = pattern.ok_or_else(|| refuse("expected get, put, post, delete or patch"))?;
        let template = Template::parse(&text(rule, field));
        let template = template.ok_or_else(|| refuse("expected a path of literals and whole segments"))?;
        let rpc = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let rpc = Rpc::find(&rpc)
            .ok_or_else(|| refuse("the table of movie-service/src/rpc.rs has no entry for it"))?;
        let request = method.input();
        let body = match text(rule, "body").as_str() {
            "" => BodyBinding::None,
            field => {
                let field = request.get_field_by_name(field);
                let field = field.ok_or_else(|| refuse("expected a body that is a field of the request"))?;
                if field.is_list() && rpc.kind == RpcKind::Import {
                    BodyBinding::Elements(field)
                } else {
                    BodyBinding::Field(field)
                }
            }
        };
        if method.is_client_streaming() != matches!(body, BodyBinding::Elements(_)) {
            return Err(refuse("a stream of requests needs a repeated field as its body, and only a stream"));
        }
        for variable in template.variables() {
            if parameter::resolve(&request, variable).is_none() {
                return Err(refuse("expected variables that are fields of the request"));
            }
        }
        let bound = body.name();
        let variables: Vec<_> =
            template.variables().map(|path| parameter::json_path(&request, path)).collect();
        let mut parameters = parameter::all(&request);
        parameters.retain(|path| {
            let is_bound = bound.is_some_and(|field| path.split('.').next() == Some(field));
            !is_bound && !variables.contains(path)
        });
        let etag_path = bound.map_or_else(|| "etag".to_owned(), |field| format!("{field}.etag"));
        let etag_path = parameter::resolve(&request, &etag_path).map(|_| etag_path);
        let response = method.output();
        let number = |name| response.get_field_by_name(name).map(|field| field.number());
        let (etag, resume_token) = (number("etag"), number("resume_token"));
        let writer = JsonWriter::new(&response)
            .map_err(|source| RoutesError::Response { method: name.to_owned(), source })?;
        Ok(Self {
            rpc,
            method: verb,
            template,
            request,
            response,
            body,
            parameters,
            writer,
            is_streaming: method.is_server_streaming(),
            etag_path,
            etag,
            resume_token,
            errors: errors.clone(),
            created: None,
        })
    }

    /// Returns the error object for the status of a call.
    pub(crate) fn error(&self, status: &Status) -> ErrorObject {
        self.errors.object(status, &self.request, self.body.name())
    }
}

impl BodyBinding {
    /// Returns the JSON name of the field.
    fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Field(field) | Self::Elements(field) => Some(field.json_name()),
        }
    }
}

/// Finds for each POST request the GET request that returns the same resource by a field of it.
fn link_created(routes: &mut [Route]) {
    let resources: Vec<_> = routes
        .iter()
        .filter(|route| route.method == Method::GET && !route.is_streaming)
        .filter_map(|route| {
            let [variable] = route.template.variables().collect::<Vec<_>>()[..] else { return None };
            let field = route.response.get_field_by_name(variable)?;
            let prefix = route.template.prefix();
            (field.kind() == Kind::String && field.cardinality() != Cardinality::Repeated).then_some((
                prefix,
                route.response.clone(),
                field,
            ))
        })
        .collect();
    for route in routes.iter_mut().filter(|route| route.method == Method::POST) {
        let resource = resources.iter().find(|(_, response, _)| *response == route.response);
        route.created = resource.map(|(prefix, _, field)| (prefix.clone(), field.clone()));
    }
}

fn unsupported(method: &str, problem: &'static str) -> RoutesError {
    RoutesError::Rule { method: method.to_owned(), problem }
}

/// Returns a field of text; empty if it is unset.
fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Returns the messages of a repeated field.
fn messages(message: &DynamicMessage, field: &str) -> Vec<DynamicMessage> {
    let value = message.get_field_by_name(field);
    let list = value.as_deref().and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_message).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rpc::Service;

    /// RPCs that have no route: they stream in both directions, and over HTTP a request ends before its response begins.
    const WITHOUT_ROUTE: [&str; 1] = ["/movie.catalog.v1.MovieCatalog/LookupMovies"];

    fn routes() -> Routes {
        Routes::new(&DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap()).unwrap()
    }

    #[test]
    fn every_rpc_of_the_contracts_has_a_route() {
        let routed: BTreeSet<_> = routes().all().iter().map(|route| route.rpc.path).collect();
        let expected: BTreeSet<_> = Rpc::all()
            .filter(|rpc| matches!(rpc.service, Service::Movie | Service::Catalog))
            .map(|rpc| rpc.path)
            .filter(|path| !WITHOUT_ROUTE.contains(path))
            .collect();
        assert_eq!(routed, expected);
    }

    #[test]
    fn a_request_has_one_route() {
        let routes = routes();
        for (method, path, rpc) in [
            (Method::GET, "/v1/movies/7", "GetMovie"),
            (Method::PATCH, "/v1/movies/7", "UpdateMovie"),
            (Method::DELETE, "/v1/movies/7", "DeleteMovie"),
            (Method::GET, "/v1/movies", "ListMovies"),
            (Method::POST, "/v1/movies", "CreateMovie"),
            (Method::GET, "/v1/movies:batchGet", "BatchGetMovies"),
            (Method::GET, "/v1/movies:search", "SearchMovies"),
            (Method::POST, "/v1/movies:import", "ImportMovies"),
            (Method::GET, "/v1/movies:watch", "WatchMovies"),
            (Method::GET, "/v1/catalog", "GetCatalog"),
            (Method::GET, "/v1/course/movies/7", "GetMovieByID"),
            (Method::GET, "/v1/course/movies", "GetListMovies"),
        ] {
            let matching: Vec<_> = routes
                .all()
                .iter()
                .filter(|route| route.method == method && route.template.matches(path))
                .collect();
            let [route] = matching[..] else { panic!("{method} {path} has {} routes", matching.len()) };
            assert!(route.rpc.path.ends_with(&format!("/{rpc}")), "{method} {path}: {:?}", route.rpc);
        }
        assert!(routes.find(&Method::PUT, "/v1/movies/7").is_none());
        assert_eq!(
            routes.methods("/v1/movies/7").collect::<Vec<_>>(),
            [Method::GET, Method::PATCH, Method::DELETE]
        );
    }

    #[test]
    fn a_created_resource_is_found_by_its_get_request() {
        let routes = routes();
        let create = routes.find(&Method::POST, "/v1/movies").unwrap();
        let (prefix, field) = create.created.as_ref().unwrap();
        assert_eq!((prefix.as_str(), field.name()), ("/v1/movies/", "id"));
        assert!(routes.find(&Method::POST, "/v1/movies:import").unwrap().created.is_none());
    }

    #[test]
    fn query_parameters_are_the_fields_that_neither_path_nor_body_sets() {
        let routes = routes();
        let parameters = |method, path| routes.find(&method, path).unwrap().parameters.clone();
        assert!(parameters(Method::GET, "/v1/movies/7").is_empty());
        assert_eq!(parameters(Method::PATCH, "/v1/movies/7"), ["updateMask", "allowMissing"]);
        assert_eq!(parameters(Method::DELETE, "/v1/movies/7"), ["etag", "allowMissing"]);
        assert_eq!(parameters(Method::POST, "/v1/movies"), ["requestId"]);
        let list = parameters(Method::GET, "/v1/movies");
        assert_eq!(list[..3], ["pageSize", "pageToken", "filter.yearFrom"]);
    }
}
