/* SPDX-License-Identifier: MIT */
/*
 * grammar-check.c - whether the rules of a tree make sense together.
 *
 * Two properties of nodes climb the tree from its leaves: "may be empty" and "has a finite text".
 * Each node is settled at most once, so both take linear time, whatever the rules look like
 * (Dowling, Gallier, "Linear-time algorithms for testing the satisfiability of propositional Horn
 * formulae", 1984).  Left recursion is a circle of rules that can begin with one another; a circle
 * is found by a walk that keeps its own stack.
 */
#include "config.h"

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar-parts.h"

struct check {
    struct grammar_tree *t;
    bool *empty, *finite; /* [nodes] */
    uint32_t *missing;    /* [nodes]: children of a sequence that are not settled yet */
    uint32_t *stack;      /* [nodes] */
    uint32_t n_stack;
    uint32_t *edge; /* [nodes]: rules that a rule can begin with; it is as many as references */
    uint32_t n_edges;
    uint32_t *first; /* [rules + 1]: where a rule's edges begin */
    uint32_t *next;  /* [rules]: the edge that the walk looks at next */
    uint8_t *colour; /* [rules] */
};

static void settle(struct check *c, bool *is, uint32_t node)
{
    if (!is[node]) {
        is[node] = true;
        c->stack[c->n_stack++] = node;
    }
}

/* What follows for others from what is known of a node. */
static void climb(struct check *c, bool *is, uint32_t node)
{
    struct grammar_tree *t = c->t;
    uint32_t up = t->node[node].parent;
    if (up) {
        if (t->node[up].kind != GRAMMAR_SEQ || --c->missing[up] == 0)
            settle(c, is, up);
        return;
    }
    /* The body of a rule, whose place its alternatives have. */
    for (uint32_t ref = t->rule[t->node[node].at].refs; ref; ref = t->node[ref].same)
        settle(c, is, ref);
}

static void find_out(struct check *c, bool *is, bool literal)
{
    struct grammar_tree *t = c->t;
    c->n_stack = 0;
    for (uint32_t i = 1; i < t->n_nodes; i++) {
        const struct grammar_node *n = &t->node[i];
        c->missing[i] = n->n;
        if (n->kind == GRAMMAR_EMPTY || (n->kind == GRAMMAR_SEQ && n->n == 0) ||
            (n->kind == GRAMMAR_REPEAT && n->min == 0) ||
            (literal && (n->kind == GRAMMAR_LITERAL || n->kind == GRAMMAR_CLASS)))
            settle(c, is, i);
    }
    while (c->n_stack)
        climb(c, is, c->stack[--c->n_stack]);
}

/* Push the references of a body: all, or those that its text can begin with. */
static void walk_body(struct check *c, uint32_t body, bool all,
                      void (*fn)(struct check *c, uint32_t rule))
{
    const struct grammar_tree *t = c->t;
    c->stack[0] = body;
    for (c->n_stack = 1; c->n_stack;) {
        const struct grammar_node *n = &t->node[c->stack[--c->n_stack]];
        if (n->kind == GRAMMAR_REF)
            fn(c, n->at);
        for (uint32_t child = n->child; child; child = t->node[child].next) {
            c->stack[c->n_stack++] = child;
            if (n->kind == GRAMMAR_SEQ && !all && !c->empty[child])
                break;
        }
    }
}

static void add_edge(struct check *c, uint32_t rule)
{
    c->edge[c->n_edges++] = rule;
}

static void mark_used(struct check *c, uint32_t rule)
{
    if (c->colour[rule])
        return;
    c->colour[rule] = 1;
    c->next[c->n_edges++] = rule; /* a queue of rules, while nothing else needs it */
}

/* Root, and what it refers to, and what that does. */
static void find_used(struct check *c)
{
    struct grammar_tree *t = c->t;
    mark_used(c, t->root);
    for (uint32_t i = 0; i < c->n_edges; i++) {
        t->rule[c->next[i]].used = true;
        walk_body(c, t->rule[c->next[i]].body, true, mark_used);
    }
    c->n_edges = 0;
    for (uint32_t r = 0; r < t->n_rules; r++)
        c->next[r] = c->colour[r] = 0;
}

