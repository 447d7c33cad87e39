/* SPDX-License-Identifier: MIT */
/*
 * check_schema.c - schemas and the texts that their grammars allow and do not, through the real
 * automaton; limits, and want of memory.
 *
 * Not here: schemas that are refused (check_schema_bad.c).
 */
#include "config.h"

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/mem.h"
#include "server/schema.h"
#include "unit/schema-run.h"
#include "unit/shape-run.h"

static const struct {
    const char *schema, *yes[8], *no[10];
} cases[] = {
    {"true",
     {"1", "null", "{\"a\": [1, true]}", "\"x\"", "-0.5e+10"},
     {"", "01", "[1,]", "{\"a\"}"}},
    {"{\"type\":\"string\"}",
     {"\"\"", "\"a\\n\\u00e9\\/\"", "\"\xc3\xa9\"", "\"\\ud83d\\ude00\"", "\"\\ud7ff\\ue000\""},
     {"\"", "\"\n\"", "\"\\x\"", "\"\\ud83d\"", "\"\\ud83d\\u0041\"", "\"\\ude00\"", "\"\\u0000\"",
      "\"\xc3\"", "a", "\"\\u12\""}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"\\n\\u0041\\\"\"", "\"\\ud83d\\ude00x\"", "\"\xf0\x9f\x98\x80\xc3\xa9\""},
     {"\"a\"", "\"abcd\"", "\"\xf0\x9f\x98\x80\"", "\"\""}},
    {"{\"type\":\"integer\"}", {"0", "-1", "42"}, {"-0", "01", "1.0", "1e3", "+1", ""}},
    {"{\"type\":\"number\"}", {"0", "-0.5", "1e10", "1.25E-3"}, {".5", "1.", "01", "1e", "NaN"}},
    {"{\"type\":[\"integer\",\"null\"]}", {"1", "null"}, {"\"1\"", "1.5", "true"}},
    {"{\"type\":\"boolean\",\"nullable\":true}", {"true", "false", "null"}, {"0"}},
    {"{\"enum\":[\"a\",1,null,{\"k\":[1,\"\\\"\"]},1.5]}",
     {"\"a\"", "1", "null", "{\"k\": [1, \"\\\"\"]}", "1.5"},
     {"\"b\"", "2", "{}"}},
    {"{\"type\":\"string\",\"enum\":[\"a\",1]}", {"\"a\""}, {"1"}},
    {"{\"const\":\"x\\ny\"}", {"\"x\\ny\""}, {"\"x\"", "\"x\ny\""}},
    /* Objects: order, optional members, what may follow. */
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
     "\"boolean\"}},"
     "\"required\":[\"a\",\"b\"],\"additionalProperties\":false}",
     {"{\"a\":1,\"b\":true}", "{\"a\": 1, \"b\": true}"},
     {"{}", "{\"a\":1}", "{\"b\":true,\"a\":1}", "{\"a\":1,\"b\":true,\"c\":1}",
      "{\"a\":  1,\"b\":true}", "{ \"a\":1,\"b\":true}", "{\"a\":1,\"b\":true,}"}},
    {"{\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"},\"c\":{\"type\":"
     "\"null\"}}}",
     {"{}", "{\"a\":null}", "{\"b\":null}", "{\"c\":null}", "{\"a\":null,\"c\":null}",
      "{\"a\":null,\"b\":null,\"c\":null}"},
     {"{,\"b\":null}", "{\"c\":null,\"a\":null}", "{\"d\":null}", "{\"a\":1}", "{\"a\":null,}"}},
    {"{\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"},\"c\":{\"type\":"
     "\"null\"}},"
     "\"required\":[\"b\"]}",
     {"{\"b\":null}", "{\"a\":null,\"b\":null}", "{\"b\":null,\"c\":null}",
      "{\"a\":null,\"b\":null,\"c\":null}"},
     {"{}", "{\"a\":null}", "{\"c\":null}", "{\"a\":null,\"c\":null}"}},
    {"{\"type\":\"object\"}", {"{}", "{\"x\": {\"y\": []}}"}, {"[]", "1"}},
    {"{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}",
     {"{}"},
     {"{\"a\":1}"}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
     {"{}", "{\"k\": 1, \"l\": 2}", "{\"\\\"\\n\": 1}"},
     {"{\"k\":\"1\"}", "{\"\\u0061\":1}", "{\"\":1}"}},
    {"{\"properties\":{\"name\":{\"type\":\"string\"},\"no\":{\"type\":\"null\"}},"
     "\"required\":[\"name\"],\"additionalProperties\":{\"type\":\"integer\"}}",
     {"{\"name\":\"x\"}", "{\"name\":\"x\",\"n\":1}", "{\"name\":\"x\",\"names\":1,\"nob\":2}",
      "{\"name\":\"x\",\"no\":null,\"z\":2}"},
     {"{\"name\":\"x\",\"name\":1}", "{\"name\":\"x\",\"no\":1}", "{\"n\":1}",
      "{\"name\":\"x\",\"n\":\"1\"}", "{\"name\":\"x\",\"\\u006eo\":1}"}},
    {"{\"properties\":{\"a\":{\"type\":\"null\"}},\"additionalProperties\":true}",
     {"{}", "{\"b\": 1}", "{\"a\":null,\"b\":[],\"c\":{}}"},
     {"{\"a\":1}", "{\"b\":1,\"a\":1}"}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"null\"},\"minProperties\":1,"
     "\"maxProperties\":2}",
     {"{\"a\":null}", "{\"a\":null,\"b\":null}"},
     {"{}", "{\"a\":null,\"b\":null,\"c\":null}"}},
    {"{\"type\":\"object\",\"required\":[\"q\"]}", {"{\"q\": [1]}"}, {"{}", "{\"r\":1}"}},
    {"{\"properties\":{\"a\\\"b\\\\\":{\"const\":1}},\"required\":[\"a\\\"b\\\\\"]}",
     {"{\"a\\\"b\\\\\": 1}"},
     {"{\"a\": 1}"}},
    /* Arrays. */
    {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}",
     {"[1]", "[1, 2]", "[1,2,3]"},
     {"[]", "[1,2,3,4]", "[1,]", "[\"1\"]", "[1 ,2]"}},
    {"{\"type\":\"array\"}", {"[]", "[1, \"a\", []]"}, {"{}", "[1"}},
    {"{\"items\":{\"type\":\"null\"},\"maxItems\":0}", {"[]"}, {"[null]"}},
    {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false,\"minItems\":"
     "1}",
     {"[1]", "[1, \"a\"]"},
     {"[]", "[\"a\"]", "[1, \"a\", 2]"}},
    {"{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},\"minItems\":2,"
     "\"maxItems\":3}",
     {"[1, null]", "[1,null,null]"},
     {"[1]", "[1,null,null,null]", "[null,null]"}},
    {"{\"type\":\"array\",\"items\":false}", {"[]"}, {"[1]"}},
    /* Choices, references, conjunctions. */
    {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"},false]}", {"\"a\"", "1"}, {"null"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"}},"
     "\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
     {"{\"a\":null}", "{\"b\":null}", "{\"a\":null,\"b\":null}"},
     {"{}"}},
    {"{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"a\"},\"x\":{\"type\":\"integer\"}},"
     "\"required\":[\"k\",\"x\"],\"type\":\"object\"},{\"properties\":{\"k\":{\"enum\":[\"b\","
     "\"c\"]}},"
     "\"required\":[\"k\"],\"type\":\"object\"}]}",
     {"{\"k\":\"a\",\"x\":1}", "{\"k\":\"c\"}"},
     {"{\"k\":\"a\"}", "{\"k\":\"d\"}"}},
    {"{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"number\"}]}", {"null", "1.5"}, {"true"}},
    {"{\"$defs\":{\"n\":{\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":"
     "[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}},"
     "\"$ref\":\"#/$defs/n\"}",
     {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"},
     {"{\"v\":1}", "{\"v\":1,\"next\":{}}"}},
    {"{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", {"[]", "[[], [[]]]"}, {"[1]"}},
    {"{\"definitions\":{\"a/b~c%\":{\"const\":7}},\"$ref\":\"#/definitions/a~1b~0c%25\"}",
     {"7"},
     {"8"}},
    {"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},"
     "{\"properties\":{\"b\":{\"type\":\"null\"},\"a\":{\"minimum\":3}},\"required\":[\"b\"]}],"
     "\"type\":\"object\"}",
     {"{\"a\":3,\"b\":null}"},
     {"{\"a\":2,\"b\":null}", "{\"a\":3}"}},
    {"{\"type\":\"string\",\"description\":\"x\",\"default\":3,\"x-order\":1,\"examples\":[1]}",
     {"\"a\""},
     {"3"}},
    {"{\"type\":[\"string\",\"integer\"],\"maxLength\":1,\"maximum\":5}",
     {"\"a\"", "5"},
     {"\"ab\"", "6"}},
    /* Patterns and formats. */
    {"{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}\\\\d+$\",\"maxLength\":5}",
     {"\"AB1\"", "\"AB123\""},
     {"\"AB1234\"", "\"AB\"", "\"ab1\""}},
    {"{\"type\":\"string\",\"pattern\":\"@\"}", {"\"@\"", "\"a@\\\"\""}, {"\"a\"", "\"\""}},
    {"{\"format\":\"date\"}",
     {"\"2024-02-29\"", "\"2023-02-28\"", "\"2000-02-29\"", "\"1999-12-31\""},
     {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"24-01-01\""}},
    {"{\"format\":\"time\"}",
     {"\"23:59:59Z\"", "\"00:00:00.123+01:30\""},
     {"\"24:00:00Z\"", "\"12:00:00\"", "\"12:60:00Z\""}},
    {"{\"format\":\"date-time\"}", {"\"2024-02-29T12:00:00Z\""}, {"\"2024-02-29 12:00:00Z\""}},
    {"{\"format\":\"duration\"}",
     {"\"P1Y2M\"", "\"PT5M\"", "\"P3W\"", "\"P1DT1H\""},
     {"\"P\"", "\"PT\"", "\"P1S\"", "\"P1YT\""}},
    {"{\"format\":\"uuid\"}", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567\""}},
    {"{\"format\":\"email\"}", {"\"a.b@example.org\""}, {"\"a@b\"", "\"@b.c\"", "\"a@-b.c\""}},
    {"{\"format\":\"ipv4\"}",
     {"\"127.0.0.1\"", "\"255.249.10.0\""},
     {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""}},
    {"{\"format\":\"ipv6\"}",
     {"\"::1\"", "\"fe80::1:2\"", "\"1:2:3:4:5:6:7:8\"", "\"::\""},
     {"\"1:2:3\"", "\":::\"", "\"1:2:3:4:5:6:7:8:9\""}},
    {"{\"format\":\"hostname\"}", {"\"a-b.example\""}, {"\"-a\"", "\"a..b\"", "\"\""}},
    {"{\"format\":\"uri\"}",
     {"\"https://example.org/a?b=c#d\"", "\"http://h:80\""},
     {"\"example.org\"", "\"http://\"", "\"http://a b\""}},
    /* Numbers between bounds. */
    {"{\"type\":\"integer\",\"minimum\":0,\"maximum\":120}",
     {"0", "9", "10", "99", "100", "120"},
     {"-1", "121", "130", "200", "1000", "00", "1.0"}},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":-15,\"exclusiveMaximum\":-3}",
     {"-14", "-4", "-10"},
     {"-15", "-3", "0", "4", "-2", "-100"}},
    {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":5}",
     {"-5", "0", "5"},
     {"-6", "6", "-0", "-"}},
    {"{\"type\":\"integer\",\"minimum\":1}", {"1", "100000000000000"}, {"0", "-1"}},
    {"{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":3.5}", {"1", "3"}, {"0", "4", "0.5"}},
    {"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
     {"0", "1", "0.5", "0.999999", "0.000001"},
     {"1.1", "-0.1", "2", "1.000001", "0.", "1."}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0}",
     {"0.1", "1", "0.000001", "123.5"},
     {"0", "0.0", "-1", "-0"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":-1.25,\"maximum\":2.5}",
     {"-1.2", "-1.249", "2.5", "2", "-0.5", "0"},
     {"-1.25", "2.51", "-1.3", "3", "-2"}},
    {"{\"type\":\"number\",\"minimum\":9.99,\"maximum\":10.01}",
     {"9.99", "10", "10.01", "9.995"},
     {"9.98", "10.02", "9", "11", "9.9"}},
    {"{\"type\":\"number\",\"multipleOf\":0.01,\"minimum\":0}",
     {"0", "19.99", "3", "0.05", "1.5"},
     {"0.001", "-1", "1.999"}},
    {"{\"type\":\"integer\",\"multipleOf\":10,\"minimum\":-20,\"maximum\":200}",
     {"0", "-20", "10", "200"},
     {"5", "00", "210", "-30", "-0"}},
    {"{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":1,\"maximum\":30}",
     {"7", "14", "28"},
     {"0", "1", "35"}},
    {"{\"type\":\"number\",\"multipleOf\":2.5,\"minimum\":0,\"maximum\":10}",
     {"0", "2.5", "5", "10"},
     {"1", "2", "12.5"}},
    {"{\"type\":\"integer\",\"multipleOf\":0.5,\"minimum\":0,\"maximum\":3}",
     {"0", "1", "3"},
     {"4", "0.5"}},
    {"{\"definitions\":{\"éJ/k\":{\"const\":7}},\"$ref\":\"#/definitions/%C3%A9%4a~1k\"}",
     {"7"},
     {"8"}},
    {"{\"$ref\":\"#/$defs/a/prefixItems/"
     "10\",\"$defs\":{\"a\":{\"prefixItems\":[1,1,1,1,1,1,1,1,1,1,{\"const\":5}]}}}",
     {"5"},
     {"1"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}},\"propertyNames\":{\"type\":["
     "\"string\",\"null\"]}}",
     {"{\"a\":1}", "{}"},
     {"{\"a\":2}"}},
    {"{\"propertyNames\":true,\"uniqueItems\":false,\"type\":[\"object\",\"array\"]}",
     {"{}", "[]"},
     {"1"}},
    {"{\"propertyNames\":{},\"type\":\"object\"}", {"{}"}, {"1"}},
    {"{\"type\":\"number\",\"multipleOf\":0.01,\"minimum\":-1,\"maximum\":-0.5}",
     {"-1", "-0.75", "-0.5"},
     {"-0.4", "0", "-1.01", "0.75"}},
    {"{\"type\":\"integer\",\"multipleOf\":10,\"minimum\":-30,\"maximum\":-10}",
     {"-30", "-10"},
     {"0", "-40", "-5"}},
    {"{\"type\":\"integer\",\"multipleOf\":10,\"minimum\":0,\"maximum\":5}", {"0"}, {"10", "00"}},
    {"{\"type\":\"number\",\"multipleOf\":2.5,\"minimum\":-5,\"maximum\":-2.5}",
     {"-5", "-2.5"},
     {"0", "2.5", "-7.5"}},
    {"{\"type\":\"integer\",\"minimum\":1,\"exclusiveMinimum\":0,\"maximum\":3,"
     "\"exclusiveMaximum\":5}",
     {"1", "3"},
     {"0", "4"}},
    {"{\"type\":\"integer\",\"minimum\":1,\"exclusiveMinimum\":1,\"maximum\":3,"
     "\"exclusiveMaximum\":3}",
     {"2"},
     {"1", "3"}},
    {"{\"type\":\"integer\",\"allOf\":[{\"multipleOf\":5},{\"multipleOf\":5},{\"minimum\":5},{"
     "\"minimum\":0}],\"maximum\":10}",
     {"5", "10"},
     {"0", "7"}},
    {"{\"type\":\"number\",\"minimum\":0.00001,\"maximum\":0.00002}",
     {"0.00001", "0.000015"},
     {"0.00003", "0"}},
    {"{\"type\":\"integer\",\"maximum\":-1}", {"-1", "-100"}, {"0", "1"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":99999999999999.5}",
     {"99999999999999.6"},
     {"99999999999999.5", "1"}},
    {"{\"type\":\"string\",\"minLength\":0,\"maxLength\":0}", {"\"\""}, {"\"a\""}},
    {"{\"type\":\"string\",\"allOf\":[{\"format\":\"date\"},{\"format\":\"date\"}]}",
     {"\"2024-02-29\""},
     {"\"x\""}},
    {"{\"allOf\":[{\"required\":[\"a\"]},{\"required\":[\"a\",\"b\"]}],\"type\":\"object\","
     "\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{\"const\":2}}",
     {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2,\"c\":2}"},
     {"{\"a\":1}", "{\"a\":2,\"b\":2}"}},
    {"{\"allOf\":[{\"additionalProperties\":{\"type\":\"integer\"}},{\"additionalProperties\":{"
     "\"minimum\":5}}],\"type\":\"object\"}",
     {"{\"x\":5}", "{}"},
     {"{\"x\":4}"}},
    {"{\"additionalProperties\":{},\"maxProperties\":0}", {"{}"}, {"{\"a\":1}"}},
    {"{\"additionalProperties\":false,\"type\":\"object\"}", {"{}"}, {"{\"a\":1}"}},
    {"{\"properties\":{\"a\\u0001\":{\"const\":1},\"\\n\\\"\":{\"const\":2},\"é\":{\"const\":3}},"
     "\"additionalProperties\":{\"const\":4}}",
     {"{\"é\":3,\"e\":4}", "{\"\\n\\\"\":2}", "{\"\\n\":4}", "{}"},
     {"{\"é\":4}", "{\"\\n\\\"\":4}"}},
    {"{\"type\":[\"array\",\"string\"],\"items\":{\"const\":[1,{\"k\":null}]},\"maxItems\":1,"
     "\"maxLength\":1}",
     {"[[1, {\"k\": null}]]", "\"a\"", "[]"},
     {"\"ab\"", "[1]"}},
    {"{\"allOf\":[true,{\"type\":\"boolean\"}]}", {"true"}, {"1"}},
    {"{\"enum\":[true,false,\"é\",-0.5,1e3]}",
     {"true", "false", "\"é\"", "-0.5", "1000"},
     {"null", "0"}},
    {"{\"type\":\"boolean\",\"enum\":[true,1,null]}", {"true"}, {"false", "1", "null"}},
    {"{\"properties\":{\"\\\"\\\\\":{\"const\":1},\"\\\\\":{\"const\":1},\"\\b\":{\"const\":1},"
     "\"\\f\":{\"const\":1},\"\\n\":{\"const\":1},\"\\r\":{\"const\":1},\"\\t\":{\"const\":1}},"
     "\"additionalProperties\":{\"const\":4}}",
     {"{\"\\b\":1,\"\\f\":1}", "{\"\\\"\\\\\":1,\"\\\"\":4}", "{\"b\":4}"},
     {"{\"\\b\":4}", "{\"\\t\":4}", "{\"\\\\\":4}"}},
    /* Choices of which one must hold: told apart by values, by members, by what is not allowed. */
    {"{\"oneOf\":[{\"enum\":[\"a\",\"b\"]},{\"const\":\"c\"},{\"enum\":[\"d\"]},{\"const\":1},"
     "false]}",
     {"\"a\"", "\"b\"", "\"c\"", "\"d\"", "1"},
     {"\"e\"", "2"}},
    {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"}},\"required\":["
     "\"a\"]},{\"type\":\"object\",\"properties\":{\"b\":{\"const\":1}},\"required\":[\"b\"],"
     "\"additionalProperties\":false}]}",
     {"{\"a\":null}", "{\"b\":1}"},
     {"{}", "{\"a\":1}"}},
    {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"b\":{\"const\":1}},"
     "\"additionalProperties\":false},{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
     "\"null\"}},\"required\":[\"a\"]}]}",
     {"{\"a\":null}", "{\"b\":1}", "{}"},
     {"{\"a\":1}"}},
    {"{\"oneOf\":[{\"type\":\"object\",\"allOf\":[{\"required\":[\"k\",\"x\"]},{\"properties\":{"
     "\"k\":{\"const\":\"a\"},\"x\":{\"type\":\"null\"}}}]},{\"type\":\"object\",\"properties\":{"
     "\"k\":{\"const\":\"b\"}},\"allOf\":[{\"required\":[\"k\"]}]}]}",
     {"{\"k\":\"a\",\"x\":null}", "{\"k\":\"b\"}"},
     {"{\"k\":\"a\"}", "{\"k\":\"c\"}"}},
    {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"s\":{\"enum\":[1,2]},\"k\":{\"enum\":["
     "\"a\",\"b\"]}},\"required\":[\"s\",\"k\"]},{\"type\":\"object\",\"properties\":{\"k\":{"
     "\"enum\":[\"c\",\"d\"]},\"s\":{\"enum\":[2,1]}},\"required\":[\"s\",\"k\"]}]}",
     {"{\"s\":1,\"k\":\"b\"}", "{\"k\":\"c\",\"s\":1}"},
     {"{\"s\":1,\"k\":\"c\"}", "{\"s\":3,\"k\":\"a\"}"}},
    /* Values that several parts name. */
    {"{\"allOf\":[{\"enum\":[1,\"a\",3]},{\"enum\":[\"a\",3,4]},{\"enum\":[5,3,\"a\"]}]}",
     {"\"a\"", "3"},
     {"1", "4", "5"}},
    {"{\"const\":2,\"allOf\":[{\"enum\":[1,2]}]}", {"2"}, {"1"}},
    {"{\"enum\":[1,2],\"allOf\":[{\"const\":2},{}]}", {"2"}, {"1"}},
    {"{\"enum\":[\"a\",[1,2]],\"uniqueItems\":false}", {"\"a\"", "[1, 2]"}, {"[1]"}},
};

