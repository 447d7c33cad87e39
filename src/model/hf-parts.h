/* SPDX-License-Identifier: MIT */
/*
 * hf-parts.h - what the bodies of model/hf.h share: a folder at work, its JSON files, members.
 */
#ifndef TRIT_HF_PARTS_H
#define TRIT_HF_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/jsontext.h"
#include "model/gguf-private.h"
#include "model/hf.h"
#include "model/method.h"

/* A file of the folder, whole in memory. */
struct hf_text {
    char *path; /* NULL: the folder has no such file */
    char *text; /* with a NUL behind it */
    size_t len;
    struct jsontext doc; /* an object, where it is JSON */
};

enum { HF_EOS_MAX = 16 };

/* What config.json says and others need to know. */
struct hf_facts {
    enum method_id method;
    bool divides; /* weight_scale divides, as that of BitLinear does; AutoBitLinear's multiplies */
    bool tied, untied; /* tie_word_embeddings, where it is stated */
    int32_t bos;       /* -1: not stated */
    int32_t eos[HF_EOS_MAX];
    size_t n_eos;
};

struct hf {
    struct gguf *g;
    const char *folder;
    struct trit_error *err;
    struct hf_text config, generation, tokenizer, tokenizer_config, template;
    struct hf_facts facts;
};

/* Keys of config.json and generation_config.json; sets h->facts. */
int hf_config(struct hf *h);

/* Keys of tokenizer.json, tokenizer_config.json and chat_template.jinja. */
int hf_tokenizer(struct hf *h);

enum hf_role {
    HF_UNKNOWN, /* not in the table */
    HF_IGNORED, /* computed by whoever needs it */
    HF_LINEAR,
    HF_SCALE, /* of a linear, and OneBit's other factor */
    HF_OTHER,
};

/* GGUF's name for a tensor; `name` is set but for HF_UNKNOWN and HF_IGNORED. */
enum hf_role hf_name(const char *origin, bool divides, char name[GGUF_NAME_MAX + 1]);

/* ------------------------------------------------------------------ members of JSON objects */

/* Refuse a value: "<file>: <member> is <value>, expected <expected>". */
int hf_refuse(const struct hf *h, const struct hf_text *t, int code, const char *member,
              struct jsontext found, const char *expected);

/*
 * A member of `object`, which lies in t.  Absent and null are the same: *found is false and *out
 * keeps its value, but `required` makes it an error.  Of another kind or twice there: refused.
 */
int hf_value(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
             enum jsontext_kind kind, bool required, bool *found, struct jsontext *out);
int hf_uint(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
            bool required, bool *found, uint64_t *out);
int hf_float(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
             bool required, bool *found, double *out);
int hf_bool(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
            bool *found, bool *out);

#endif
