import { failure } from "../error.js";

/** JSON Schema of a Standard Schema (zod, valibot, arktype, …), or what is JSON Schema already. */
export function jsonSchemaOf(schema) {
  const standard = schema?.["~standard"];
  if (!standard) return schema;
  if (standard.jsonSchema) return standard.jsonSchema.input({ target: "draft-07" });
  const hint =
    "Update the schema library, or convert the schema (for valibot: toStandardJsonSchema of @valibot/to-json-schema).";
  throw failure("invalid_config", `the schema of ${standard.vendor} does not tell its JSON Schema. ${hint}`);
}

/** What a schema makes of a value that the model wrote; the issues are the error's cause. */
export async function validated(schema, value, what) {
  const { value: valid, issues } = (await schema["~standard"]?.validate(value)) ?? { value };
  if (!issues) return valid;
  const path = (issue) => (issue.path ?? []).map((part) => part.key ?? part).join(".");
  const said = issues.map((issue) => [path(issue), issue.message].filter(Boolean).join(": "));
  throw failure("invalid_response", `${what} does not fit its schema: ${said.join("; ")}`, issues);
}

/** The JSON of an answer, also where the model put it in a block of code. */
export function jsonOf(text, what) {
  try {
    // No pattern for the white space around it: models that go astray write thousands of blanks, and it would try them all.
    return JSON.parse(text.trim().replace(/^```(?:json)?([^]*)```$/, (_block, code) => code.trim()));
  } catch (cause) {
    throw failure("invalid_response", `${what} is not JSON`, cause);
  }
}
