/* SPDX-License-Identifier: MIT */
/*
 * synth-vocab.c - a tokenizer for made models.
 *
 * Byte-level BPE as Llama 3 has it.  The tokens are, in order: the 256 bytes; the beginnings of
 * common English words, each one merge longer than the one before, so that the list of merges is
 * sound by construction; unused ones up to the wanted size; the special tokens, in Llama 3's order
 * and, where there is room, in Llama 3's number, so that a vocabulary of 128256 has them at the
 * usual ids.
 */
#include "config.h"
#include "synth.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "gguf-write.h"

enum { NORMAL = 1, CONTROL = 3, UNUSED = 5 }; /* tokenizer.ggml.token_type */
enum { MAX_PIECES = 1024, PIECE_BYTES = 40 };

/* A leading space belongs to a word, as in running text. */
static const char words[] =
    " the of and to in is that it was for on are as with his they at be this from have or by one"
    " had not but what all were when we there can an your which their said if do will each about"
    " how up out them then she many some so these would other into has more her two like him see"
    " time could no make than first been its who now people my made over did down only way find"
    " use may water long little very after words called just where most know get through back much"
    " before go good new write our used me man too any day same right look think also around "
    "another"
    " came come work three must because does part even place well such here take why help put"
    " different away again off went old number great tell men say small every found still between"
    " name should home big give air line set own under read last never us left end along while"
    " might next sound below saw something thought both few those always looked show large often"
    " together asked house world going want school important until form food keep children feet "
    "land"
    " side without boy once animals life enough took sometimes four head above kind began almost"
    " live page got earth need far hand high year mother light parts country father let night"
    " following picture being study second eyes soon times story boys since white days ever paper"
    " hard near sentence better best across during today others however sure means knew whole hear";

static const char *const specials[] = {
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|reserved_special_token_2|>",
    "<|reserved_special_token_3|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|reserved_special_token_4|>",
    "<|eot_id|>",
};

static const char chat_template[] =
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim }}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

/* The printable stand-in that GPT-2 gave each byte: itself, or the next free one from U+0100. */
static size_t byte_text(unsigned byte, char *dst)
{
    static const struct {
        unsigned first, last;
    } kept[] = {{33, 126}, {161, 172}, {174, 255}};
    unsigned others = 0, next = 0;
    for (size_t i = 0; i < ARRAY_LEN(kept); next = kept[i++].last + 1) {
        if (byte >= kept[i].first && byte <= kept[i].last)
            return utf8_encode(dst, byte);
        if (byte < kept[i].first)
            break;
        others += kept[i].first - next;
    }
    return utf8_encode(dst, 256 + others + byte - next);
}

struct piece {
    char text[PIECE_BYTES];
    size_t len, left; /* bytes; the first `left` of them are the merge's left half */
};

struct pieces {
    struct piece *piece;
    size_t n, max;
};

static bool known(const struct pieces *p, const char *text, size_t len)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->piece[i].len == len && memcmp(p->piece[i].text, text, len) == 0)
            return true;
    return false;
}

/* Every beginning of two and more characters of every word, as long as there is room. */
static void grow_pieces(struct pieces *p)
{
    char text[PIECE_BYTES];
    size_t len = 0;
    for (const char *s = words; *s && p->n < p->max; s++) {
        if (*s == ' ')
            len = 0;
        size_t left = len;
        trit_assert(len + 4 <= sizeof text);
        len += byte_text((unsigned char)*s, text + len);
        if (left == 0 || known(p, text, len))
            continue;
        struct piece *new = &p->piece[p->n++];
        memcpy(new->text, text, len);
        new->len = len;
        new->left = left;
    }
}

static void write_tokens(struct gguf_writer *w, const struct pieces *p, uint32_t size,
                         uint32_t first_special, int32_t *types)
{
    char text[64];
    gguf_write_strings(w, "tokenizer.ggml.tokens", size);
    for (uint32_t i = 0; i < size; i++) {
        types[i] = i >= first_special ? CONTROL : i >= 256 + p->n ? UNUSED : NORMAL;
        if (i < 256) {
            gguf_write_element(w, text, byte_text(i, text));
        } else if (i < 256 + p->n) {
            gguf_write_element(w, p->piece[i - 256].text, p->piece[i - 256].len);
        } else if (i < first_special) {
            gguf_write_element(w, text, (size_t)snprintf(text, sizeof text, "[unused%u]", i));
        } else if (i - first_special < ARRAY_LEN(specials)) {
            const char *name = specials[i - first_special];
            gguf_write_element(w, name, strlen(name));
        } else {
            unsigned number = i - first_special - (unsigned)ARRAY_LEN(specials) + 5;
            int len = snprintf(text, sizeof text, "<|reserved_special_token_%u|>", number);
            gguf_write_element(w, text, (size_t)len);
        }
    }
}

static void write_merges(struct gguf_writer *w, const struct pieces *p)
{
    gguf_write_strings(w, "tokenizer.ggml.merges", p->n);
    for (size_t i = 0; i < p->n; i++) {
        const struct piece *m = &p->piece[i];
        char text[PIECE_BYTES + 1];
        memcpy(text, m->text, m->left);
        text[m->left] = ' ';
        memcpy(text + m->left + 1, m->text + m->left, m->len - m->left);
        gguf_write_element(w, text, m->len + 1);
    }
}

int synth_vocab(struct gguf_writer *w, uint32_t size, struct trit_error *err)
{
    trit_assert(size >= SYNTH_VOCAB_MIN && size <= SYNTH_VOCAB_MAX);
    uint32_t n_specials = size >= 2048 ? 256 : ARRAY_LEN(specials);
    uint32_t first = size - n_specials;
    struct pieces p = {.max = MIN(first - 256, (uint32_t)MAX_PIECES)};
    p.piece = mem_zalloc(MAX_PIECES, sizeof *p.piece);
    int32_t *types = mem_zalloc(size, sizeof *types);
    int rc = 0;
    if (!p.piece || !types) {
        rc = trit_fail(err, TRIT_ENOMEM, "out of memory");
        goto out;
    }
    grow_pieces(&p);
    gguf_write_string(w, "tokenizer.ggml.model", "gpt2");
    gguf_write_string(w, "tokenizer.ggml.pre", "llama-bpe");
    write_tokens(w, &p, size, first, types);
    gguf_write_i32s(w, "tokenizer.ggml.token_type", types, size);
    write_merges(w, &p);
    gguf_write_u32(w, "tokenizer.ggml.bos_token_id", first);
    gguf_write_u32(w, "tokenizer.ggml.eos_token_id", first + 9); /* <|eot_id|> */
    gguf_write_u32(w, "tokenizer.ggml.padding_token_id", first + 1);
    gguf_write_bool(w, "tokenizer.ggml.add_bos_token", true);
    gguf_write_string(w, "tokenizer.chat_template", chat_template);
out:
    mem_free(types);
    mem_free(p.piece);
    return rc;
}
