/* SPDX-License-Identifier: MIT */
/*
 * check_models.c - the table of models: names, places, and who is told when one is over.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <check.h>

#include "base/base.h"
#include "model/model.h"
#include "server/admit.h"
#include "server/models.h"
#include "unit.h"

static struct model falcon = {.name = "falcon"}, bonsai = {.name = "bonsai"};

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

/* One more at the end; alias NULL: its own name. */
static struct served *add(struct models *all, const struct model *m, const char *alias,
                          unsigned *gone)
{
    struct served *s;
    struct trit_error err;
    struct server_model opt = {
        .model = m, .alias = alias, .path = "/m", .gone = count, .arg = gone};
    ck_assert_msg(models_add(all, &opt, NULL, &s, &err) == 0, "%s", err.text);
    return s;
}

START_TEST(names_find_models)
{
    struct models all = {0};
    unsigned gone = 0;
    ck_assert_ptr_null(models_find(&all, "falcon"));
    struct served *a = add(&all, &falcon, "chat", &gone);
    struct served *b = add(&all, &falcon, NULL, &gone);
    struct served *c = add(&all, &bonsai, "code", &gone);
    ck_assert_ptr_eq(models_find(&all, "chat"), a);
    ck_assert_ptr_eq(models_find(&all, "code"), c);
    ck_assert_ptr_eq(models_find(&all, "falcon"),
                     b); /* its name; the other's is only its model's */
    ck_assert_ptr_eq(models_find(&all, "bonsai"), c);
    ck_assert_ptr_null(models_find(&all, "Chat"));
    ck_assert(models_is(a, "falcon") && models_is(a, "chat") && !models_is(a, "code"));
    models_remove(&all, b);
    ck_assert_uint_eq(gone, 1);
    ck_assert_ptr_eq(models_find(&all, "falcon"), a);
    models_fini(&all);
    ck_assert_uint_eq(gone, 3);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
    struct models all = {0};
    struct trit_error err;
    struct served *s;
    unsigned gone = 0;
    struct served *a = add(&all, &falcon, "chat", &gone);
    struct server_model opt = {.model = &bonsai, .alias = "chat"};
    ck_assert_int_eq(models_add(&all, &opt, NULL, &s, &err), -TRIT_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "\"chat\""));
    ck_assert_ptr_null(s);
    ck_assert_uint_eq(all.n, 1);
    ck_assert_ptr_eq(all.first, a);
    ck_assert_int_eq(models_add(&all, &opt, a, &s, &err), 0);
    ck_assert_uint_eq(gone, 1);
    models_fini(&all);
}
END_TEST

START_TEST(who_has_a_model_keeps_it)
{
    struct models all = {0};
    struct trit_error err;
    struct served *next;
    unsigned gone = 0, other = 0;
    struct served *a = add(&all, &falcon, "chat", &gone);
    struct served *b = add(&all, &bonsai, "code", &other);
    unsigned queue = models_hold(a)->queue;
    struct server_model opt = {.model = &bonsai, .alias = "chat"};
    ck_assert_int_eq(models_add(&all, &opt, a, &next, &err), 0);
    ck_assert_ptr_eq(all.first, next); /* in its place */
    ck_assert_ptr_eq(next->next, b);
    ck_assert_ptr_eq(models_find(&all, "chat"), next);
    ck_assert_ptr_eq(all.ending, a);
    ck_assert_str_eq(a->name, "chat");
    ck_assert_uint_ne(next->queue, queue);
    ck_assert_uint_eq(gone, 0);
    models_let_go(&all, a);
    ck_assert_uint_eq(gone, 1);
    ck_assert_ptr_null(all.ending);
    ck_assert_uint_eq(all.n, 2);
    ck_assert_uint_eq(add(&all, &falcon, "third", &gone)->queue, queue); /* free again */
    models_fini(&all);
    ck_assert(gone == 2 && other == 1);
}
END_TEST

START_TEST(there_is_an_end_to_room)
{
    struct models all = {0};
    struct trit_error err;
    struct served *s, *held[ADMIT_QUEUES];
    char name[16];
    unsigned n = 0, gone = 0;
    for (unsigned i = 0; i < SERVER_MODELS; i++) {
        snprintf(name, sizeof name, "m%u", i);
        add(&all, &falcon, name, &gone);
    }
    struct server_model opt = {.model = &falcon, .alias = "more"};
    ck_assert_int_eq(models_add(&all, &opt, NULL, &s, &err), -TRIT_EBUSY);
    /* Swapped again and again while requests hold all that were there. */
    while (n < ADMIT_QUEUES) {
        struct served *old = models_hold(all.first);
        held[n++] = old;
        if (models_add(&all, &opt, old, &s, &err))
            break;
    }
    ck_assert_uint_eq(n, ADMIT_QUEUES - SERVER_MODELS + 1);
    ck_assert_uint_eq(all.n, SERVER_MODELS);
    while (n)
        models_let_go(&all, held[--n]);
    ck_assert_ptr_null(all.ending);
    models_fini(&all);
}
END_TEST

START_TEST(a_template_is_kept_by_who_has_it)
{
    struct models all = {0};
    unsigned gone = 0;
    struct served *a = add(&all, &falcon, NULL, &gone);
    struct models_chat *old = models_hold_chat(a);
    ck_assert_int_eq(models_set_chat(a, NULL), 0);
    ck_assert_ptr_ne(a->chat, old);
    ck_assert_uint_eq(old->refs, 1);
    models_let_go_chat(old);
    models_fini(&all);
}
END_TEST

static bool all_but_one(const struct served *m, const void *arg)
{
    return strcmp(m->name, arg) != 0;
}

START_TEST(a_list_is_cut_at_its_room)
{
    struct models all = {0};
    unsigned gone = 0;
    char list[24];
    add(&all, &falcon, NULL, &gone);
    add(&all, &bonsai, NULL, &gone);
    models_list(&all, all_but_one, "none", list, sizeof list);
    ck_assert_str_eq(list, "falcon, bonsai");
    models_list(&all, all_but_one, "falcon", list, sizeof list);
    ck_assert_str_eq(list, "bonsai");
    add(&all, &falcon, "another-name", &gone);
    models_list(&all, all_but_one, "none", list, sizeof list);
    ck_assert_str_eq(list, "falcon, bonsai, ...");
    models_fini(&all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models");
    TCase *tc = tcase_create("models");
    tcase_add_test(tc, names_find_models);
    tcase_add_test(tc, a_name_is_taken_once);
    tcase_add_test(tc, who_has_a_model_keeps_it);
    tcase_add_test(tc, there_is_an_end_to_room);
    tcase_add_test(tc, a_template_is_kept_by_who_has_it);
    tcase_add_test(tc, a_list_is_cut_at_its_room);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
