/* SPDX-License-Identifier: MIT */
/*
 * main.c - the daemon's life: start-up in order, the loop, and the exact reverse.
 *
 *     configuration - loader process - kernels - listening socket - sandbox - loop and signals
 *         - server (answers "loading") - on a thread: models, engines - server serves - ... - drain
 *         - engines stopped - server closed - models closed - loop - socket - configuration
 *
 * The socket is opened first, so that a port in use is known in milliseconds and clients of a
 * restart wait in its backlog.  What the links do once the loop runs is in app-*.c (app.h).
 *
 * Two kinds of successors: the next process that the service manager starts, for which it may keep
 * sockets, weights and KV pages (handed.h), and one that we start ourselves (upgrade.h).
 *
 * The process ends here: 0 after a stop that was asked for, 1 with an error on stderr.
 */
#include "config.h"
#include "main/app.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/slice.h"
#include "model/loader.h"
#include "kernels/kernels.h"
#include "server/keys.h"
#include "server/server.h"
#include "server/tls.h"
#include "main/sandbox.h"
#include "main/version.h"

/* For the last lines to be written, if anybody reads them. */
#define LOG_LAST_SECONDS 1.0

/* Before there is another thread, and after everything that needs more than serving does. */
static void enter_sandbox(const struct app *app)
{
    const struct conf *c = &app->conf;
    struct sandbox in;
    if (!c->sandbox) {
        log_notice("sandbox landlock=no seccomp=no reason=\"sandbox = no\"");
        return;
    }
    sandbox_enter(c, &app->recall, app->replaces.fd >= 0, &in);
    log_notice("sandbox landlock=%d seccomp=%s%s%s%s", in.landlock, in.seccomp ? "yes" : "no",
               in.lacks ? " reason=\"" : "", in.lacks ? in.lacks : "", in.lacks ? "\"" : "");
}

/* Before there are keys, sockets and threads, of which a reader of models shall have none. */
static int start_loader(const struct conf *c, struct trit_error *err)
{
    const struct loader_options o = {.expected = conf_model(c, 0)->model,
                                     .enter = c->sandbox ? sandbox_enter_reader : NULL};
    return loader_start(&o, err);
}

/* Sockets that were there before us have clients in their queues. */
static bool has_waiting(const struct app *app)
{
    const struct listener *l = &app->sockets.at[0];
    return l->activated || l->kept;
}

/* What the server is told; app and certificate stay ours. */
static void set_options(struct app *app, struct tls_cert *cert, struct server_options *so)
{
    const struct conf *c = &app->conf;
    uint32_t n_sockets = (uint32_t)app->sockets.n;
    *so = (struct server_options){
        .loop = &app->loop,
        .n_sockets = app->sockets.n,
        .cert = cert,
        .kernels = app->kernels->name,
        .powercap_dir = c->powercap_dir,
        .max_body = (size_t)c->max_body,
        .hold = has_waiting(app) || app->replaces.fd >= 0,
        .max_connections = plan_connections(c->max_connections * n_sockets) / n_sockets,
        .agent = app->agent.fd >= 0,
        .agent_fd = app->agent.fd,
        .limits = app_limits(c, &app->sockets),
        .admin = app_admin(app),
    };
    for (size_t i = 0; i < app->sockets.n; i++)
        so->socket[i] = (struct server_socket){.fd = app->sockets.at[i].fd,
                                               .tls = cert && !app->sockets.at[i].local,
                                               .loopback = !app->sockets.at[i].remote &&
                                                           !app->sockets.at[i].local};
}

/* Everything between a good configuration and the end.  Only what fails at once returns an error;
 * a model that cannot be loaded has logged its reason. */