START_TEST(test_texts)
{
    struct shape s = {
        .kind = SHAPE_SCHEMA, .field = "schema", .tree = schema_tree(cases[_i].schema)};
    struct grammar *g = shape_must(&s, cases[_i].schema);
    for (size_t k = 0; k < ARRAY_LEN(cases[0].yes) && cases[_i].yes[k]; k++)
        ck_assert_msg(shape_matches(g, cases[_i].yes[k]), "%s: not allowed: %s", cases[_i].schema,
                      cases[_i].yes[k]);
    for (size_t k = 0; k < ARRAY_LEN(cases[0].no) && cases[_i].no[k]; k++)
        ck_assert_msg(!shape_matches(g, cases[_i].no[k]), "%s: allowed: %s", cases[_i].schema,
                      cases[_i].no[k]);
    grammar_unref(g);
    shape_fini(&s);
}
END_TEST

/* What no text is matched against. */
static const char *const hungry[] = {
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"enum\":[1,"
    "\"x\"]},"
    "\"maxItems\":3},\"b\":{\"type\":\"string\",\"pattern\":\"^[a-c]{2,5}(x|y)+$\"}},"
    "\"required\":[\"a\"],\"additionalProperties\":false}",
    "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120},{\"format\":\"date\"},"
    "{\"$ref\":\"#/$defs/t\"}],\"$defs\":{\"t\":{\"type\":\"string\",\"maxLength\":7}}}",
    "{\"properties\":{\"n\":{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":2},\"m\":{"
    "\"type\":"
    "\"integer\",\"multipleOf\":7,\"minimum\":0,\"maximum\":30},\"d\":{\"format\":\"date-"
    "time\"}},"
    "\"required\":[\"q\",\"n\"],\"additionalProperties\":{\"type\":[\"null\",\"boolean\"]}}",
    "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"}},\"required\":["
    "\"k\"]},"
    "{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"}},\"required\":[\"k\"]},"
    "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"$ref\":\"#\"}}]}",
    "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{}}},{\"properties\":{\"a\":"
    "{\"enum\":[[1,{\"b\":\"\\u00e9\"}],null]}},\"minProperties\":0}]}",
};

