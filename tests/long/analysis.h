/* SPDX-License-Identifier: MIT */
/*
 * analysis.h - included before everything else by static.sh, for tools that look at one file at a
 * time: that a function which reports an error gives back that error's code, which is not 0.
 */
#include "config.h"
#include "base/base.h"
#ifdef ANALYSIS_ENGINE /* Both have a struct cursor of their own. */
#include "engine/grammar-parts.h"
#else
#include "model/gguf-private.h"
#endif

#ifdef ANALYSIS_SERVER
#include "server/fields.h"
#include "server/problem.h"
#define problem_set(p, code, ...) ((void)problem_set((p), (code), __VA_ARGS__), -(code))
#define fields_refuse(...)        ((void)fields_refuse(__VA_ARGS__), -TRIT_EINVAL)
#define fields_no_memory(in)      ((void)fields_no_memory(in), -TRIT_ENOMEM)
#endif
#ifdef ANALYSIS_SCHEMA
#include "server/schema-parts.h"
#define schema_refuse(...)  ((void)schema_refuse(__VA_ARGS__), -TRIT_EINVAL)
#define schema_no_memory(w) ((void)schema_no_memory(w), -TRIT_ENOMEM)
#endif
#define trit_fail(err, code, ...)    ((void)trit_fail((err), (code), __VA_ARGS__), -(code))
#define gguf_fail(g, err, code, ...) ((void)gguf_fail((g), (err), (code), __VA_ARGS__), -(code))
#define gguf_fail_at(p, err, code, ...)                                                            \
    ((void)gguf_fail_at((p), (err), (code), __VA_ARGS__), -(code))
#define cursor_bad(c, code, ...) ((void)cursor_bad((c), (code), __VA_ARGS__), -(code))
#define cursor_no_memory(c)      ((void)cursor_no_memory(c), -TRIT_ENOMEM)
#define grammar_fail(t, code, place, ...)                                                          \
    ((void)grammar_fail((t), (code), (place), __VA_ARGS__), -(code))
