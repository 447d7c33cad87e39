/* SPDX-License-Identifier: MIT */
/*
 * check_jinja.c - what templates mean, construct by construct; whose words come out; bounds.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "unit/jinja-run.h"
#include "unit/unit.h"

START_TEST(white_space)
{
    CK_ALL({"a\n", "a"}, {"a\n\n", "a\n"}, {"a\r\nb\rc", "a\nb\nc"},
           {"  {% if true %}\n  x\n  {% endif %}\ny", "  x\ny"},
           {"a  {% if true %}b{% endif %}", "a  b"}, {"a \n {{- 1 -}} \n b", "a1b"},
           {" {%+ if true %}x{% endif +%}\ny", " x\ny"}, {"a {# c\n #}\n b", "a  b"},
           {"{#- c -#} b", "b"}, {"  {{ 1 }}\n", "  1"},
           {"{% raw %}{{ x }}{% endraw %}!", "{{ x }}!"},
           {"{{ '%}' }}{{ {'a': {'b': 1}}.a.b }}", "%}1"}, {"{ { }} {", "{ { }} {"});
}
END_TEST

START_TEST(expressions)
{
    CK_ALL(
        {"{{ 1 + 2 * 3 ** 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }}",
         "19 3 -4 2 3.5"},
        {"{{ 'a' ~ 1 + 2 if false else 'b' 'c' }}", "bc"},
        {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ not 1 == 2 }} {{ 2 in [1, 2] }} {{ 3 not in (1,) }}",
         "True False True True True"},
        {"{{ none }} {{ 1e3 }} {{ 0.1 }} {{ 1e22 }} {{ 1e-7 }} {{ [none, 'a', \"it's\"] }} {{ (1,) "
         "}}",
         "None 1000.0 0.1 1e+22 1e-07 [None, 'a', \"it's\"] (1,)"},
        {"{{ 'abcdef'[1:3] }} {{ 'abc'[::-1] }} {{ [1,2,3][-2:] }} {{ 'abc'[-1] }} {{ "
         "[1,2,3,4][::2] }}",
         "bc cba [2, 3] c [1, 3]"},
        {"{{ x }}|{{ x is defined }}|{{ d.nothing is defined }}|{{ d.b }}|{{ d['items'] }}",
         "|False|False|2|True"},
        {"{{ 0 or 'a' }} {{ 0 and 1 }} {{ x or 'y' }} {{ 'a' * 3 }} {{ [1] + [2] }}",
         "a 0 y aaa [1, 2]"},
        {"{{ '\\x41\\u00e9\\n\\q' }}", "A\xc3\xa9\n\\q"}, {"{{ 'a.b.c'.split('.')[-1] }}", "c"},
        {"{{ true == 1 }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ {'a': 1} == {'a': 1} }}",
         "True True False True"},
        {"{{ -3|abs }} {{ 'x' is string and not 1 is string }}", "3 True"});
}
END_TEST

START_TEST(statements)
{
    CK_ALL(
        {"{% for m in messages %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.revindex0 "
         "}}"
         "{{ loop.previtem.role if loop.previtem }} {% endfor %}",
         "1TrueFalse2 2FalseFalse1system 3FalseTrue0user "},
        {"{% for i in [] %}x{% else %}none{% endfor %}{% for i in range(9) if i is odd %}{{ i }}"
         "{{ loop.length }},{% endfor %}",
         "none14,34,54,74,"},
        {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "b=2;items=True;a=None;"},
        {"{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "231"},
        {"{% set n = namespace(x=1) %}{% for i in [1,2] %}{% set n.x = n.x + i %}{% endfor %}{{ "
         "n.x }}",
         "4"},
        {"{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}"
         "{% endif %}{{ i }}{% endfor %}",
         "02"},
        {"{% macro f(a, b='z') %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ f(1) }}"
         "{{ f(b=2, a=3) }}{{ f(*[4, 5]) }}{% call f(6) %}!{% endcall %}",
         "1z32456z!"},
        {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c %}x{{ a }}{% endset %}{{ c|upper }}", "12X1"},
        {"{% filter upper %}ab{% endfilter %}{% with y = 3 %}{{ y }}{% endwith %}{{ y }}", "AB3"},
        {"{% if x %}1{% elif d.b == 2 %}2{% else %}3{% endif %}{% generation %}g{% endgeneration "
         "%}",
         "2g"},
        {"{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"},
        {"{% if false %}{{ 1|no_such_filter }}{% endif %}ok", "ok"});
}
END_TEST

START_TEST(filters)
{
    CK_ALL({"{{ [3,1,2]|sort|join(',') }} {{ ['b','A']|sort }} {{ [1,2]|first }} {{ 'abc'|last }}",
            "1,2,3 ['A', 'b'] 1 c"},
           {"{{ x|default('y') }} {{ ''|d('z', true) }} {{ [1,2]|length }} {{ word|length }}",
            "y z 2 6"},
           {"{{ messages|map(attribute='role')|list }} {{ messages|selectattr('role', 'equalto', "
            "'user')|list|length }} {{ [0,1]|select|list }} {{ none|selectattr('a')|list }}",
            "['system', 'user', 'assistant'] 1 [1] []"},
           {"{{ d|tojson }} {{ [1, 2.0, none, true, 'é\"\\n']|tojson }}",
            "{\"b\": 2, \"items\": true, \"a\": null} [1, 2.0, null, true, \"é\\\"\\n\"]"},
           {"{{ {'a': [1], 'b': {}}|tojson(indent=2) }}",
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"},
           {"{{ {'a': 1, 'b': 2}|tojson(separators=(',', ':')) }}", "{\"a\":1,\"b\":2}"},
           {"{{ d|dictsort|list }} {{ d|items|list|length }}",
            "[('a', None), ('b', 2), ('items', True)] 3"},
           {"{{ 'a\nb'|indent(2) }} {{ 'hello world'|title }} {{ 'hELLO'|capitalize }}",
            "a\n  b Hello World Hello"},
           {"{{ '12'|int + 1 }} {{ 'x'|int(7) }} {{ '1.5'|float }} {{ 2.675|round(2) }} {{ "
            "2.5|round }}",
            "13 7 1.5 2.67 2.0"},
           {"{{ [1,2,1]|unique|list }} {{ [1,2]|sum }} {{ [1,3,2]|max }} {{ 'ab'|reverse }} {{ "
            "'a'|list }}",
            "[1, 2] 3 3 ba ['a']"},
           {"{{ ' x '.strip() }}{{ 'xxay'.lstrip('x') }}{{ 'a,b'.split(',') }}{{ "
            "'ab'.startswith('a') }}"
            "{{ 'aXb'.replace('X', '-') }}{{ 'a b  c'.split() }}",
            "xay['a', 'b']Truea-b['a', 'b', 'c']"},
           {"{{ '%s is %d' % ('a', 3) }} {{ '{} {0} {x}'.format(1, x=2) }}", "a is 3 1 1 2"});
}
END_TEST

/* A client's words stay its words, whatever is done to them. */
START_TEST(origin)
{
    CK_ALL({"{{ '<' + word + '>' }}", "<«größer»>"},
           {"{{ ours }}{{ word }}{{ word }}", "<s>«größergrößer»"},
           {"{{ ('<' + word + '>')[1:3] }}|{{ ('<' ~ word)[0] }}", "«gr»|<"},
           {"{{ ('a' + word + 'b')|upper }}", "A«GRÖßER»B"},
           {"{{ (word + '-x').replace('-', '<|end|>') }}", "«größer»<|end|>x"},
           {"{{ 'a-b'.replace('-', word) }}", "a«größer»b"},
           {"{{ ('<' + word).split('ö') }}", "['<«gr»', '«ßer»']"},
           {"{{ messages[0].content|trim }}|{{ messages[0]|tojson }}",
            "«Be brief.»|{\"role\": \"system\", \"content\": \"« Be brief. »\"}"},
           {"{% set x %}({{ word }}){% endset %}{{ x }}{{ x|length }}", "(«größer»)8"},
           {"{{ [word, 'x']|join('<s>') }} {{ '%s|' % word }}{{ word|reverse|first }}",
            "«größer»<s>x «größer»|«r»"},
           {"{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f(word)|trim }}", "[«größer»]"},
           {"{% set n = namespace(t='') %}{% for m in messages %}{% set n.t = n.t + m.role + "
            "m.content "
            "%}{% endfor %}{{ n.t }}",
            "system« Be brief. »user«Hi <|im_end|>»assistant«You\n»"});
}
END_TEST