/* A rule that can begin with itself, or n_rules. */
static uint32_t find_circle(struct check *c)
{
    struct grammar_tree *t = c->t;
    enum { NEW, OPEN, DONE };
    for (uint32_t r = 0; r < t->n_rules; r++) {
        c->next[r] = c->first[r] = c->n_edges;
        walk_body(c, t->rule[r].body, false, add_edge);
    }
    c->first[t->n_rules] = c->n_edges;
    for (uint32_t r = 0; r < t->n_rules; r++) {
        if (c->colour[r] != NEW)
            continue;
        c->stack[0] = r;
        c->colour[r] = OPEN;
        for (c->n_stack = 1; c->n_stack;) {
            uint32_t top = c->stack[c->n_stack - 1];
            if (c->next[top] == c->first[top + 1]) {
                c->colour[top] = DONE;
                c->n_stack--;
                continue;
            }
            uint32_t to = c->edge[c->next[top]++];
            if (c->colour[to] == OPEN)
                return to;
            if (c->colour[to] == NEW) {
                c->colour[to] = OPEN;
                c->stack[c->n_stack++] = to;
            }
        }
    }
    return t->n_rules;
}

static int find_root(struct grammar_tree *t)
{
    t->root = t->n_rules;
    for (uint32_t r = 0; r < t->n_rules; r++) {
        const struct grammar_rule *rule = &t->rule[r];
        if (!rule->body)
            return grammar_fail(t, TRIT_EINVAL, rule->place, "rule %.*s is not defined",
                                GRAMMAR_NAME(rule));
        t->node[rule->body].at = r;
        if (rule->name_len == 4 && __builtin_memcmp(rule->name, "root", 4) == 0)
            t->root = r;
    }
    if (t->root == t->n_rules)
        return grammar_fail(t, TRIT_EINVAL, 0, "there is no rule root, where an answer begins");
    return 0;
}

static int examine(struct check *c)
{
    struct grammar_tree *t = c->t;
    find_used(c);
    find_out(c, c->empty, false);
    find_out(c, c->finite, true);
    /* The last of them: those before it are mostly so because of it. */
    for (uint32_t i = t->n_rules; i > 0; i--) {
        const struct grammar_rule *rule = &t->rule[i - 1];
        if (!c->finite[rule->body])
            return grammar_fail(t, TRIT_EINVAL, rule->place, "rule %.*s never comes to an end",
                                GRAMMAR_NAME(rule));
    }
    uint32_t r = find_circle(c);
    if (r < t->n_rules)
        return grammar_fail(t, TRIT_EINVAL, t->rule[r].place,
                            "rule %.*s is left-recursive: it can begin with itself",
                            GRAMMAR_NAME(&t->rule[r]));
    return 0;
}

int grammar_check(struct grammar_tree *t)
{
    int rc = find_root(t);
    if (rc)
        return rc;
    size_t nodes = t->n_nodes, rules = t->n_rules;
    struct check c = {.t = t,
                      .empty = mem_zalloc(nodes, 1),
                      .finite = mem_zalloc(nodes, 1),
                      .missing = mem_zalloc(nodes, sizeof *c.missing),
                      .stack = mem_zalloc(nodes + rules, sizeof *c.stack),
                      .edge = mem_zalloc(nodes, sizeof *c.edge),
                      .first = mem_zalloc(rules + 1, sizeof *c.first),
                      .next = mem_zalloc(rules, sizeof *c.next),
                      .colour = mem_zalloc(rules, 1)};
    if (c.empty && c.finite && c.missing && c.stack && c.edge && c.first && c.next && c.colour)
        rc = examine(&c);
    else
        rc = trit_fail(t->err, TRIT_ENOMEM, "no memory for a grammar of %zu bytes", t->len);
    mem_free(c.empty);
    mem_free(c.finite);
    mem_free(c.missing);
    mem_free(c.stack);
    mem_free(c.edge);
    mem_free(c.first);
    mem_free(c.next);
    mem_free(c.colour);
    return rc;
}
