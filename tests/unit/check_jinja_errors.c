/* SPDX-License-Identifier: MIT */
/*
 * check_jinja_errors.c - templates that are refused, and renderings that fail: each with the place
 * and the words.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "unit/jinja-run.h"
#include "unit/unit.h"

struct bad {
    const char *source, *says;
};

/* Found before anything is rendered. */
static const struct bad unsound[] = {
    {"{{ 1", "line 1, column 1: a tag that begins here has no end"},
    {"{{ 1 -", "line 1, column 1: a tag that begins here has no end"},
    {"ab{# c", "line 1, column 3: a comment that begins here has no end"},
    {"\n{% raw %}{% endra %}", "line 2, column 1: raw has no endraw"},
    {"{{ 'a }}", "line 1, column 4: a string that begins here has no end"},
    {"{{ 'a\\", "line 1, column 4: a string that begins here has no end"},
    {"{{ ` }}", "line 1, column 4: found a character that no expression has"},
    {"{{ 1 ! 2 }}", "line 1, column 6: found a character that no expression has"},
    {"{{ a & b }}", "line 1, column 6: found a character that no expression has"},
    {"{{ (1] }}", "line 1, column 6: found \"]\", which closes nothing"},
    {"{{ } }}", "line 1, column 4: found \"}\", which closes nothing"},
    {"{% 1 %}", "line 1, column 4: expected the name of a statement"},
    {"{% include 'x' %}",
     "line 1, column 4: found the statement \"include\", which is not supported here"},
    {"{% endif %}", "line 1, column 4: found the statement \"endif\", which is not supported here"},
    {"{% for x in y %}", "line 1, column 4: what begins here is not closed; expected \"endfor\""},
    {"{% if x %}a{% else %}b",
     "line 1, column 4: what begins here is not closed; expected \"endif\""},
    {"{% macro f() %}", "line 1, column 4: what begins here is not closed; expected \"endmacro\""},
    {"{% set x %}", "line 1, column 4: what begins here is not closed; expected \"endset\""},
    {"{% with %}", "line 1, column 4: what begins here is not closed; expected \"endwith\""},
    {"{% filter upper %}",
     "line 1, column 4: what begins here is not closed; expected \"endfilter\""},
    {"{% generation %}",
     "line 1, column 4: what begins here is not closed; expected \"endgeneration\""},
    {"{% call f() %}", "line 1, column 4: what begins here is not closed; expected \"endcall\""},
    {"{% for x of y %}", "line 1, column 10: expected \"in\" behind the loop's variable"},
    {"{% for x in y recursive %}{% endfor %}",
     "line 1, column 15: recursive loops are not supported"},
    {"{% break %}", "line 1, column 4: break and continue only stand in a loop"},
    {"{% for i in x %}{% macro f() %}{% continue %}{% endmacro %}{% endfor %}",
     "line 1, column 35: break and continue only stand in a loop"},
    {"{% call f %}{% endcall %}", "line 1, column 9: expected the call of a macro"},
    {"{{ 1 2 }}", "line 1, column 6: expected \"}}\" or an operator here"},
    {"{% if 1 2 %}{% endif %}", "line 1, column 9: expected \"%}\" here"},
    {"{{ a[] }}", "line 1, column 5: found \"[]\", expected a key between the brackets"},
    {"{{ f(a=1, 2) }}", "line 1, column 11: a value without a name follows one with a name"},
    {"{{ 1|nothing }}", "there is no filter \"nothing\""},
    {"{{ 1 is nothing }}", "there is no test \"nothing\""},
    {"\xff", "found bytes that are not UTF-8"},
    {"{{ '\\u12' }}", "found an escape sequence that names no character"},
    {"{{ '\\ud800' }}", "found an escape sequence that names no character"},
    {"{{ '\\U00110000' }}", "found an escape sequence that names no character"},
    {"{{ 99999999999999999999 }}",
     "line 1, column 4: found \"99999999999999999999...\", expected a number"},
    {"{{ 1e999 }}", "line 1, column 4: found \"1e999...\", expected a number"},
    {"{{ 1111111111111111111111111111111111111111111111111111111111111111111111111111 }}",
     "line 1, column 4: found \"11111111111111111111...\", expected a number"},
    {"{{ 1x }}", "line 1, column 4: found \"1...\", expected a number"},
    {"{{ a[1:2:3:4] }}", "line 1, column 12: found a constant, expected \"]\""},
    {"{{ a[1 2] }}", "line 1, column 8: found"},
};