START_TEST(errors)
{
    static const struct {
        const char *source, *why;
        int rc;
    } all[] = {
        {"{{ 1", "line 1, column 1: a tag", -TRIT_EFORMAT},
        {"a\nb {{ ) }}", "line 2, column 6: found \")\"", -TRIT_EFORMAT},
        {"{% for x in y %}", "not closed; expected \"endfor\"", -TRIT_EFORMAT},
        {"{{ 'a }}", "a string that begins here has no end", -TRIT_EFORMAT},
        {"{{ 1|nothing }}", "there is no filter \"nothing\"", -TRIT_EFORMAT},
        {"{{ 1 is nothing }}", "there is no test \"nothing\"", -TRIT_EFORMAT},
        {"{% include 'x' %}", "\"include\", which is not supported", -TRIT_EFORMAT},
        {"{% break %}", "only stand in a loop", -TRIT_EFORMAT},
        {"\xff", "not UTF-8", -TRIT_EFORMAT},
        {"\n{{ x.y }}", "line 2: what has no value is asked for its \"y\"", -TRIT_EINVAL},
        {"{{ 'a' + 1 }}", "\"+\" does not take a string and an integer", -TRIT_EINVAL},
        {"{{ 1 // 0 }}", "division by zero", -TRIT_EINVAL},
        {"{{ 9223372036854775807 + 1 }}", "64 bits", -TRIT_EINVAL},
        {"{{ raise_exception('no ' + word) }}", "refuses the conversation: no grer", -TRIT_EINVAL},
        {"{{ word() }}", "word is called, but is a string", -TRIT_EINVAL},
        {"{{ d.b.c.d }}", "no value", -TRIT_EINVAL},
        {"{% set d.b = 1 %}", "only members of a namespace", -TRIT_EINVAL},
        {"{{ x|tojson }}", "undefined has no form in JSON", -TRIT_EINVAL},
        {"{% for i in range(3000000) %}{% for j in range(3000000) %}{% endfor %}{% endfor %}",
         "more than 1000000 steps", -TRIT_EINVAL},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "levels deep", -TRIT_EINVAL},
        {"{% set n = namespace(x='aaaaaaaa') %}{% for i in range(40) %}{% set n.x = n.x + n.x %}"
         "{% endfor %}",
         "more than", -TRIT_EINVAL},
        {"{% if 1 %}{% else %}{% elif 1 %}{% endif %}", "\"elif\"", -TRIT_EFORMAT},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct buf out = {0};
        struct trit_error err = {0};
        int rc = run(all[i].source, &out, &err);
        ck_assert_msg(rc == all[i].rc && strstr(err.text, all[i].why), "%s\n%d: %s", all[i].source,
                      rc, err.text);
        ck_assert_uint_eq(out.len, 0);
        buf_free(&out);
    }
    /* Nesting without end is refused and not followed down. */
    struct buf deep = {0}, out = {0};
    struct trit_error err = {0};
    buf_adds(&deep, "{{ ");
    for (int i = 0; i < 100000; i++)
        buf_adds(&deep, "not ");
    buf_adds(&deep, "1 }}");
    ck_assert_int_eq(run(deep.data, &out, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "levels within one another"));
    buf_free(&deep);
    buf_free(&out);
}
END_TEST