static int serve(struct app *app, struct trit_error *err)
{
    const struct conf *c = &app->conf;
    uint32_t mask;
    struct keys keys = {0};
    struct tls_cert *cert = NULL;
    int rc = kernels_mask_parse(c->cpu, &mask, err);
    if (rc == 0)
        rc = conf_check_model(c, err);
    if (rc == 0)
        rc = app_load_cert(c, &cert, err);
    if (rc == 0)
        rc = app_load_keys(c, &keys, err);
    if (rc != 0) {
        tls_let_go(&cert);
        return rc;
    }
    app->kernels = kernels_pick(mask);
    rc = app_open_ports(app, err);
    if (rc != 0)
        goto no_loop;
    enter_sandbox(app);
    if (!log_start())
        log_warn("log thread=none effect=\"a log that is not read stops the server\"");
    rc = app_open_loop(app, err);
    if (rc != 0)
        goto no_loop;

    struct server_options so;
    set_options(app, cert, &so);
    rc = server_open(&so, &app->server, err);
    if (rc == 0)
        rc = server_set_keys(app->server, &keys, err);
    if (rc != 0)
        goto no_server;
    if (has_waiting(app) && app->replaces.fd < 0)
        app_wait(app);
    notify_status(&app->notify, "Loading %.120s", conf_model(c, 0)->model);
    app_load(app);

    (void)slice_short(); /* The pool is there by now, and the engine's threads come from it. */
    uv_run(&app->loop, UV_RUN_DEFAULT);

    app_end_works(app);
    app_stop_engines(app);
    server_close(&app->server);
    app_close_models(app);
no_server:
    server_close(&app->server);
    app_close_loop(app);
no_loop:
    app_close_ports(app);
    tls_let_go(&cert);
    keys_free(&keys);
    return rc;
}

/* The path that we were started by, so that what lies there later is what is started later; where
 * that was looked up in PATH, what it has led to. */
static void find_program(struct app *app)
{
    ssize_t len = -1;
    if (strchr(app->argv[0], '/'))
        len = snprintf(app->program, sizeof app->program, "%s", app->argv[0]);
    else
        len = readlink("/proc/self/exe", app->program, sizeof app->program - 1);
    app->program[MAX(len, 0)] = '\0';
}

static void open_log(const struct conf *c)
{
    bool journal = notify_stderr_is_journal();
    log_open((enum log_level)log_level_parse(c->log_level), journal);
    log_set_json(strcmp(c->log_format, "json") == 0);
    if (journal)
        (void)log_to_journal(NULL); /* Without it the journal gets lines. */
}

int main(int argc, char **argv)
{
    struct app app = {.argc = argc, .argv = argv, .agent.fd = -1};
    struct trit_error err;
    struct keys keys;
    struct tls_cert *cert;
    enum conf_action action;
    if (conf_load(argc, argv, &app.conf, &action, &err) != 0) {
        fprintf(stderr, "tritd: %s\n", err.text);
        return EXIT_FAILURE;
    }
    switch (action) {
    case CONF_HELP:
        conf_help(stdout);
        break;
    case CONF_LIST:
        conf_list(stdout);
        break;
    case CONF_VERSION:
        version_print(stdout);
        break;
    case CONF_CHECK:
        if (app_load_cert(&app.conf, &cert, &err) != 0 ||
            app_load_keys(&app.conf, &keys, &err) != 0) {
            fprintf(stderr, "tritd: %s\n", err.text);
            app.exit_code = EXIT_FAILURE;
            break;
        }
        tls_let_go(&cert);
        keys_free(&keys);
        conf_print(&app.conf, stdout);
        break;
    case CONF_RUN:
        /* A client that leaves in the middle of an answer is no reason to die. */
        signal(SIGPIPE, SIG_IGN);
        open_log(&app.conf);
        upgrade_child_open(&app.replaces);
        notify_open(&app.notify);
        notify_mute(&app.notify, app.replaces.fd >= 0);
        handed_open(&app.handed, app.replaces.fd >= 0);
        app.stores = app.conf.fd_store && app.notify.fd >= 0;
        app_drop_unwanted(&app);
        app_recall(&app);
        find_program(&app);
        if (start_loader(&app.conf, &err) != 0 || serve(&app, &err) != 0) {
            log_error("%s", err.text);
            notify_status(&app.notify, "%s", err.text);
            app.exit_code = EXIT_FAILURE;
        }
        loader_stop();
        log_notice("stopped exit=%d", app.exit_code);
        handed_close(&app.handed);
        recall_free(&app.recall);
        buf_free(&app.remembered);
        notify_close(&app.notify);
        log_stop(LOG_LAST_SECONDS);
        break;
    }
    conf_fini(&app.conf);
    /* --help | head, or a full disk: what could not be written was not said. */
    if (fflush(stdout) != 0)
        app.exit_code = EXIT_FAILURE;
    return app.exit_code;
}