/* Found at rendering: no text comes out. */
static const struct bad failing[] = {
    {"\n{{ x.y }}", "line 2: what has no value is asked for its \"y\""},
    {"{{ x[0] }}", "line 1: what has no value is asked for one of its members"},
    {"{{ x[1:] }}", "line 1: what has no value is cut into slices"},
    {"{{ 'abc'['a':] }}", "line 1: a slice needs integers, and a step that is not 0"},
    {"{{ 'abc'[::0] }}", "line 1: a slice needs integers, and a step that is not 0"},
    {"{% for i in 5 %}{% endfor %}", "line 1: an integer has no elements to go through"},
    {"{{ none|list }}", "line 1: none has no elements to go through"},
    {"{{ word() }}", "line 1: word is called, but is a string"},
    {"{{ (1)() }}", "is called, but is an integer"},
    {"{% set d.b = 1 %}", "line 1: only members of a namespace can be set"},
    {"{% set a, b = [1] %}", "line 1: 1 values are given to 2 names"},
    {"{% set a, b = [1, 2, 3] %}", "line 1: 3 values are given to 2 names"},
    {"{{ 'a'|upper(1) }}", "line 1: upper takes at most 0 values, found 1"},
    {"{{ 'a'|replace('a') }}", "line 1: replace takes at least 2 values, found 1"},
    {"{{ 'a'|replace(old='a', count=1) }}", "line 1: replace takes what to replace, and with what"},
    {"{{ 'a'|trim(what='a') }}", "line 1: trim has no parameter what, or has it twice"},
    {"{{ 'a'|trim('a', chars='b') }}", "line 1: trim has no parameter chars, or has it twice"},
    {"{{ dict(**[1]) }}", "line 1: \"**\" stands before a list, expected a dict"},
    {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
     "line 1: the macro f is given a value that it does not take"},
    {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
     "line 1: the macro f is given a value that it does not take"},
    {"{{ {[1]: 2} }}", "line 1: a list cannot be the key of a dict"},
    {"{{ {{}: 2} }}", "line 1: a dict cannot be the key of a dict"},
    {"{{ -'a' }}", "line 1: a sign stands before a string"},
    {"{{ +none }}", "line 1: a sign stands before none"},
    {"{{ 'a' + 1 }}", "line 1: the operator \"+\" does not take a string and an integer"},
    {"{{ [1] + (1,) }}", "line 1: the operator \"+\" does not take"},
    {"{{ [1] - [1] }}", "line 1: the operator \"-\" does not take a list and a list"},
    {"{{ 1 // 0 }}", "line 1: division by zero"},
    {"{{ 1 % 0 }}", "line 1: division by zero"},
    {"{{ 1 / 0 }}", "line 1: division by zero"},
    {"{{ 1.5 / 0 }}", "line 1: division by zero"},
    {"{{ 1.5 % 0 }}", "line 1: division by zero"},
    {"{{ 0 ** -1 }}", "line 1: division by zero"},
    {"{{ 0.0 ** -1 }}", "line 1: division by zero"},
    {"{{ 9223372036854775807 + 1 }}", "line 1: the result is no integer of 64 bits"},
    {"{{ -9223372036854775807 - 2 }}", "line 1: the result is no integer of 64 bits"},
    {"{{ 9223372036854775807 * 2 }}", "line 1: the result is no integer of 64 bits"},
    {"{{ 3 ** 64 }}", "line 1: the result is no integer of 64 bits"},
    {"{{ (-9223372036854775807 - 1) // -1 }}", "line 1: the result is no integer of 64 bits"},
    {"{{ (-9223372036854775807 - 1)|abs }}", "line 1: the result is no integer of 64 bits"},
    {"{{ 'ab' * 99999999999 }}", "line 1: 99999999999 times a string is too large"},
    {"{{ [1] * 99999999999 }}", "line 1: 99999999999 times a list is too large"},
    {"{{ 1 < 'a' }}", "line 1: an integer and a string have no order"},
    {"{{ [1, 'a']|sort }}", "line 1: an integer and a string have no order"},
    {"{{ none|max }}", "line 1: none has no elements to go through"},
    {"{{ [none, 1]|min }}", "line 1: an integer and none have no order"},
    {"{{ 1 in 'a' }}", "line 1: \"in\" looks for an integer in a string"},
    {"{{ 1 in 5 }}", "line 1: \"in\" looks into an integer"},
    {"{{ none|abs }}", "line 1: abs of none"},
    {"{{ 'a'|int(0, 1) }}", "line 1: int: found the base 1"},
    {"{{ 'a'|int(0, 37) }}", "line 1: int: found the base 37"},
    {"{{ 'a'|int(0, 'b') }}", "line 1: base: found a string, expected an integer"},
    {"{{ 'a'|round }}", "line 1: round takes a number, and digits from -300 to 300"},
    {"{{ 1|round(301) }}", "line 1: round takes a number, and digits from -300 to 300"},
    {"{{ 25|round(-1, 5) }}", "line 1: round: found an integer, expected common, ceil or floor"},
    {"{{ 2.5|round(1, 'up') }}", "line 1: round: found \"up\", expected common, ceil or floor"},
    {"{{ 2.5|round(method=none) }}", "line 1: round: found none, expected common, ceil or floor"},
    {"{{ 5|length }}", "line 1: an integer has no length"},
    {"{{ d|attr(1) }}", "line 1: attr takes the name of an attribute"},
    {"{{ 5|items }}", "line 1: items of an integer"},
    {"{{ raise_exception('no ' + word) }}",
     "line 1: the template refuses the conversation: no grer"},
    {"{{ raise_exception() }}", "line 1: raise_exception takes at least 1 values, found 0"},
    {"{{ range('a') }}", "line 1: range: found a string, expected an integer"},
    {"{{ range(1, 2, 0) }}", "line 1: range: found a step of 0"},
    {"{{ range(stop=2) }}", "line 1: range: found a value with a name, expected none"},
    {"{{ dict([1]) }}", "line 1: expected a dict, or names with values"},
    {"{{ namespace({1: 2}) }}", "line 1: namespace: found a member whose name is an integer"},
    {"{{ [1].index(2) }}", "line 1: index: the value is not in the list"},
    {"{{ 'a'.index('b') }}", "line 1: index: the string is not there"},
    {"{% for i in [1] %}{{ loop.cycle() }}{% endfor %}",
     "line 1: cycle takes at least 1 values, found 0"},
    {"{% for i in [1] %}{{ loop.cycle(a=1) }}{% endfor %}",
     "line 1: cycle takes at least one value"},
    {"{{ [1]|map(attr='a') }}", "line 1: map takes attribute=... or the name of a filter"},
    {"{{ [1]|map('nothing') }}", "line 1: there is no filter \"nothing\" here"},
    {"{{ [1]|select('nothing') }}", "line 1: there is no test of this name here"},
    {"{{ [1]|select(1) }}", "line 1: there is no test of this name here"},
    {"{{ [1]|selectattr(a='b') }}", "line 1: selectattr takes the name of an attribute"},
    {"{{ [1]|rejectattr(a='b') }}", "line 1: rejectattr takes the name of an attribute"},
    {"{{ 'a'.split('') }}", "line 1: split: found an empty separator"},
    {"{{ 'a'.split(1) }}", "line 1: sep: found an integer, expected a string"},
    {"{{ 'a'.rsplit('', 1) }}", "line 1: rsplit: found an empty separator"},
    {"{{ 'a'.rsplit(none, 1) }}", "line 1: rsplit at white space is not supported"},
    {"{{ 'a'.startswith(1) }}", "line 1: found an integer, expected a string"},
    {"{{ 'a'.endswith(('b', 1)) }}", "line 1: found an integer, expected a string"},
    {"{{ 'a'.removeprefix(1) }}", "line 1: prefix: found an integer, expected a string"},
    {"{{ 'a'.replace('a', 1) }}", "line 1: new: found an integer, expected a string"},
    {"{{ 'a'.find(1) }}", "line 1: sub: found an integer, expected a string"},
    {"{{ ','.join([1]) }}", "line 1: join: found an integer, expected strings"},
    {"{{ '{'.format() }}", "line 1: format: a bracket stands alone"},
    {"{{ '}'.format() }}", "line 1: format: a bracket stands alone"},
    {"{{ '{}'.format() }}", "line 1: format: no value for the place {}"},
    {"{{ '{1}'.format(1) }}", "line 1: format: no value for the place {1}"},
    {"{{ '{a}'.format(1) }}", "line 1: format: no value for the place {a}"},
    {"{{ '{0000}'.format(1) }}", "line 1: format: no value for the place {0000}"},
    {"{{ '%x' % 1 }}", "line 1: only %s, %r, %d and %% are supported in a format"},
    {"{{ '%' % 1 }}", "line 1: only %s, %r, %d and %% are supported in a format"},
    {"{{ '%s %s' % 1 }}", "line 1: a format has more places than values"},
    {"{{ '%s' % (1, 2) }}", "line 1: a format has fewer places than values"},
    {"{{ '%d' % 'a' }}", "line 1: %d formats a string"},
    {"{{ '%i' % 1e300 }}", "line 1: %i formats a number that is no integer of 64 bits"},
    {"{{ x|tojson }}", "line 1: undefined has no form in JSON"},
    {"{{ namespace(a=1)|tojson }}", "has no form in JSON"},
    {"{{ [range]|tojson }}", "has no form in JSON"},
    {"{{ 1|tojson(separators=1) }}", "line 1: tojson: separators are two strings"},
    {"{{ 1|tojson(separators=[',']) }}", "line 1: tojson: separators are two strings"},
    {"{{ 1|tojson(separators=[',', 1]) }}", "line 1: tojson: separators are two strings"},
    {"{{ {'a': 1, 2: 3}|tojson(sort_keys=true) }}",
     "line 1: a string and an integer have no order"},
    {"{% for i in range(3000000) %}{% for j in range(3000000) %}{% endfor %}{% endfor %}",
     "line 1: the template takes more than 1000000 steps"},
    {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "levels deep"},
    {"{% set n = namespace(x='aaaaaaaa') %}{% for i in range(40) %}{% set n.x = n.x + n.x %}"
     "{% endfor %}",
     "line 1: the template takes more than 1000000 steps"},
};

