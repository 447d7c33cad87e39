/* SPDX-License-Identifier: MIT */
/*
 * values.h - JSON of a request as values for a chat template.
 */
#ifndef TRIT_VALUES_H
#define TRIT_VALUES_H

#include "model/jinja.h"

struct cJSON;

/*
 * The tree v, copied into *p; its strings, names of members too, are the client's.  A number that
 * is written without fraction and exponent is an integer.  v is json_parse's, so its depth is
 * bounded and no name comes twice.  p->failed tells of missing memory.
 */
struct jinja_value values_from_json(struct jinja_pool *p, const struct cJSON *v);

#endif
