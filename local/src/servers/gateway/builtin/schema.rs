//! A value that fits a JSON schema, always the same one.

use serde_json::{Map, Value, json};

/// Schemas may contain themselves.
const DEEPEST: usize = 12;

/// How much may still be written and looked at, about in bytes: a few lines of schema may describe a value that fits into no
/// memory. What has no room is null, or left out.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(64 * 1024)
    }
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

/// A value of this schema, as far as there is room.
pub(super) fn fill(schema: &Value, room: &mut Room) -> Value {
    fill_at(schema, schema, 0, room)
}

fn fill_at(schema: &Value, root: &Value, depth: usize, room: &mut Room) -> Value {
    if !room.take(2) || depth > DEEPEST {
        return Value::Null;
    }
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|all| all.first());
    let fixed = schema.get("const").or_else(|| schema.get("default")).or_else(|| first("enum"));
    if let Some(fixed) = fixed.or_else(|| first("examples")) {
        return if room.take(fixed.to_string().len()) { fixed.clone() } else { Value::Null };
    }
    let path = schema.get("$ref").and_then(Value::as_str).filter(|path| room.take(path.len()));
    if let Some(target) = path.and_then(|path| root.pointer(path.strip_prefix('#')?)) {
        return fill_at(target, root, depth + 1, room);
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        let mut all = schema.get(choices).and_then(Value::as_array).into_iter().flatten();
        let fits = |one: &&Value| !room.take(1) || one.get("type").and_then(Value::as_str) != Some("null");
        if let Some(first) = all.find(fits) {
            return fill_at(first, root, depth + 1, room);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().take_while(|_| room.take(1)).filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    };
    match kind {
        "object" => {
            let mut object = Map::new();
            for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if !room.take(name.len()) {
                    break;
                }
                object.insert(name.clone(), fill_at(schema, root, depth + 1, room));
            }
            Value::Object(object)
        }
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 100);
            let text = json!({ "const": "text" });
            let of = schema.get("items").unwrap_or(&text);
            (0..least).map_while(|_| (room.0 > 0).then(|| fill_at(of, root, depth + 1, room))).collect()
        }
        "integer" | "number" => number(schema),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => Some(text(schema)).filter(|text| room.take(text.len())).map_or(Value::Null, Value::from),
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
            assert_eq!(fill(&schema, &mut Room::default()), value, "{schema}");
        }
        let endless = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
        assert!(fill(&endless, &mut Room::default()).to_string().len() < 1000);
    }

    #[test]
    fn a_few_lines_never_become_more_than_there_is_room_for() {
        let many = json!({ "type": "array", "items": { "$ref": "#" }, "minItems": 100 });
        let tree = json!({ "properties": { "a": { "$ref": "#" }, "b": many, "c": { "$ref": "#" } } });
        let long = json!({ "items": { "type": "string", "minLength": 10_000 }, "minItems": 100 });
        let copies = json!({ "items": { "const": "x".repeat(40_000) }, "minItems": 100 });
        let names = json!({ "properties": { "x".repeat(40_000): { "$ref": "#" }, "y".repeat(40_000): {} } });
        let detours: Vec<Value> = vec![json!({ "type": "null" }); 50_000];
        let detours = json!({ "items": { "anyOf": detours }, "minItems": 100 });
        for schema in [many, tree, long, copies, names, detours] {
            let mut room = Room::default();
            let filled = fill(&schema, &mut room).to_string();
            assert!(filled.len() < 256 * 1024, "{}", filled.len());
            assert_eq!(fill(&schema, &mut room), Value::Null, "and there is no more room for another");
        }
    }
}
