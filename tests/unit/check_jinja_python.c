/* SPDX-License-Identifier: MIT */
/*
 * check_jinja_python.c - templates and what Jinja2 3.1 makes of them, set up as transformers does:
 * every filter, test, method, function, operator and statement that tritd has.
 *
 * The texts were made by Python; where a line is added, so are they.  `d` is {'b': 2, 'items':
 * True, 'a': None}, no other variable is there.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "unit/unit.h"

struct pair {
    const char *source, *want;
};

static const struct pair text_filters[] = {
    {"{{ 'xxaxx'|trim('x') }}|{{ 5|trim }}|{{ ' a '|trim }}", "a|5|a"},
    {"{{ 'aaa'|replace('a', 'b', 2) }} {{ 'ab'|replace('', '-') }} {{ 'aé'|replace('', '-', 2) }} "
     "{{ 'abc'|replace('x', 'y') }}",
     "bba -a-b- -a-é abc"},
    {"{{ '%s-%s'|format('a', 1) }} {{ '%r %i %% %d'|format('a', true, 7) }}", "a-1 'a' 1 % 7"},
    {"{{ '<a href=\"x\">&\\''|escape }} {{ 5|e }}", "&lt;a href=&#34;x&#34;&gt;&amp;&#39; 5"},
    {"{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(1, true) }}|{{ 'a\\n\\nb'|indent(1, false, "
     "true) }}|{{ 'a\\nb'|indent('>') }}|{{ ''|indent }}",
     "a\n    b\n\n    c| a\n b|a\n \n b|a\n>b|"},
    {"{% set s = 'a\\r\\nb\vc\\r\\r\\n\u2028d\\r' %}{{ s|indent(1) }}|{{ s|indent(1, true) }}|{{ "
     "s|indent(1, false, true) }}",
     "a\n b\n c\n\n\n d| a\n b\n c\n\n\n d|a\n b\n c\n \n \n d"},
    {"{{ 'a\\r\\n'|indent(1) }}|{{ '\\r'|indent(1) }}|{{ '\\r'|indent(1, true) }}|{{ 'a\x1c\x1f"
     "b\\n\\n'|indent(1, false, true) }}",
     "a\n|| |a\n \x1f"
     "b\n \n "},
    {"{{ ['a\u00a0\u00ad', '\xc2\x85\u200b\u200d\ufeff\u2028\u3000\u00e9\u6f22', "
     "'\U0001f600\ue000\u0378\U000e0001'] }} {{ '%r'|format('\u200b') }}",
     "['a\\xa0\\xad', '\\x85\\u200b\\u200d\\ufeff\\u2028\\u3000\u00e9\u6f22', "
     "'\U0001f600\\ue000\\u0378\\U000e0001'] '\\u200b'"},
    {"{{ 'ÄÖ'|lower }} {{ 'žluť'|upper }} {{ 'Ћирилица'|lower }} {{ 'ĹĺŹ'|lower }}{{ 'ĺź'|upper }} "
     "{{ 'ÿŸ'|upper }}{{ 'ÿŸ'|lower }} {{ 'αω'|upper }}",
     "äö ŽLUŤ ћирилица ĺĺźĹŹ ŸŸÿÿ ΑΩ"},
    {"{{ 'they\\'re (bill\\'s) [x]y <z> {w}'|title }} {{ \"they're bill's\"|replace(\"'\", '\"') "
     "}} {{ \"they're 3rd\".title() }}",
     "They're (Bill's) [X]y <Z> {W} they\"re bill\"s They'Re 3Rd"},
    {"{{ 'HELLO world'|capitalize }} {{ 'éA'.capitalize() }}", "Hello world Éa"},
    {"{{ 5|string ~ none|string ~ true|string ~ 1.5|string }} {{ [1, 'a']|string }} {{ {'a': "
     "none}|string }}",
     "5NoneTrue1.5 [1, 'a'] {'a': None}"},
    {"{{ 'abc'|safe }}{{ 5|safe }} {{ 'a'|attr('upper') is defined }}", "abc5 True"},
    {"{{ 'a\\tb\\\\\\'\"\\n'|string|list }}", "['a', '\\t', 'b', '\\\\', \"'\", '\"', '\\n']"},
};

static const struct pair number_filters[] = {
    {"{{ -3|abs }} {{ (-3)|abs }} {{ -1.5|abs }} {{ true|abs }} {{ (-2.5)|abs }}", "3 3 1.5 1 2.5"},
    {"{{ '42'|int }} {{ ' 42 '|int }} {{ '4x'|int }} {{ 'x'|int(-1) }} {{ '1f'|int(0, 16) }} {{ "
     "'0x1f'|int(0, 16) }} {{ '101'|int(base=2) }} {{ 3.99|int }} {{ -3.99|int }} {{ true|int }} "
     "{{ none|int }} {{ [1]|int(9) }} {{ '3.7'|int }} {{ '1e3'|int }} {{ ''|int }} {{ "
     "'99999999999999999999'|int(5) > 0 }}",
     "42 42 0 -1 31 31 5 3 -3 1 0 9 3 1000 0 True"},
    {"{{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(2.5) }} {{ 3|float }} {{ true|float }} {{ "
     "none|float }} {{ '0x1p3'|float(7.0) }} {{ ' 2 '|float }}",
     "1.5 0.0 2.5 3.0 1.0 0.0 7.0 2.0"},
    {"{{ 42.55|round }} {{ 42.55|round(1) }} {{ 42.55|round(1, 'floor') }} {{ 42.51|round(0, "
     "'ceil') }} {{ 42.1|round(method='ceil') }} {{ -42.1|round(0, 'floor') }} {{ 42.55|round(1, "
     "'common') }} {{ 1234|round(-2) }} {{ 1250|round(-2) }} {{ 1350|round(-2, 'common') }} {{ "
     "1234|round(-2, 'ceil') }} {{ 1290|round(-2, 'floor') }} {{ 2.5|round }} {{ 3.5|round }} {{ "
     "0.5|round|int }}",
     "43.0 42.5 42.5 43.0 43.0 -43.0 42.5 1200 1200 1400 1300.0 1200.0 2.0 4.0 0"},
    {"{{ 15|round(-1) }} {{ 25|round(-1) }} {{ -15|round(-1) }} {{ -25|round(-1) }} {{ "
     "-26|round(-1) }} {{ 5|round(-300) }} {{ 30|round(-1) }} {{ 25.0|round(-1) }} {{ "
     "1.5|round(18) }} {{ 7|float|round(2)|string }} {{ true|round }}",
     "20 20 -20 -20 -30 0 30 20.0 1.5 7.0 1"},
    {"{{ '%d' % 2.7 }} {{ '%d %i' % (-2.7, true) }} {{ '%s' % 1.0 }}", "2 -2 1 1.0"},
};

static const struct pair any_filters[] = {
    {"{{ x|default }}|{{ none|default('a') }}|{{ none|default('a', true) }}|{{ 0|d('z', "
     "boolean=true) }}|{{ ''|default('q') }}|{{ x|default(default_value='v') }}",
     "|None|a|z||v"},
    {"{{ 'größer'|length }} {{ [1, 2]|count }} {{ {'a': 1}|length }} {{ x|length }} {{ (1, 2, "
     "3)|length }}",
     "6 2 1 0 3"},
    {"{{ 'abc'|first }}{{ 'abc'|last }} {{ []|first is defined }} {{ [1, 2]|last }} {{ {'a': "
     "1}|first }} {{ x|list }} {{ {'a': 1, 'b': 2}|list }} {{ 'größ'|list }}",
     "ac False 2 a [] ['a', 'b'] ['g', 'r', 'ö', 'ß']"},
    {"{{ 'größ'|reverse }} {{ [1, 2, 3]|reverse|list }} {{ (1, 2)|reverse|list }} {{ ''|reverse }}",
     "ßörg [3, 2, 1] [2, 1] "},
    {"{{ [1, 2, 3]|join }} {{ [1, none, 'a']|join('-') }} {{ [{'a': 1}, {'a': 2}]|join(', ', "
     "attribute='a') }} {{ 'abc'|join('.') }} {{ x|join('-') }} {{ []|join(',') }}",
     "123 1-None-a 1, 2 a.b.c  "},
    {"{{ {'a': 1}|items|list }} {{ x|items|list }}", "[('a', 1)] []"},
    {"{{ ['b', 'A', 'c']|sort }} {{ ['b', 'A', 'c']|sort(case_sensitive=true) }} {{ [3, 1, "
     "2]|sort(reverse=true) }} {{ [3, 1.5, true]|sort }} {{ [{'a': {'b': 2}}, {'a': {'b': "
     "1}}]|sort(attribute='a.b') }} {{ [(2, 'a'), (1, 'b')]|sort }} {{ []|sort }} {{ [[1, 2], [1], "
     "[0, 9]]|sort }} {{ ['aa', 'a', 'ab']|sort }}",
     "['A', 'b', 'c'] ['A', 'b', 'c'] [3, 2, 1] [True, 1.5, 3] [{'a': {'b': 1}}, {'a': {'b': 2}}] "
     "[(1, 'b'), (2, 'a')] [] [[0, 9], [1], [1, 2]] ['a', 'aa', 'ab']"},
    {"{{ {'b': 1, 'A': 2}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'a': "
     "2}|dictsort(by='value') }} {{ {'b': 1, 'a': 2}|dictsort(false, 'key', true) }} {{ "
     "{}|dictsort }}",
     "[('A', 2), ('b', 1)] [('A', 2), ('b', 1)] [('b', 1), ('a', 2)] [('b', 1), ('a', 2)] []"},
    {"{{ ['a', 'A', 'b', 'a']|unique|list }} {{ ['a', 'A', 'b']|unique(true)|list }} {{ [{'a': 1, "
     "'b': 1}, {'a': 1, 'b': 2}]|unique(attribute='a')|list }} {{ [1, 1.0, true, '1']|unique|list "
     "}}",
     "['a', 'b'] ['a', 'A', 'b'] [{'a': 1, 'b': 1}] [1, '1']"},
    {"{{ [2, 1, 3]|min }} {{ [2, 1, 3]|max }} {{ ['b', 'A']|min }} {{ ['b', "
     "'A']|max(case_sensitive=true) }} {{ [{'a': 2}, {'a': 1}]|min(attribute='a') }} {{ []|min is "
     "defined }}",
     "1 3 A b {'a': 1} False"},
    {"{{ [1, 2.5]|sum }} {{ [{'a': 1}, {'a': 2}]|sum(attribute='a') }} {{ [1]|sum(start=10) }} {{ "
     "[]|sum }}",
     "3.5 3 11 0"},
};

static const struct pair elements[] = {
    {"{{ ['a', 'b']|map('upper')|list }} {{ [{'a': 1}, {}]|map(attribute='a')|list|length }} {{ "
     "[{'a': 1}, {}]|map(attribute='a', default=9)|list }} {{ ['1', 'x']|map('int', 7)|list }} {{ "
     "x|map('upper')|list }} {{ [[3, 1]]|map('sort', reverse=true)|list }} {{ [[1, 2], [3, "
     "4]]|map(attribute=1)|list }} {{ [{'a': [5, 6]}]|map(attribute='a.1')|list }}",
     "['A', 'B'] 2 [1, 9] [1, 7] [] [[3, 1]] [2, 4] [6]"},
    {"{{ [0, 1, 2]|select|list }} {{ [0, 1, 2]|reject|list }} {{ [1, 2, 3, 4]|select('even')|list "
     "}} {{ [1, 2, 3, 4]|reject('odd')|list }} {{ [1, 2, 3]|select('>', 1)|list }} {{ [1, 2, "
     "3]|select('divisibleby', 3)|list }} {{ ['a', 'b']|select('in', ['b', 'c'])|list }} {{ ['a', "
     "none]|reject('none')|list }}",
     "[1, 2] [0] [2, 4] [2, 4] [2, 3] [3] ['b'] ['a']"},
    {"{{ [{'a': 1}, {'a': 0}, {}]|selectattr('a')|list }} {{ [{'a': 1}, {'a': "
     "0}]|rejectattr('a')|list }} {{ [{'a': 1}, {}]|selectattr('a', 'defined')|list }} {{ [{'a': "
     "1}, {'a': 2}]|rejectattr('a', 'eq', 1)|list }} {{ [{'a': {'b': 1}}]|selectattr('a.b', "
     "'equalto', 1)|list|length }}",
     "[{'a': 1}] [{'a': 0}] [{'a': 1}] [{'a': 2}] 1"},
    {"{{ x|select|list }} {{ ''|map('upper')|list }} {{ none|map('upper')|list }}", "[] [] []"},
};

static const struct pair tests[] = {
    {"{{ none is sameas none }} {{ true is sameas(true) }} {{ 1 is sameas true }} {{ 0 is sameas "
     "false }} {{ 'x' is sameas none }} {{ d is sameas d }} {{ [] is sameas [] }} {{ d is not "
     "sameas none }} {{ 1 is sameas 1 }} {{ 1.0 is sameas 1 }} {{ [true, 1, none]|select('sameas', "
     "true)|list }}",
     "True True False False False True False True True False [True]"},
    {"{{ x is defined }} {{ 1 is defined }} {{ x is undefined }} {{ none is none }} {{ 'a' is "
     "string }} {{ 1 is string }} {{ {} is mapping }} {{ [] is mapping }}",
     "False True True True True False True False"},
    {"{{ [] is iterable }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ {} is sequence }} {{ (1,) "
     "is sequence }} {{ 5 is sequence }} {{ x is iterable }}",
     "True True False True True False True"},
    {"{{ 1 is number }} {{ 1.5 is number }} {{ true is number }} {{ '1' is number }} {{ 1 is "
     "integer }} {{ true is integer }} {{ 1.0 is integer }} {{ 1.0 is float }} {{ 1 is float }}",
     "True True True False True False False True False"},
    {"{{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is "
     "false }} {{ 0 is false }} {{ range is callable }} {{ 1 is callable }}",
     "True False True False True False True False"},
    {"{{ 2 is even }} {{ 3 is even }} {{ 3 is odd }} {{ 2 is odd }} {{ 9 is divisibleby 3 }} {{ 9 "
     "is divisibleby(2) }} {{ -3 is odd }}",
     "True False True False True False True"},
    {"{{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 1 }} {{ 1 is lt 2 }} {{ 1 is lessthan 1 }} "
     "{{ 1 is le 1 }} {{ 2 is gt 1 }} {{ 1 is greaterthan 1 }} {{ 1 is ge 1 }} {{ 1 is in [1] }} "
     "{{ 'a' is in 'cab' }} {{ 1 is not in [2] }}",
     "True False False True False True True False True True True True"},
    {"{{ 'AB' is upper }} {{ 'Ab' is upper }} {{ 'ab' is lower }} {{ 'aB' is lower }} {{ '12' is "
     "upper }} {{ '' is lower }} {{ 'É1' is upper }}",
     "True False True False False False True"},
    {"{{ 1 is not number }} {{ not x is defined }} {{ 'a' is string and 1 is number }} {{ [] is "
     "sequence or x }}",
     "False True True True"},
};

static const struct pair methods[] = {
    {"{{ 'āįĳķŋŷѡѱҋҿӑԯḁẕạỿĺňźžéöøþαρσϋяѐџաֆ'|upper }}",
     "ĀĮĲĶŊŶѠѰҊҾӐԮḀẔẠỾĹŇŹŽÉÖØÞΑΡΣΫЯЀЏԱՖ"},
    {"{{ 'ĀĮĲĶŊŶѠҀҊҾӐԮḀẔẠỾĹŇŹŽÉÖØÞΑΡΣΫЯЀЏԱՖ'|lower }}",
     "āįĳķŋŷѡҁҋҿӑԯḁẕạỿĺňźžéöøþαρσϋяѐџաֆ"},
    {"{{ 'aªµºÀ×'.isalpha() }} {{ 'ªµº'.isalpha() }} {{ 'ÀÿŸ'.isalpha() }} {{ '÷'.isalpha() }} {{ "
     "'中文'.isalpha() }} {{ '、'.isalpha() }} {{ '‐'.isalpha() }} {{ '！'.isalpha() }} {{ "
     "'（'.isalpha() }} {{ '😀'.isalpha() }} {{ '\\u2028'.isalpha() }} {{ 'Zz'.isalpha() }} {{ "
     "'[`{@'.isalpha() }} {{ '〈'.isalpha() }} {{ '⯿'.isalpha() }}",
     "False True True False True False False False False False False True False False False"},
    {"{{ '×÷Ā'|upper }} {{ '€ß中'|lower }} {{ 'ıķĸ'|lower }} {{ 'ŉŸ'|lower }}", "×÷Ā €ß中 ıķĸ ŉÿ"},
    {"{{ 'xäöx'.strip('äx') }} {{ 'ö€😀'.rstrip('😀€') }} {{ 'ab'.strip(none) }} {{ ''.strip('a') }} "
     "{{ ' a'|trim(none) }}",
     "ö ö ab  a"},
    {"{{ 'abc'[true] }} {{ [1, 2, 3][-3] }} {{ (1, 2, 3)[::2] }} {{ 'größ'[-1] }} {{ 'größ'[-9] is "
     "defined }} {{ [1, 2][::-9223372036854775807] }} {{ 'abc'[false:true] }}",
     "b 1 (1, 3) ß False [2] a"},
    {"{{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xyaxy'.strip('yx') }}|{{ "
     "'äaä'.rstrip('ä') }}|{{ 'äaä'.lstrip('ä') }}|{{ 'aaa'.strip('a') }}",
     "a|a | a|a|äa|aä|"},
    {"{{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a b  c '.split() }} {{ ' a b  c "
     "'.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a--b'.split('--') }} {{ 'a "
     "b'.split(' ', 0) }} {{ 'a b '.split(maxsplit=1) }} {{ ' a '.split(none, 0) }}",
     "['a', 'b', 'c'] ['a', 'b,c'] ['a', 'b', 'c'] ['a', 'b  c '] [] [''] ['a', 'b'] ['a b'] ['a', "
     "'b '] ['a ']"},
    {"{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a,b,c'.rsplit(',') }} {{ 'a b c'.rsplit() }} {{ "
     "'abc'.rsplit(',', 2) }} {{ 'a,b'.rsplit(',', 0) }} {{ 'a,b,c'.rsplit(',', 9) }}",
     "['a,b', 'c'] ['a', 'b', 'c'] ['a', 'b', 'c'] ['abc'] ['a,b'] ['a', 'b', 'c']"},
    {"{{ 'a\\nb\\r\\nc\\rd\\n'.splitlines() }} {{ 'a\\nb\\r\\n'.splitlines(true) }} {{ "
     "''.splitlines() }} {{ '\\n'.splitlines() }}",
     "['a', 'b', 'c', 'd'] ['a\\n', 'b\\r\\n'] [] ['']"},
    {"{{ 'a\vb\fc\x1c"
     "d\x1d"
     "e\x1e"
     "f\xc2\x85g\u2028h\u2029i\x1fj'.splitlines()|join('|') }} {{ "
     "'a\u2028b\vc'.splitlines(true)|join('|') }}",
     "a|b|c|d|e|f|g|h|i\x1fj a\u2028|b\v|c"},
    {"{{ 'abc'.startswith('ab') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.startswith(('x', "
     "'y')) }} {{ 'abc'.endswith('bc') }} {{ 'abc'.endswith(('c', 'x')) }} {{ "
     "'a'.startswith('abc') }} {{ 'a'.endswith('') }} {{ 'abc'.startswith(()) }}",
     "True True False True True False True False"},
    {"{{ 'abc'.removeprefix('ab') }} {{ 'abc'.removeprefix('x') }} {{ 'abc'.removesuffix('bc') }} "
     "{{ 'abc'.removesuffix('x') }} {{ 'a'.removeprefix('abc') }}",
     "c abc a abc a"},
    {"{{ 'aBc'.upper() }} {{ 'aBc'.lower() }} {{ 'ab cd'.title() }} {{ 'aB'.capitalize() }}",
     "ABC abc Ab Cd Ab"},
    {"{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 1) }} {{ 'ab'.replace('', '-') }}",
     "bbb baa -a-b-"},
    {"{{ 'größer'.find('ß') }} {{ 'abc'.find('x') }} {{ 'abab'.rfind('ab') }} {{ 'abc'.rfind('x') "
     "}} {{ 'größer'.index('ß') }} {{ 'ab'.rfind('') }} {{ 'ab'.find('') }}",
     "3 -1 2 -1 3 2 0"},
    {"{{ 'aaa'.count('a') }} {{ 'aaa'.count('aa') }} {{ 'äb'.count('') }} {{ 'abc'.count('x') }}",
     "3 1 3 0"},
    {"{{ '-'.join(['a', 'b']) }} {{ ','.join('abc') }} {{ ''.join([]) }}", "a-b a,b,c "},
    {"{{ '{} {}'.format(1, 'a') }} {{ '{1} {0}'.format('a', 'b') }} {{ '{x}'.format(x=5) }} {{ "
     "'{{}} {}'.format(1) }} {{ 'a}}b'.format() }}",
     "1 a b a 5 {} 1 a}b"},
    {"{{ '12'.isdigit() }} {{ '1a'.isdigit() }} {{ ''.isdigit() }} {{ 'aé'.isalpha() }} {{ "
     "'a1'.isalpha() }} {{ ' \\t'.isspace() }} {{ ''.isspace() }} {{ 'a '.isspace() }}",
     "True False False True False True False False"},
    {"{{ d.get('b') }} {{ d.get('q') }} {{ d.get('q', 7) }} {{ {'a': 1}.items()|list }} {{ {'a': "
     "1, 'b': 2}.keys()|list }} {{ {'a': 1}.values()|list }} {{ {1: 'x'}.get(1) }} {{ {1: "
     "'x'}.get(1.0) }} {{ {true: 'x'}[1] }}",
     "2 None 7 [('a', 1)] ['a', 'b'] [1] x x x"},
    {"{{ [1, 2, 1].count(1) }} {{ ['a', 'b'].index('b') }} {{ (1, 2).index(2) }}", "2 1 1"},
};

static const struct pair operators[] = {
    {"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7.5 // 2 }} {{ -7.5 // "
     "2 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 6 / 4 }} {{ 5 // -1 }} {{ 5 % -1 }} {{ 0 "
     "// 5 }}",
     "3 -4 -4 -2 2 3.0 -4.0 1.5 0.5 -0.5 1.5 -5 0 0"},
    {"{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2.0 ** 3 }} {{ (-2) ** 3 }} {{ 0 ** 0 }} {{ 2 ** 62 }} {{ 1 + "
     "1.5 }} {{ 3 - 1.5 }} {{ 2 * 1.5 }} {{ true + true }} {{ 1.5 / 0.5 }}",
     "1024 0.5 8.0 -8 1 4611686018427387904 2.5 1.5 3.0 2 3.0"},
    {"{{ 'a' * 3 }} {{ 3 * 'a' }} {{ [1] * 2 }} {{ 2 * (1,) }} {{ 'a' * 0 }} {{ 'a' * -1 }} {{ [] "
     "* 5 }} {{ 'a' * true }}",
     "aaa aaa [1, 1] (1, 1)   [] a"},
    {"{{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none ~ [1] }}",
     "[1, 2] (1, 2) ab a1None[1]"},
    {"{{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ 'a' != 'b' }} {{ none == none }} {{ none "
     "== false }} {{ [1, 2] == [1, 2] }} {{ [1] == (1,) }} {{ [1] == [1, 2] }} {{ {'a': 1} == "
     "{'a': 1.0} }} {{ {'a': 1} == {'b': 1} }} {{ {'a': 1} == {'a': 2} }} {{ {} == {'a': 1} }} {{ "
     "x == y }} {{ [[1]] == [[1]] }}",
     "True True True True True False True False False True False False False True True"},
    {"{{ 1 < 2 }} {{ 2 <= 2 }} {{ 3 > 2.5 }} {{ 'a' < 'b' }} {{ 'a' < 'B' }} {{ 'ab' > 'a' }} {{ "
     "'é' > 'z' }} {{ [1, 2] < [1, 3] }} {{ [1] < [1, 0] }} {{ (2,) > (1, 9) }} {{ 1 < 2 < 3 }} {{ "
     "3 > 2 > 2 }} {{ 2 >= 1 }} {{ [] < [] }} {{ 1.5 < 2 }} {{ true < 2 }}",
     "True True True True False True True True True True True False True False True True"},
    {"{{ 1 in [1] }} {{ 'b' in 'abc' }} {{ 'b' in d }} {{ 1 in x }} {{ 'q' not in d }} {{ [1] in "
     "[[1]] }} {{ '' in '' }} {{ none in [none] }}",
     "True True True False True True True True"},
    {"{{ not '' }} {{ not 'a' }} {{ not 0.0 }} {{ not [] }} {{ not {} }} {{ not none }} {{ not x "
     "}} {{ not range }} {{ not namespace() }} {{ 1 and 2 }} {{ 0 or 3 }} {{ '' or none }} {{ not "
     "1.5 }} {{ not (1,) }}",
     "True False True True True True True False False 2 3 None False False"},
    {"{{ +5 }} {{ -5 }} {{ - 2.5 }} {{ -true }} {{ -(3) ** 2 }} {{ -3|abs }} {{ +1.5 }}",
     "5 -5 -2.5 -1 9 3 1.5"},
    {"{{ 'abcdef'[2] }} {{ 'abcdef'[-2] }} {{ [1, 2, 3][0] }} {{ [1, 2, 3][5] is defined }} {{ "
     "'abc'[9] is defined }} {{ d['b'] }} {{ d['zz'] is defined }} {{ {1: 'a'}[1] }} {{ (1, 2)[-1] "
     "}} {{ 'größ'[3] }} {{ 'größ'[1:3] }}",
     "c e 1 False False 2 False a 2 ß rö"},
    {"{{ 'abcdef'[1:4] }} {{ 'abcdef'[:2] }} {{ 'abcdef'[4:] }} {{ 'abcdef'[::2] }} {{ "
     "'abcdef'[::-1] }} {{ 'abcdef'[-2:] }} {{ 'abcdef'[5:1] }} {{ 'abcdef'[4:1:-1] }} {{ [1, 2, "
     "3, 4][1:3] }} {{ [1, 2, 3][::-1] }} {{ (1, 2, 3)[1:] }} {{ 'abc'[-9:9] }} {{ 'abc'[none:2] "
     "}} {{ [1, 2, 3][-1:-9:-2] }} {{ ''[::-1] }}",
     "bcd ab ef ace fedcba ef  edc [2, 3] [3, 2, 1] (2, 3) abc ab [3, 1] "},
    {"{{ 1 if true else 2 }} {{ 1 if false }}| {{ (1 if false) is defined }} {{ 'a' if x else 'b' "
     "if y else 'c' }}",
     "1 | False c"},
    {"{{ 1e3 }} {{ 1.0 }} {{ 1e22 }} {{ 1e16 }} {{ 123456789.125 }} {{ 1e-5 }} {{ 0.0001 }} {{ "
     "1e100 }} {{ -0.0 }} {{ 100000 * 1.0 }} {{ 1_000 }} {{ 1.5e+3 }}",
     "1000.0 1.0 1e+22 1e+16 123456789.125 1e-05 0.0001 1e+100 -0.0 100000.0 1000 1500.0"},
    {"{{ 'a\\x41\\u00e9\\\\\\'\\\"\\n\\t' }} {{ \"a'b\" }} {{ 'a\"b' }} {{ ['a\\'b', \"q\\\"\", "
     "'a\\nb\\t\\\\'] }} {{ ['é', 1.0, none, true] }}",
     "aAé\\'\"\n\t a'b a\"b [\"a'b\", 'q\"', 'a\\nb\\t\\\\'] ['é', 1.0, None, True]"},
};

static const struct pair json[] = {
    {"{{ [1, 1.5, true, false, none, 'a', [], {}, (1, 2)]|tojson }}",
     "[1, 1.5, true, false, null, \"a\", [], {}, [1, 2]]"},
    {"{{ 'a\"b\\\\c\\n\\r\\t\\b\\f/é\\u0001\\u007f'|tojson }} {{ "
     "'é😀\\u0001'|tojson(ensure_ascii=true) }}",
     "\"a\\\"b\\\\c\\n\\r\\t\\b\\f/é\\u0001\177\" \"\\u00e9\\ud83d\\ude00\\u0001\""},
    {"{{ {'b': 1, 'a': {'d': 2, 'c': 3}}|tojson(sort_keys=true) }} {{ {1: 'a', true: 'b', none: "
     "'c', 1.5: 'd'}|tojson }}",
     "{\"a\": {\"c\": 3, \"d\": 2}, \"b\": 1} {\"1\": \"b\", \"null\": \"c\", \"1.5\": \"d\"}"},
    {"{{ {'a': [1, {'b': 2}], 'c': []}|tojson(indent=2) }} {{ [1, 2]|tojson(indent='--') }} {{ "
     "[1]|tojson(indent=0) }} {{ [1, 2]|tojson(indent=none) }}",
     "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": []\n} [\n--1,\n--2\n] "
     "[\n1\n] [1, 2]"},
    {"{{ {'a': [1, 2]}|tojson(separators=(',', ':')) }} {{ [1, 2]|tojson(separators=['; ', '=']) "
     "}} {{ {'a': 1}|tojson(indent=1, separators=(',', '=')) }} {{ [1]|tojson(separators=none) }}",
     "{\"a\":[1,2]} [1; 2] {\n \"a\"=1\n} [1]"},
    {"{{ (1e308 * 10)|tojson }} {{ (-1e308 * 10)|tojson }} {{ (1e308 * 10 - 1e308 * 10)|tojson }} "
     "{{ 1e308 * 10 }} {{ -1e308 * 10 }}",
     "Infinity -Infinity NaN inf -inf"},
};

static const struct pair functions[] = {
    {"{{ range(3)|list }} {{ range(1, 4)|list }} {{ range(0, 10, 3)|list }} {{ range(5, 0, "
     "-2)|list }} {{ range(3, 1)|list }} {{ range(true)|list }} {{ range(0)|list }}",
     "[0, 1, 2] [1, 2, 3] [0, 3, 6, 9] [5, 3, 1] [] [0] []"},
    {"{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict() }} {{ dict({'a': 1}, a=2) }}",
     "{'a': 1, 'b': 'x'} {'a': 1, 'b': 2} {} {'a': 2}"},
    {"{% set n = namespace(a=1) %}{% set n.a = n.a + 1 %}{% set n.b = 5 %}{{ n.a }}{{ n.b }}{{ n.c "
     "is defined }}{{ n is mapping }}",
     "25FalseFalse"},
    {"{% for i in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{{ loop.index0 }}{{ loop.revindex }}{{ "
     "loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.nextitem if not loop.last }};{% "
     "endfor %}",
     "a033102;b123103;a21310;"},
    {"{% for i, (k, v) in [(1, ('a', 2)), (3, ('b', 4))] %}{{ i }}{{ k }}{{ v }}{% endfor %} {% "
     "for "
     "(a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %} {% for (a) in [1, 2] %}{{ a "
     "}}{% endfor %} {% for (a,) in [[1]] %}{{ a }}{% endfor %} {% set (x, (y, z)), w = (1, (2, "
     "3)), 4 %}{{ x }}{{ y }}{{ z }}{{ w }}",
     "1a23b4 123 12 1 1234"},
    {"{% for a in [1] %}{% for b in [1, 2] %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{{ "
     "loop.depth }}{% endfor %}",
     "10101"},
    {"{% macro m(a, b=a ~ 'x') %}[{{ a }},{{ b }}]{% endmacro %}{{ m(1) }}{{ m('q', 'r') }}",
     "[1,1x][q,r]"},
    {"{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}x{% endcall %}", "<x>"},
    {"{% macro m(v) %}<{{ caller(v) }}>{% endmacro %}{% call(u) m(3) %}x{{ u }}{% endcall %}",
     "<x3>"},
    {"{% macro f(a) %}{{ a }}{% endmacro %}{{ f(*[1]) }}{{ f(**{'a': 2}) }}{{ f() }}|", "12|"},
};

static const struct pair statements[] = {
    {"{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}{% for i in 1, 2, 3 %}{{ i }}{% endfor "
     "%}{% set x | upper %}ab{% endset %}{{ x }}{{ [5, 6].1 }}",
     "12123AB6"},
    {"{{ ['\\x01\\x7f', '\\U0001F600', '\\101'] }} {{ 'a\\\nb' }} {{ '\\a\\b\\f\\v'|length }}",
     "['\\x01\\x7f', '😀', 'A'] ab 4"},
    {"{{ +d.b }}{{ -d.b }} {{ not d.b }} {{ (d).b }} {{ d.b is eq 2 }}", "2-2 False 2 True"},
    {"{{ 1.5e3 }} {{ 1e+2 }} {{ 12e-1 }} {{ 1_0.5 }}", "1500.0 100.0 1.2 10.5"},
    {"{% set a = 1 %}{% if a == 1 %}x{% elif a == 2 %}y{% else %}z{% endif %}", "x"},
    {"{% if 0 %}x{% elif 0 %}y{% else %}z{% endif %}{% if x %}{% endif %}", "z"},
    {"{% for i in [1, 2, 3, 4] if i is even %}{{ i }}{{ loop.index }}{{ loop.last }}{% else "
     "%}none{% endfor %}",
     "21False42True"},
    {"{% for i in [] %}a{% else %}none{% endfor %}{% for a, b in [[1, 2], (3, 4)] %}{{ a }}{{ b "
     "}}{% endfor %}",
     "none1234"},
    {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ', ' if not loop.last }}{% "
     "endfor %}",
     "a=1, b=2"},
    {"{% for c in 'größ' %}{{ c }}.{% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}{% for q "
     "in x %}{{ q }}{% endfor %}",
     "g.r.ö.ß.a"},
    {"{% for i in range(5) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif "
     "%}{{ i }}{% endfor %}",
     "02"},
    {"{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{% "
     "endfor %}",
     "113 214 123 224 "},
    {"{% set a, b = [1, 2] %}{{ a }}{{ b }}{% set c %}block{{ a }}{% endset %}{{ c }}{% set q = "
     "(1, 2) %}{{ q }}",
     "12block1(1, 2)"},
    {"{% set t %}ab{% endset %}{{ t|upper }}{% filter upper %}cd{% endfilter %}{% filter "
     "replace('a', 'b') %}aca{% endfilter %}",
     "ABCDbcb"},
    {"{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}{% with %}x{% endwith %}",
     "3Falsex"},
    {"{% raw %}{{ not }} {% this %}{% endraw %}|{# comment #}|{%- raw -%} a {%- endraw -%} |",
     "{{ not }} {% this %}||a|"},
    {"a  {{- 1 -}}  b {%- if true -%} c {%- endif -%} d", "a1bcd"},
    {"{%- set y = 5 -%}", ""},
    {"{{ 'a' 'b' }} {{ (1, 2)[0] }} {{ (1) }} {{ (1,) }} {{ () }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ "
     "{} }} {{ [] }}",
     "ab 1 1 (1,) () [1, 2] {'a': 1} {} []"},
    {"{{ d.b }} {{ d['b'] }} {{ d.items is defined }} {{ 'abc'.upper()[0] }} {{ {'a': {'b': [1, "
     "2]}}.a.b[1] }} {{ [1, 2]|length + 1 }} {{ not 1 == 2 }} {{ 1 + 2|int * 3 }} {{ -1|abs }} {{ "
     "2 ** 3 ** 2 }}",
     "2 2 True A 2 3 True 7 1 64"},
    {"{{ 1 is defined and x is not defined }} {{ (1 in [1]) == true }} {{ 'a' in 'abc' and 'z' not "
     "in 'abc' }}",
     "True True True"},
    {"{{ 'It''s' }} {{ \"a\" \"b\" ~ 'c' }} {{ 1 ~ 2 }} {{ none }} {{ None }} {{ True }} {{ False "
     "}} {{ true }} {{ none is none }}",
     "Its abc 12 None None True False True True"},
};

/* A template's own variables and `d`. */
static void same(const struct pair *p)
{
    struct jinja_pool pool = {0};
    struct jinja_value vars = jinja_dict(&pool), d = jinja_dict(&pool);
    struct jinja *t = NULL;
    struct buf out = {0};
    struct tok_range *range = NULL;
    struct trit_error err = {0};
    size_t n = 0;
    jinja_put_name(&pool, d, "b", jinja_int(2));
    jinja_put_name(&pool, d, "items", jinja_bool(true));
    jinja_put_name(&pool, d, "a", jinja_none());
    jinja_put_name(&pool, vars, "d", d);
    int rc = jinja_open(p->source, strlen(p->source), &t, &err);
    if (rc == 0)
        rc = jinja_render(t, vars, NULL, &out, &range, &n, &err);
    ck_assert_msg(rc == 0 && out.len == strlen(p->want) && memcmp(out.data, p->want, out.len) == 0,
                  "%s\ngives  %s%s\nPython %s", p->source, out.data ? out.data : "", err.text,
                  p->want);
    mem_free(range);
    buf_free(&out);
    jinja_close(&t);
    jinja_pool_free(&pool);
}