static const char *any_schema(int i)
{
    return i < (int)ARRAY_LEN(hungry) ? hungry[i] : cases[i - (int)ARRAY_LEN(hungry)].schema;
}

/* Whatever fails for want of memory, nothing else is said. */
START_TEST(test_no_memory)
{
    cJSON *tree = schema_tree(any_schema(_i));
    unsigned n = 1;
    for (;; n++) {
        struct buf out = {0};
        struct problem p = {0};
        mem_fail_at(n);
        int rc = schema_to_grammar(tree, "s", "root", NULL, &out, &p);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        bool whole = rc == 0 && !out.failed;
        buf_free(&out);
        if (!struck) {
            ck_assert_msg(whole, "%s", p.text);
            break;
        }
        ck_assert_msg(rc == 0 || rc == -TRIT_ENOMEM, "%d %s", rc, p.text);
    }
    ck_assert_uint_gt(n, 1);
    cJSON_Delete(tree);
}
END_TEST

/* Whether a schema is within limits; where it is not, they are what is said. */
static bool fits(const cJSON *tree, const struct schema_limits *limits, const char *says)
{
    struct buf out = {0};
    struct problem p = {0};
    int rc = schema_to_grammar(tree, "s", "root", limits, &out, &p);
    buf_free(&out);
    if (rc == 0)
        return true;
    ck_assert_int_eq(p.status, 400);
    ck_assert_msg(strstr(p.text, says), "\"%s\" does not say \"%s\"", p.text, says);
    return false;
}

