/* SPDX-License-Identifier: MIT */
/*
 * schema.h - JSON Schema (draft 2020-12) to grammar text (GBNF, engine/grammar.h): every text of
 * the grammar is JSON and valid under the schema.
 *
 * It fails closed: a keyword that is not enforced is a problem with its path.  Enforced are
 *
 *   any value   type (a name or a list), enum, const, $ref within the schema (also recursive),
 * allOf, anyOf, oneOf whose branches cannot both hold, nullable, true and false as schemas objects
 * properties, required, additionalProperties; minProperties and maxProperties where the rest of the
 * schema decides them arrays      items, prefixItems, minItems, maxItems strings     minLength,
 * maxLength, pattern (server/regex.h), format: date, time, date-time, duration, uuid, email,
 * hostname, ipv4, ipv6, uri numbers     minimum, maximum, exclusiveMinimum, exclusiveMaximum;
 * multipleOf 0.1, 0.01 and so on, of integers also where the range holds few multiples
 *
 * and without effect, as the standard has it: title, description, default, example, examples,
 * deprecated, readOnly, writeOnly, $schema, $id, $comment, $defs, definitions, discriminator,
 * contentEncoding, contentMediaType, x-....
 *
 * The grammar is narrower than the schema where a language model is better off: members stand in
 * the order of `properties`, others behind them and only if additionalProperties is given (or there
 * are no properties); a schema without type that has keywords of a type has that type; one space or
 * none stands behind ':' and ',', no white space elsewhere; numbers have at most 15 digits before
 * and behind the point and two of an exponent.
 *
 * Not here: fields of requests (server/shape.h).
 */
#ifndef TRIT_SCHEMA_H
#define TRIT_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct cJSON;
struct problem;

struct schema_limits {
    uint32_t schemas;  /* different ones to be written, combinations included */
    uint32_t values;   /* of one enum */
    uint64_t steps;    /* of the whole work; one is about a comparison */
    size_t text_bytes; /* of the grammar */
};
extern const struct schema_limits schema_limits; /* the usual ones */

/*
 * Append rules for the schema to *out.  The rule of its values is called `prefix` (letters,
 * digits), all others begin with it and '-', so several schemas may share a text.  `path` is where
 * the schema stands in the request and begins every path in *problem.  The tree is only read.
 * limits NULL: the usual ones.  Negative with *problem, and then *out is of no use.  Any thread.
 */
int schema_to_grammar(const struct cJSON *schema, const char *path, const char *prefix,
                      const struct schema_limits *limits, struct buf *out, struct problem *problem);

/*
 * Blame the schema that a rule of the grammar is about: a problem with its path, and why.  The
 * schema and what went with it are those of an earlier schema_to_grammar that succeeded.  Returns
 * negative.
 */
int schema_refuse_rule(const struct cJSON *schema, const char *path, const char *prefix,
                       const char *rule, const char *why, struct problem *problem);

/* Rules for any JSON object. */
int schema_any_object(const char *prefix, struct buf *out, struct problem *problem);

#endif