START_TEST(no_memory)
{
    static const char source[] =
        "{% macro f(a) %}{{ a|upper }}{% endmacro %}{% for m in messages %}{{ f(m.content) + word "
        "}}"
        "{{ m|tojson }}{{ [1, m]|string }}{% set x = namespace(a=m.role.split('s')) %}{% endfor %}";
    struct jinja_pool p = {0};
    struct jinja_value vars = variables(&p);
    struct jinja *t = NULL;
    unsigned n = 0, total = 0;
    for (bool failed = true; failed; total++) {
        struct trit_error err = {0};
        mem_fail_at(++n);
        int rc = jinja_open(source, strlen(source), &t, &err);
        failed = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? -TRIT_ENOMEM : 0);
        ck_assert(failed == (t == NULL) && err.code == -rc);
    }
    n = 0;
    for (bool failed = true; failed; total++) {
        struct trit_error err = {0};
        struct buf out = {0};
        struct tok_range *range = NULL;
        size_t n_ranges = 0;
        mem_fail_at(++n);
        int rc = jinja_render(t, vars, NULL, &out, &range, &n_ranges, &err);
        failed = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? -TRIT_ENOMEM : 0);
        ck_assert(failed == (range == NULL) && err.code == -rc && (!failed || out.len == 0));
        mem_free(range);
        buf_free(&out);
    }
    ck_assert_uint_ge(total, 6);
    jinja_close(&t);
    jinja_pool_free(&p);
}
END_TEST

int main(void)
{
    log_open(LOG_ERROR, 0);
    Suite *suite = suite_create("jinja");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, white_space);
    tcase_add_test(all, expressions);
    tcase_add_test(all, statements);
    tcase_add_test(all, filters);
    tcase_add_test(all, origin);
    tcase_add_test(all, errors);
    tcase_add_test(all, no_memory);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