/* Wherever work ends before it is done, it ends in a refusal. */
START_TEST(test_limits)
{
    cJSON *tree = schema_tree(any_schema(_i));
    struct schema_limits steps = schema_limits, schemas = schema_limits, text = schema_limits;
    steps.steps = schemas.schemas = 0;
    text.text_bytes = 0;
    while (!fits(tree, &steps, "steps to read"))
        steps.steps += 1 + steps.steps / 16;
    while (!fits(tree, &schemas, "different schemas"))
        schemas.schemas++;
    while (!fits(tree, &text, "grammar"))
        text.text_bytes += 1 + text.text_bytes / 16;
    ck_assert_uint_gt(steps.steps, 0);
    ck_assert_uint_gt(schemas.schemas, 0);
    ck_assert_uint_gt(text.text_bytes, 0);
    cJSON_Delete(tree);
}
END_TEST

/* As many as OpenAI allows, and as many branches as an enum may have values. */
START_TEST(test_many)
{
    struct buf text = {0};
    bool properties = _i == 0;
    unsigned n = properties ? 5000 : 1100;
    buf_adds(&text,
             properties ? "{\"additionalProperties\":false,\"properties\":{" : "{\"anyOf\":[");
    for (unsigned i = 0; i < n; i++)
        buf_addf(&text, properties ? "%s\"p%u\":{\"type\":\"integer\"}" : "%s{\"const\":\"%u\"}",
                 i ? "," : "", i);
    buf_adds(&text, properties ? "},\"required\":[\"p4500\"]}" : "]}");
    struct shape s = {.kind = SHAPE_SCHEMA, .field = "s", .tree = schema_tree(text.data)};
    struct grammar *g = shape_must(&s, "many");
    if (properties) {
        ck_assert(shape_matches(g, "{\"p0\": 1,\"p63\":2, \"p64\":3,\"p4500\":4,\"p4999\":5}"));
        ck_assert(shape_matches(g, "{\"p4500\":4}"));
        ck_assert(!shape_matches(g, "{\"p4499\":4}"));
        ck_assert(!shape_matches(g, "{\"p4500\":4,\"p4499\":4}"));
        ck_assert(!shape_matches(g, "{\"p1\":1,\"p1\":1,\"p4500\":4}"));
        ck_assert(!shape_matches(g, "{\"p4501\":4}"));
    } else {
        ck_assert(shape_matches(g, "\"1099\""));
        ck_assert(!shape_matches(g, "\"1100\""));
    }
    grammar_unref(g);
    shape_fini(&s);
    buf_free(&text);
}
END_TEST

