"""What schemathesis has to know beyond the OpenAPI document, and the exceptions to its checks.

The values of some parameters are more limited than a schema can say. A rejection of such a value, by name, is not a failure.
Every other failure counts.
"""

import json

import schemathesis
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

# Parameters and fields whose values a schema does not describe, by operation, with the reason.
INDESCRIBABLE = {
    "ListMovies": {
        "pageToken": "opaque: issued by the service",
        "orderBy": "a grammar of its own (AIP-132)",
        "filter.ratingMin": "a float of 32 bits, which has no larger numbers",
    },
    "SearchMovies": {
        "pageToken": "opaque: issued by the service",
        "orderBy": "a grammar of its own (AIP-132)",
        "filter.ratingMin": "a float of 32 bits, which has no larger numbers",
    },
    "CreateMovie": {
        "requestId": "may not belong to another movie",
        "idempotency-key": "UTF-8, which headers of HTTP need not be",
    },
    "UpdateMovie": {
        "id": "the id of the body may not differ from that of the path",
        "etag": "the etag of the body may not differ from If-Match",
        "title": "required if allowMissing creates the movie",
    },
}

# Texts of these formats, which JSON Schema does not define.
schemathesis.openapi.format("int64", st.integers(0, 10**12).map(str))
schemathesis.openapi.format("field-mask", st.lists(st.sampled_from(["year", "posterUri", "genres"])).map(",".join))
schemathesis.openapi.format("uri", st.from_regex(r"https://[a-z]{1,20}(\.[a-z]{2,5})?(/[a-z0-9]{0,20}){0,3}", fullmatch=True))


@st.composite
def lines(draw):
    """Newline-delimited JSON: movies, some of them invalid, which an import counts."""
    movie = st.fixed_dictionaries(
        {"id": st.text(min_size=1, max_size=130)},
        optional={"title": st.text(max_size=20), "year": st.integers(-1, 3000), "genres": st.lists(st.text(max_size=3))},
    )
    return "".join(json.dumps(movie) + "\n" for movie in draw(st.lists(movie, max_size=5))).encode()


schemathesis.openapi.media_type("application/x-ndjson", lines())


@schemathesis.hook
def map_case(context, case):
    """Makes parts of a request agree that name the same thing. Requests that are meant to be invalid stay as they are."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return case
    body, headers = case.body, case.headers or {}
    if isinstance(body, dict) and "id" in (case.path_parameters or {}):
        body.pop("id", None)
    if "If-Match" in headers:
        # Few etags that are made up are those of a movie.
        headers["If-Match"] = "*"
        for values in (body, case.query):
            if isinstance(values, dict):
                values.pop("etag", None)
    if "Idempotency-Key" in headers and case.query:
        case.query.pop("requestId", None)
    for opaque in ("pageToken", "resumeToken"):
        if case.query:
            case.query.pop(opaque, None)
    return case


def violations(response):
    """Returns the names of the fields that an error response names."""
    try:
        details = response.json()["error"]["details"]
    except (ValueError, KeyError, TypeError):
        return set()
    return {violation["field"] for detail in details for violation in detail.get("fieldViolations", [])}


def canonical(value, schema):
    """Returns a JSON object as the service writes it: protobuf also reads null or "" for an unset field, and numbers as texts."""
    result = {}
    for name, member in value.items():
        kind = schema["properties"].get(name, {})
        is_number = isinstance(member, (int, float)) and not isinstance(member, bool)
        if member in (None, "") and kind:
            continue
        if kind.get("format") == "int64" and is_number and member == int(member):
            member = str(int(member))
        elif kind.get("type") in ("integer", "number") and isinstance(member, str):
            try:
                member = float(member)
            except ValueError:
                pass
        result[name] = member
    return result


def is_valid_protobuf_json(case):
    """Returns whether the body of a request is valid as the JSON of a message, though not in its canonical form."""
    document = case.operation.schema.raw_schema
    content = case.operation.definition.raw.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref")
    if reference is None or not isinstance(case.body, dict):
        return False
    schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
    body = case.body
    mask = (case.query or {}).get("updateMask")
    if mask:
        # An update does not read the fields that its mask leaves out.
        body = {name: member for name, member in body.items() if name in mask.split(",")}
    return Draft202012Validator(schema).is_valid(canonical(body, schema))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    kind = failure.__class__.__name__
    if kind == "RejectedPositiveData" and response.status_code == 400:
        indescribable = INDESCRIBABLE.get(case.operation.definition.raw.get("operationId"), {})
        named = violations(response)
        return not named or not named <= set(indescribable)
    if kind == "AcceptedNegativeData" and "in body" in failure.message:
        return not is_valid_protobuf_json(case)
    return True