static void refused(const struct bad *b, int code)
{
    struct buf out = {0};
    struct trit_error err = {0};
    int rc = run(b->source, &out, &err);
    ck_assert_msg(rc == code, "%.200s\n%d: %s%.200s", b->source, rc, err.text,
                  out.data ? out.data : "");
    ck_assert_msg(strstr(err.text, b->says), "%.200s\n\"%s\" lacks \"%s\"", b->source, err.text,
                  b->says);
    ck_assert_uint_eq(out.len, 0);
    buf_free(&out);
}

START_TEST(before_rendering)
{
    refused(&unsound[_i], -TRIT_EFORMAT);
}
END_TEST

START_TEST(while_rendering)
{
    refused(&failing[_i], -TRIT_EINVAL);
}
END_TEST

START_TEST(time_and_its_format)
{
    struct jinja_pool p = {0};
    struct jinja *t = NULL;
    struct buf out = {0}, source = {0};
    struct tok_range *range = NULL;
    struct trit_error err = {0};
    size_t n = 0;
    static const char plain[] = "{{ strftime_now('%d') }}";
    ck_assert_int_eq(jinja_open(plain, strlen(plain), &t, &err), 0);
    ck_assert_int_eq(jinja_render(t, variables(&p), NULL, &out, &range, &n, &err), -TRIT_EINVAL);
    ck_assert_str_eq(err.text, "line 1: strftime_now: no time is given");
    jinja_close(&t);
    jinja_pool_free(&p);

    buf_adds(&source, "{{ strftime_now('");
    for (int i = 0; i < 128; i++)
        buf_addc(&source, 'x');
    buf_adds(&source, "') }}");
    refused(&(struct bad){source.data,
                          "line 1: strftime_now: found a format of 128 bytes, expected "
                          "less than 128"},
            -TRIT_EINVAL);
    buf_free(&source);
}
END_TEST

