/* SPDX-License-Identifier: MIT */
/*
 * check_schema_bad.c - schemas that are refused, with path and keyword; that have no value; that
 * would take for ever.
 */
#include "config.h"

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "server/schema.h"
#include "unit/schema-run.h"
#include "unit/shape-run.h"

/* path "" is the schema itself. */
static const struct {
    const char *schema, *param, *says;
} refused[] = {
    {"{\"not\":{}}", ".not", "s: the keyword \"not\" is not supported"},
    {"{\"properties\":{\"a\":{\"not\":{}}}}", ".properties.a.not",
     "s.properties.a: the keyword \"not\" is not supported"},
    {"{\"anyOf\":[{},{\"if\":{}}]}", ".anyOf[1].if", "s.anyOf[1]: the keyword \"if\""},
    {"{\"$defs\":{\"d\":{\"then\":{}}},\"items\":{\"$ref\":\"#/$defs/d\"}}", ".$defs.d.then",
     "then"},
    {"{\"patternProperties\":{}}", ".patternProperties", "patternProperties"},
    {"{\"unevaluatedProperties\":false}", ".unevaluatedProperties", ""},
    {"{\"dependentRequired\":{}}", ".dependentRequired", ""},
    {"{\"contains\":{}}", ".contains", ""},
    {"{\"uniqueItems\":true}", ".uniqueItems", "only false"},
    {"{\"propertyNames\":{\"pattern\":\"a\"}}", ".propertyNames", ""},
    {"{\"type\":\"text\"}", ".type", "name of a type"},
    {"{\"type\":[]}", ".type", ""},
    {"{\"minLength\":-1}", ".minLength", "not negative"},
    {"{\"minLength\":1.5}", ".minLength", ""},
    {"{\"maxItems\":\"3\"}", ".maxItems", ""},
    {"{\"minimum\":true}", ".minimum", "expected a number"},
    {"{\"exclusiveMinimum\":true,\"minimum\":1}", ".exclusiveMinimum", ""},
    {"{\"minimum\":9007199254740993}", ".minimum", "kept exactly"},
    {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", ".minimum", "no number"},
    {"{\"type\":\"integer\",\"multipleOf\":7}", ".multipleOf", "at most 500"},
    {"{\"multipleOf\":0}", ".multipleOf", "above 0"},
    {"{\"enum\":[]}", ".enum", ""},
    {"{\"type\":\"integer\",\"enum\":[\"a\"]}", ".enum", "no value fits"},
    {"{\"enum\":[\"a\"],\"minLength\":1}", ".minLength", "together with enum"},
    {"{\"enum\":[9007199254740993000]}", ".enum", "exactly"},
    {"{\"format\":\"regex\"}", ".format", "\"regex\" is not supported"},
    {"{\"pattern\":\"(?=a)\"}", ".pattern", "look-around"},
    {"{\"pattern\":\"(\"}", ".pattern", "parenthesis"},
    {"{\"pattern\":\"^(a+b+)$\",\"maxLength\":5}", ".pattern", "write the bounds into it"},
    {"{\"pattern\":\"a\",\"format\":\"date\"}", ".format", "only one pattern or format"},
    {"{\"minLength\":3,\"maxLength\":2}", ".minLength", ""},
    {"{\"$ref\":\"#/a/b\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"other.json\"}", ".$ref", "into this schema"},
    {"{\"$ref\":\"#\"}", ".$ref", "leads back to itself"},
    {"{\"$ref\":\"#/title\",\"title\":\"x\"}", ".$ref", "no schema"},
    {"{\"allOf\":[{\"$ref\":\"#\"}]}", "", "contains itself"},
    {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":[\"string\",\"null\"]}]}", ".oneOf", "0 and 1"},
    {"{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"integer\"}]}", ".oneOf", ""},
    {"{\"properties\":{\"a\":1}}", ".properties", "object of schemas"},
    {"{\"properties\":{\"a\":false},\"required\":[\"a\"]}", ".required", "\"a\""},
    {"{\"required\":[\"a\"],\"properties\":{},\"additionalProperties\":false}", ".required", ""},
    {"{\"minProperties\":2}", ".minProperties", ""},
    {"{\"items\":[{}]}", ".items", "expected a schema"},
    {"{\"type\":\"array\",\"minItems\":2,\"maxItems\":1}", ".minItems", ""},
    {"{\"anyOf\":[false]}", ".anyOf", "no branch"},
    {"{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "", "no value can match"},
    {"{\"items\":{\"$id\":\"x\",\"type\":\"null\"}}", ".items.$id", ""},
    {"false", "", "no value can match"},
    {"{\"required\":\"a\"}", ".required", "expected an array of strings"},
    {"{\"required\":[1]}", ".required", "expected an array of strings"},
    {"{\"allOf\":[]}", ".allOf", "expected an array of schemas, not empty"},
    {"{\"anyOf\":{}}", ".anyOf", "expected an array of schemas, not empty"},
    {"{\"anyOf\":[1]}", ".anyOf", "expected an array of schemas: objects, true or false"},
    {"{\"properties\":[]}", ".properties", "expected an object of schemas"},
    {"{\"$ref\":\"#/anyOf/1\",\"anyOf\":[{}]}", ".$ref", "\"#/anyOf/1\" is not there"},
    {"{\"$ref\":\"#/anyOf/x\",\"anyOf\":[{}]}", ".$ref", "\"#/anyOf/x\" is not there"},
    {"{\"$ref\":\"#/title/x\",\"title\":\"t\"}", ".$ref", "\"#/title/x\" is not there"},
    {"{\"properties\":{\"a\":{},\"b\":{}},\"maxProperties\":1}", ".maxProperties",
     "only supported from the number of properties on"},
    {"{\"type\":\"integer\",\"minimum\":1,\"maximum\":6,\"multipleOf\":7}", ".multipleOf",
     "no multiple lies between the bounds"},
    {"{\"multipleOf\":1e-300}", ".multipleOf", "cannot be kept exactly"},
    {"{\"type\":\"integer\",\"allOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}",
     ".allOf[1].multipleOf", "holds twice for one value"},
    {"{\"$ref\":\"#/%zz\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"#/%4\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"#/%00\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"#/a~2\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"#/a~\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"#x\"}", ".$ref", "is not there"},
    {"{\"$ref\":\"#/anyOf/\",\"anyOf\":[{}]}", ".$ref", "is not there"},
    {"{\"$ref\":\"#/anyOf/1234567\",\"anyOf\":[{}]}", ".$ref", "is not there"},
    {"{\"type\":[\"string\",1]}", ".type", "name of a type"},
    {"{\"type\":1}", ".type", "name of a type"},
    {"{\"nullable\":1}", ".nullable", "true or false"},
    {"{\"maxLength\":1e16}", ".maxLength", "not negative"},
    {"{\"maximum\":\"1\"}", ".maximum", "expected a number"},
    {"{\"maximum\":1e999}", ".maximum", "expected a number"},
    {"{\"pattern\":1}", ".pattern", "expected a string"},
    {"{\"enum\":1}", ".enum", "at least one element"},
    {"{\"enum\":{}}", ".enum", "at least one element"},
    {"{\"items\":1}", ".items", "expected a schema"},
    {"{\"oneOf\":1}", ".oneOf", "not empty"},
    {"{\"required\":{}}", ".required", "array of strings"},
    {"{\"uniqueItems\":0}", ".uniqueItems", "only false"},
    {"{\"propertyNames\":1}", ".propertyNames", "every string"},
    {"{\"propertyNames\":false}", ".propertyNames", "every string"},
    {"{\"propertyNames\":{\"type\":\"integer\"}}", ".propertyNames", "every string"},
    {"{\"propertyNames\":{\"type\":\"string\",\"maxLength\":1}}", ".propertyNames", "every string"},
    {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":9,\"multipleOf\":10}", ".multipleOf",
     "no multiple lies"},
    {"{\"minimum\":1e20}", ".minimum", "kept exactly"},
    {"{\"maximum\":1e-20}", ".maximum", "kept exactly"},
    {"{\"multipleOf\":-1}", ".multipleOf", "above 0"},
    {"{\"minimum\":100000000000000,\"multipleOf\":0.001}", ".minimum", "together have more"},
    {"{\"maximum\":100000000000000,\"multipleOf\":0.001}", ".maximum", "together have more"},
    {"{\"exclusiveMinimum\":3,\"exclusiveMaximum\":3}", ".exclusiveMinimum", "no number lies"},
    {"{\"properties\":{\"a\":{}},\"additionalProperties\":{},\"minProperties\":1}",
     ".minProperties", "only supported up to"},
    {"{\"additionalProperties\":{},\"minProperties\":1,\"maxProperties\":0}", ".minProperties", ""},
    {"{\"additionalProperties\":false,\"minProperties\":1}", ".minProperties",
     "only supported up to"},
    {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", ".allOf[1].pattern",
     "only one pattern"},
    {"{\"type\":\"string\",\"pattern\":\"a\",\"const\":\"b\"}", ".pattern", "together with"},
    {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"}},\"required\":["
     "\"k\"]},{\"type\":\"object\",\"properties\":{\"k\":{\"enum\":[\"b\",\"a\"]}},\"required\":["
     "\"k\"]}]}",
     ".oneOf", "0 and 1"},
    {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"}},\"required\":["
     "\"k\"]},{\"type\":\"object\",\"required\":[\"k\"]}]}",
     ".oneOf", "0 and 1"},
    {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{}},\"required\":[\"k\"]},{\"type\":"
     "\"object\",\"properties\":{\"k\":{},\"l\":{}},\"additionalProperties\":false}]}",
     ".oneOf", "0 and 1"},
    {"{\"oneOf\":[{\"enum\":[1,\"a\"]},{\"enum\":[\"b\",\"a\"]}]}", ".oneOf", "0 and 1"},
    {"{\"allOf\":[{\"enum\":[[1],2]},{\"enum\":[[1]]}]}", ".allOf[1].enum",
     "another enum or const"},
    {"{\"enum\":[{\"a\":1}],\"allOf\":[{\"const\":{\"a\":1}}]}", ".enum", "another enum or const"},
    {"{\"enum\":[1],\"allOf\":[{\"const\":2}]}", ".allOf[0].const", "no value"},
    {"{\"enum\":[[1,{\"a\":9007199254740993000}]]}", ".enum", "exactly"},
};

START_TEST(test_refused)
{
    cJSON *tree = schema_tree(refused[_i].schema);
    struct buf out = {0};
    struct problem p = {0};
    int rc = schema_to_grammar(tree, "s", "root", NULL, &out, &p);
    ck_assert_msg(rc < 0, "accepted: %s", refused[_i].schema);
    ck_assert_msg(p.param[0] == 's' && strcmp(p.param + 1, refused[_i].param) == 0,
                  "%s: param is %s", refused[_i].schema, p.param);
    ck_assert_msg(strstr(p.text, refused[_i].says), "%s: \"%s\" does not say \"%s\"",
                  refused[_i].schema, p.text, refused[_i].says);
    ck_assert_int_eq(p.status, 400);
    ck_assert_str_eq(p.code, "invalid_schema");
    buf_free(&out);
    cJSON_Delete(tree);
}
END_TEST

/* Schemas that have no value: it is the grammar that tells, and the schema that is blamed. */
static const struct {
    const char *schema, *param;
} endless[] = {
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", "s"},
    {"{\"properties\":{\"x\":{\"$ref\":\"#/$defs/d\"}},\"required\":[\"x\"],\"$defs\":{\"d\":"
     "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/d\"},\"minItems\":1}}}",
     "s.$defs.d"},
    {"{\"items\":{\"properties\":{\"o\":{},\"n\":{\"anyOf\":[{\"$ref\":\"#/items\"}]}},"
     "\"required\":[\"n\"]},\"minItems\":1}",
     "s.items"},
};

START_TEST(test_endless)
{
    struct shape s = {.kind = SHAPE_SCHEMA, .field = "s", .tree = schema_tree(endless[_i].schema)};
    struct problem p = {0};
    struct grammar *g;
    ck_assert_int_lt(shape_compile(&s, &g, &p), 0);
    ck_assert_msg(strncmp(p.param, endless[_i].param, strlen(endless[_i].param)) == 0, "%s: %s",
                  p.param, p.text);
    ck_assert_ptr_nonnull(strstr(p.text, "without end"));
    ck_assert_str_eq(p.code, "invalid_schema");
    shape_fini(&s);
}
END_TEST

/* ------------------------------------------------------------------ too much */

static int compile_text(const struct buf *b, const struct schema_limits *limits, struct problem *p)
{
    cJSON *tree = schema_tree(b->data);
    struct buf out = {0};
    *p = (struct problem){0};
    int rc = schema_to_grammar(tree, "s", "root", limits, &out, p);
    struct grammar *g = NULL;
    struct trit_error err = {0};
    if (rc == 0)
        rc = grammar_compile(out.data, out.len, NULL, &g, &err);
    if (rc && !p->text[0])
        problem_from(p, rc, NULL, &err);
    grammar_unref(g);
    buf_free(&out);
    cJSON_Delete(tree);
    return rc;
}

START_TEST(test_bombs)
{
    struct buf b = {0};
    struct problem p;
    /* allOf of twice the next one, 30 times: 2^30 ways. */
    buf_adds(&b, "{\"$ref\":\"#/$defs/0\",\"$defs\":{");
    for (int i = 0; i < 30; i++)
        buf_addf(&b, "\"%d\":{\"allOf\":[{\"$ref\":\"#/$defs/%d\"},{\"$ref\":\"#/$defs/%d\"}]},", i,
                 i + 1, i + 1);
    buf_adds(&b, "\"30\":{\"type\":\"null\"}}}");
    ck_assert_int_lt(compile_text(&b, NULL, &p), 0);
    ck_assert_ptr_nonnull(strstr(p.text, "steps"));

    /* The same with anyOf is small. */
    buf_reset(&b);
    buf_adds(&b, "{\"$ref\":\"#/$defs/0\",\"$defs\":{");
    for (int i = 0; i < 40; i++)
        buf_addf(&b, "\"%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/%d\"},{\"$ref\":\"#/$defs/%d\"}]},", i,
                 i + 1, i + 1);
    buf_adds(&b, "\"40\":{\"type\":\"null\"}}}");
    ck_assert_msg(compile_text(&b, NULL, &p) == 0, "%s", p.text);

    /* A large enum, a long string. */
    buf_reset(&b);
    buf_adds(&b, "{\"enum\":[0");
    for (int i = 1; i < 20000; i++)
        buf_addf(&b, ",%d", i);
    buf_adds(&b, "]}");
    ck_assert_int_lt(compile_text(&b, NULL, &p), 0);
    ck_assert_str_eq(p.param, "s.enum");
    buf_reset(&b);
    buf_adds(&b, "{\"type\":\"string\",\"maxLength\":100000000}");
    ck_assert_int_lt(compile_text(&b, NULL, &p), 0);

    /* oneOf whose branches must all be compared. */
    buf_reset(&b);
    buf_adds(&b, "{\"oneOf\":[{\"const\":0}");
    for (int i = 1; i < 4000; i++)
        buf_addf(&b, ",{\"const\":%d}", i);
    buf_adds(&b, "]}");
    ck_assert_int_lt(compile_text(&b, NULL, &p), 0);

    /* Deep, and wide. */
    buf_reset(&b);
    for (int i = 0; i < 60; i++)
        buf_adds(&b, "{\"items\":");
    buf_adds(&b, "{}");
    for (int i = 0; i < 60; i++)
        buf_adds(&b, "}");
    ck_assert_int_eq(compile_text(&b, NULL, &p), 0);
    buf_reset(&b);
    buf_adds(&b, "{\"type\":\"object\",\"properties\":{\"p0\":{\"type\":\"null\"}");
    for (int i = 1; i < 150; i++)
        buf_addf(&b, ",\"p%d\":{\"type\":\"integer\",\"maximum\":%d}", i, i);
    buf_adds(&b, "}}");
    ck_assert_msg(compile_text(&b, NULL, &p) == 0, "%s", p.text);
    const struct schema_limits small = {
        .schemas = 100, .values = 10, .steps = 1000000, .text_bytes = 1 << 20};
    ck_assert_int_lt(compile_text(&b, &small, &p), 0);
    ck_assert_ptr_nonnull(strstr(p.text, "more than 100 different schemas"));
    /* A choice between itself and more has no end. */
    buf_reset(&b);
    buf_adds(&b, "{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}");
    ck_assert_int_lt(compile_text(&b, NULL, &p), 0);
    buf_reset(&b);
    buf_adds(&b, "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}");
    ck_assert_int_lt(compile_text(&b, NULL, &p), 0);
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema-bad");
    TCase *tc = tcase_create("schema-bad");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(tc, test_endless, 0, (int)ARRAY_LEN(endless));
    tcase_add_test(tc, test_bombs);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