#define SAME(list)                                                                                 \
    START_TEST(list##_are_pythons)                                                                 \
    {                                                                                              \
        same(&list[_i]);                                                                           \
    }                                                                                              \
    END_TEST

SAME(text_filters)
SAME(number_filters)
SAME(any_filters)
SAME(elements)
SAME(tests)
SAME(methods)
SAME(operators)
SAME(json)
SAME(functions)
SAME(statements)

int main(void)
{
    log_open(LOG_ERROR, 0);
    Suite *suite = suite_create("jinja_python");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, text_filters_are_pythons, 0, ARRAY_LEN(text_filters));
    tcase_add_loop_test(all, number_filters_are_pythons, 0, ARRAY_LEN(number_filters));
    tcase_add_loop_test(all, any_filters_are_pythons, 0, ARRAY_LEN(any_filters));
    tcase_add_loop_test(all, elements_are_pythons, 0, ARRAY_LEN(elements));
    tcase_add_loop_test(all, tests_are_pythons, 0, ARRAY_LEN(tests));
    tcase_add_loop_test(all, methods_are_pythons, 0, ARRAY_LEN(methods));
    tcase_add_loop_test(all, operators_are_pythons, 0, ARRAY_LEN(operators));
    tcase_add_loop_test(all, json_are_pythons, 0, ARRAY_LEN(json));
    tcase_add_loop_test(all, functions_are_pythons, 0, ARRAY_LEN(functions));
    tcase_add_loop_test(all, statements_are_pythons, 0, ARRAY_LEN(statements));
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
