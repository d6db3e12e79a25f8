//! The built-in functions that a policy may call: a closed list, and for well-known others the reason why not.
//!
//! A function is here when its answer depends on nothing but its arguments, agrees with OPA's, and its cost is bounded by
//! what it is given. All others that the engine knows are refused when a bundle is loaded.

/// Whether a policy may call the engine's built-in `name`.
pub(crate) fn is_available(name: &str) -> bool {
    AVAILABLE.binary_search(&name).is_ok()
}

/// Why `name` is not available.
pub(crate) fn why_not(name: &str) -> &'static str {
    REASONS
        .iter()
        .find(|(prefix, _)| name == *prefix || prefix.ends_with('.') && name.starts_with(prefix))
        .map_or("it is not on the list of safe functions", |(_, reason)| {
            reason
        })
}

/// Sorted, for [`is_available`].
const AVAILABLE: [&str; 69] = [
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "product",
    "regex.find_all_string_submatch_n",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "replace",
    "round",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
];

/// The first entry that fits is said; one that ends with `.` stands for all names below it.
const REASONS: [(&str, &str); 19] = [
    (
        "http.send",
        "a decision opens no connection; put the facts in `data`",
    ),
    (
        "opa.runtime",
        "a decision must not depend on the machine; use `input.context`",
    ),
    (
        "rand.",
        "a decision must be the same when it is taken again",
    ),
    (
        "uuid.",
        "a decision must be the same when it is taken again",
    ),
    (
        "time.now_ns",
        "a decision must be the same when it is taken again; use `input.context.time`",
    ),
    (
        "time.",
        "there is no calendar here; `input.context.time` sorts as text",
    ),
    (
        "numbers.",
        "its result can be too large for memory; write the list down",
    ),
    (
        "bits.lsh",
        "its result can be too large for memory; multiply instead",
    ),
    (
        "bits.rsh",
        "its answer for a negative shift is not that of OPA; divide instead",
    ),
    (
        "walk",
        "its paths differ from those of OPA; name the members",
    ),
    (
        "graph.",
        "its answers differ from those of OPA; write the paths down",
    ),
    (
        "strings.count",
        "its answer for overlapping matches differs from that of OPA",
    ),
    (
        "json.match_schema",
        "the shape of its answer differs from that of OPA",
    ),
    (
        "json.verify_schema",
        "the shape of its answer differs from that of OPA",
    ),
    (
        "regex.template_match",
        "it is not checked against OPA; use `regex.match`",
    ),
    (
        "glob.",
        "use `startswith`, `endswith` or `regex.match`, whose reading of a name with `*` or `[` is plain",
    ),
    (
        "units.",
        "its answers for very large numbers are not bounded; write the number down",
    ),
    (
        "print",
        "a decision writes nothing; print in a `_test.rego` file",
    ),
    ("trace", "a decision writes nothing"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_known_to_the_engine() {
        assert!(AVAILABLE.is_sorted());
        for name in AVAILABLE {
            assert!(
                regorus::unstable::BUILTINS.contains_key(name),
                "{name} is not in the engine"
            );
        }
    }

    #[test]
    fn every_other_function_has_its_reason() {
        assert!(!is_available("http.send") && !is_available("rand.intn"));
        assert!(why_not("rand.intn").contains("again"));
        assert!(why_not("numbers.range").contains("memory"));
        assert!(why_not("no.such").contains("list"));
    }
}