START_TEST(deep_and_long)
{
    static const struct {
        const char *open, *inner, *close, *says;
    } nests[] = {
        {"(", "1", ")", "brackets within one another"},
        {"-", "1", "", "levels within one another"},
        {"not ", "1", "", "levels within one another"},
        {"1 if 1 else ", "1", "", "levels within one another"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(nests); i++) {
        buf_reset(&b);
        buf_adds(&b, "{{ ");
        for (int k = 0; k < 10000; k++)
            buf_adds(&b, nests[i].open);
        buf_adds(&b, nests[i].inner);
        for (int k = 0; k < 10000; k++)
            buf_adds(&b, nests[i].close);
        buf_adds(&b, " }}");
        refused(&(struct bad){b.data, nests[i].says}, -TRIT_EFORMAT);
    }
    buf_reset(&b);
    buf_adds(&b, "{{ ");
    for (int k = 0; k < 10000; k++)
        buf_adds(&b, "1 ** ");
    buf_adds(&b, "1 }}");
    refused(&(struct bad){b.data, "the template goes more than 400 levels deep"}, -TRIT_EINVAL);
    buf_reset(&b);
    for (int k = 0; k < 10000; k++)
        buf_adds(&b, "{% if x %}");
    refused(&(struct bad){b.data, "levels within one another"}, -TRIT_EFORMAT);
    buf_reset(&b);
    for (size_t n = 0; n <= JINJA_SOURCE_BYTES; n += 16)
        buf_adds(&b, "0123456789abcdef");
    refused(&(struct bad){b.data, "bytes, expected at most"}, -TRIT_EFORMAT);
    buf_free(&b);
}
END_TEST

int main(void)
{
    log_open(LOG_ERROR, 0);
    Suite *suite = suite_create("jinja_errors");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, before_rendering, 0, ARRAY_LEN(unsound));
    tcase_add_loop_test(all, while_rendering, 0, ARRAY_LEN(failing));
    tcase_add_test(all, time_and_its_format);
    tcase_add_test(all, deep_and_long);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