/* Several schemas in one text, as for calls of several functions. */
START_TEST(test_together)
{
    cJSON *a = schema_tree("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}");
    cJSON *b = schema_tree("{\"properties\":{\"x\":{\"type\":\"string\",\"pattern\":\"^a+$\"}}}");
    struct buf text = {0};
    struct problem p = {0};
    struct trit_error err = {0};
    struct grammar *g;
    ck_assert_int_eq(schema_to_grammar(a, "a", "one", NULL, &text, &p), 0);
    ck_assert_int_eq(schema_to_grammar(b, "b", "two", NULL, &text, &p), 0);
    ck_assert_int_eq(schema_any_object("three", &text, &p), 0);
    buf_adds(&text, "root ::= \"1\" one | \"2\" two | \"3\" three\n");
    int rc = grammar_compile(text.data, text.len, NULL, &g, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert(shape_matches(g, "1{\"k\": 1}"));
    ck_assert(shape_matches(g, "2{\"x\":\"aa\"}"));
    ck_assert(shape_matches(g, "3{\"x\":[{}]}"));
    ck_assert(!shape_matches(g, "2{\"x\":\"b\"}"));
    grammar_unref(g);
    buf_free(&text);
    cJSON_Delete(a);
    cJSON_Delete(b);
}
END_TEST

/* Integers between random bounds: exactly those. */
START_TEST(test_ranges)
{
    uint64_t seed = unit_seed();
    for (int i = 0; i < 300; i++) {
        int lo = (int)(unit_random(&seed) % 2400) - 1200,
            hi = lo + (int)(unit_random(&seed) % 1500);
        int places = (int)(unit_random(&seed) % 3);
        int by = places == 2 ? 100 : places == 1 ? 10 : 1;
        char text[200];
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"minimum\":%.*f,\"maximum\":%.*f}",
                 places ? "number" : "integer", places, (double)lo / by, places, (double)hi / by);
        struct shape s = {.kind = SHAPE_SCHEMA, .field = "s", .tree = schema_tree(text)};
        struct grammar *g = shape_must(&s, text);
        for (int v = lo - 120; v <= hi + 120; v++) {
            char number[32];
            snprintf(number, sizeof number, "%.*f", places, (double)v / by);
            /* Without zeros at the end. */
            char *end = number + strlen(number);
            while (places && end[-1] == '0')
                *--end = '\0';
            if (places && end[-1] == '.')
                *--end = '\0';
            bool in = v >= lo && v <= hi;
            ck_assert_msg(shape_matches(g, number) == in, "%s: %s", text, number);
        }
        grammar_unref(g);
        shape_fini(&s);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema");
    TCase *tc = tcase_create("schema");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_texts, 0, (int)ARRAY_LEN(cases));
    tcase_add_loop_test(tc, test_no_memory, 0, (int)(ARRAY_LEN(hungry) + ARRAY_LEN(cases)));
    tcase_add_loop_test(tc, test_limits, 0, (int)(ARRAY_LEN(hungry) + ARRAY_LEN(cases)));
    tcase_add_loop_test(tc, test_many, 0, 2);
    tcase_add_test(tc, test_together);
    tcase_add_test(tc, test_ranges);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
