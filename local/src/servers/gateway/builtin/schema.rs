//! A value that fits a JSON schema, always the same one.

use serde_json::{Map, Value, json};

/// Schemas may contain themselves.
const DEEPEST: usize = 12;

pub(super) fn fill(schema: &Value) -> Value {
    fill_at(schema, schema, 0)
}

fn fill_at(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let next = |schema: &Value| fill_at(schema, root, depth + 1);
    if let Some(fixed) = schema.get("const").or_else(|| schema.get("default")) {
        return fixed.clone();
    }
    for choices in ["enum", "examples"] {
        if let Some(first) = schema.get(choices).and_then(Value::as_array).and_then(|all| all.first()) {
            return first.clone();
        }
    }
    if let Some(target) =
        schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.strip_prefix('#')?))
    {
        return next(target);
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        let all = schema.get(choices).and_then(Value::as_array).into_iter().flatten();
        if let Some(first) = all.into_iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")) {
            return next(first);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    };
    match kind {
        "object" => {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(properties.map(|(name, schema)| (name.clone(), next(schema))).collect::<Map<_, _>>())
        }
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 100);
            let item = schema.get("items").map_or_else(|| json!("text"), next);
            (0..least).map(|_| item.clone()).collect()
        }
        "integer" | "number" => number(schema),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(text(schema)),
    }
}

fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|above| above.floor() + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|below| below.ceil() - 1.0));
    let value = least.unwrap_or_else(|| most.map_or(1.0, |most| most.min(1.0)));
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(1.0);
    let value = (value / step).ceil() * step;
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

fn text(schema: &Value) -> String {
    let sized = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("date") => "2026-01-01",
        Some("time") => "00:00:00Z",
        Some("email") => "ada@example.com",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("uri" | "url") => "https://example.com/",
        _ => "text",
    };
    let least = sized("minLength").unwrap_or_default().min(10_000);
    let text = text.repeat(least.div_ceil(text.len()).max(1));
    text.chars().take(sized("maxLength").unwrap_or(usize::MAX).max(least)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_schema() {
        for (schema, value) in [
            (json!({ "type": "string" }), json!("text")),
            (json!({ "type": "string", "maxLength": 2 }), json!("te")),
            (json!({ "type": "string", "minLength": 6 }), json!("texttext")),
            (json!({ "type": "string", "format": "date" }), json!("2026-01-01")),
            (json!({ "enum": ["b", "a"] }), json!("b")),
            (json!({ "const": 7 }), json!(7)),
            (json!({ "type": "integer", "minimum": 5 }), json!(5)),
            (json!({ "type": "integer", "exclusiveMinimum": 5, "multipleOf": 4 }), json!(8)),
            (json!({ "type": "number", "maximum": 0 }), json!(0)),
            (json!({ "type": ["null", "boolean"] }), json!(true)),
            (json!({ "type": "array", "items": { "type": "integer" }, "minItems": 2 }), json!([1, 1])),
            (json!({ "anyOf": [{ "type": "null" }, { "type": "boolean" }] }), json!(true)),
            (
                json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b" } }, "$defs": { "b": { "type": "integer" } } }),
                json!({ "a": 1 }),
            ),
        ] {
            assert_eq!(fill(&schema), value, "{schema}");
        }
        let endless = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
        assert!(fill(&endless).to_string().len() < 1000);
    }
}
