/* SPDX-License-Identifier: MIT */
/*
 * jinja-tests.c - what may stand behind "is".
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"

#define TEST(name) FILTER(name)

TEST(test_defined)
{
    return jinja_bool(self.type != JINJA_UNDEFINED);
}

TEST(test_undefined)
{
    return jinja_bool(self.type == JINJA_UNDEFINED);
}

TEST(test_none)
{
    return jinja_bool(self.type == JINJA_NONE);
}

TEST(test_string)
{
    return jinja_bool(self.type == JINJA_STRING);
}

TEST(test_mapping)
{
    return jinja_bool(self.type == JINJA_DICT && !self.dict->name_space);
}

TEST(test_sequence)
{
    /* What has a length and members: Jinja2 counts strings, dicts and the undefined too. */
    return jinja_bool(self.type == JINJA_STRING || self.type == JINJA_LIST ||
                      self.type == JINJA_UNDEFINED ||
                      (self.type == JINJA_DICT && !self.dict->name_space));
}

TEST(test_number)
{
    return jinja_bool(jinja_is_number(self));
}

TEST(test_integer)
{
    return jinja_bool(self.type == JINJA_INT);
}

TEST(test_float)
{
    return jinja_bool(self.type == JINJA_FLOAT);
}

TEST(test_boolean)
{
    return jinja_bool(self.type == JINJA_BOOL);
}

TEST(test_true)
{
    return jinja_bool(self.type == JINJA_BOOL && self.yes);
}

TEST(test_false)
{
    return jinja_bool(self.type == JINJA_BOOL && !self.yes);
}

TEST(test_callable)
{
    return jinja_bool(self.type == JINJA_FUNCTION);
}

/* The rest of a division is 0, or 1. */
static struct jinja_value rest_is(struct jinja_run *r, struct jinja_value v, struct jinja_value by,
                                  int64_t rest)
{
    struct jinja_value have = jinja_binary(r, '%', v, by);
    return jinja_bool(r->rc == 0 && jinja_same(r, have, jinja_int(rest)));
}

TEST(test_even)
{
    return rest_is(r, self, jinja_int(2), 0);
}

TEST(test_odd)
{
    return rest_is(r, self, jinja_int(2), 1);
}

TEST(test_divisibleby)
{
    return rest_is(r, self, a->v[0], 0);
}

TEST(test_eq)
{
    return jinja_bool(jinja_same(r, self, a->v[0]));
}

/* Python's "is".  Which equal numbers and texts are one object is a matter of its caches: here all
 * are. */
TEST(test_sameas)
{
    struct jinja_value other = a->v[0];
    bool same = self.type == other.type;
    if (same && self.type == JINJA_LIST)
        same = self.list == other.list;
    else if (same && self.type == JINJA_DICT)
        same = self.dict == other.dict;
    else if (same)
        same = jinja_same(r, self, other);
    return jinja_bool(same);
}

TEST(test_ne)
{
    return jinja_bool(!jinja_same(r, self, a->v[0]));
}

TEST(test_lt)
{
    return jinja_bool(jinja_order(r, self, a->v[0]) < 0);
}

TEST(test_le)
{
    return jinja_bool(jinja_order(r, self, a->v[0]) <= 0);
}

TEST(test_gt)
{
    return jinja_bool(jinja_order(r, self, a->v[0]) > 0);
}

TEST(test_ge)
{
    return jinja_bool(jinja_order(r, self, a->v[0]) >= 0);
}

TEST(test_in)
{
    return jinja_bool(jinja_contains(r, a->v[0], self));
}

/* Letters of the other case would change: the string has some of the wanted case and none else. */
static struct jinja_value in_case(struct jinja_run *r, struct jinja_value v, enum jinja_case how)
{
    const struct jinja_string *s = jinja_str(r, v);
    struct jinja_value same = jinja_cased(r, s, how);
    struct jinja_value other = jinja_cased(r, s, how == CASE_UPPER ? CASE_LOWER : CASE_UPPER);
    return jinja_bool(jinja_same(r, same, jinja_of_string(s)) && !jinja_same(r, same, other));
}

TEST(test_upper)
{
    return in_case(r, self, CASE_UPPER);
}

TEST(test_lower)
{
    return in_case(r, self, CASE_LOWER);
}

const struct jinja_builtin *jinja_find_test(const char *name, size_t len)
{
    static const struct jinja_builtin all[] = {
        {"defined", test_defined, 0, ""},
        {"undefined", test_undefined, 0, ""},
        {"none", test_none, 0, ""},
        {"string", test_string, 0, ""},
        {"mapping", test_mapping, 0, ""},
        {"iterable", test_sequence, 0, ""},
        {"sequence", test_sequence, 0, ""},
        {"number", test_number, 0, ""},
        {"integer", test_integer, 0, ""},
        {"float", test_float, 0, ""},
        {"boolean", test_boolean, 0, ""},
        {"true", test_true, 0, ""},
        {"false", test_false, 0, ""},
        {"callable", test_callable, 0, ""},
        {"even", test_even, 0, ""},
        {"odd", test_odd, 0, ""},
        {"divisibleby", test_divisibleby, 1, "num"},
        {"sameas", test_sameas, 1, "other"},
        {"eq", test_eq, 1, "other"},
        {"equalto", test_eq, 1, "other"},
        {"==", test_eq, 1, "other"},
        {"ne", test_ne, 1, "other"},
        {"!=", test_ne, 1, "other"},
        {"lt", test_lt, 1, "other"},
        {"lessthan", test_lt, 1, "other"},
        {"<", test_lt, 1, "other"},
        {"le", test_le, 1, "other"},
        {"<=", test_le, 1, "other"},
        {"gt", test_gt, 1, "other"},
        {"greaterthan", test_gt, 1, "other"},
        {">", test_gt, 1, "other"},
        {"ge", test_ge, 1, "other"},
        {">=", test_ge, 1, "other"},
        {"in", test_in, 1, "seq"},
        {"upper", test_upper, 0, ""},
        {"lower", test_lower, 0, ""},
    };
    return jinja_builtin_in(all, ARRAY_LEN(all), name, len);
}
