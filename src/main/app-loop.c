/* SPDX-License-Identifier: MIT */
/*
 * app-loop.c - the loop, and the signals that reload, replace or stop the daemon.
 *
 * A stop drains: who is being served has drain-seconds to the end of his answer.  A second signal
 * ends the wait, or, while a model is still being loaded, the process: the only place but main.c.
 *
 * A successor (upgrade.h) is started from settings, keys and models as they are then.  What a
 * reload or the API changes until it is ready holds at once, here, and outdates it: another one is
 * started in its place.
 */
#include "config.h"
#include "main/app.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "model/model.h"
#include "server/server.h"

/* Successors for one SIGUSR2. */
enum { UPGRADE_TRIES = 5 };

static const int signals[APP_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

/* ------------------------------------------------------------------ what signals do */

static void drained(void *arg)
{
    struct app *app = arg;
    uv_stop(&app->loop);
}

static void stop(struct app *app, int signo)
{
    if (app->state == STOPPING && app->is_loading) {
        /* The loader has been told.  Who cannot wait for it leaves a half-built segment, which the
         * next start removes. */
        log_warn("killed signal=%s state=loading", strsignal(signo));
        _exit(EXIT_FAILURE);
    }
    if (app->state == STOPPING) {
        log_notice("stopping signal=%s drain=given_up", strsignal(signo));
        uv_stop(&app->loop);
        return;
    }
    log_notice("stopping signal=%s state=%s", strsignal(signo),
               app->is_loading ? "loading" : "serving");
    app->state = STOPPING;
    notify_send(&app->notify, "STOPPING=1");
    atomic_store(&app->stop_loading, true);
    app_refuse_waiting(app);
    if (app->is_loading && app->loading) /* whose end ends the loop */
        return;
    server_drain(app->server, app->conf.drain_seconds, drained, app);
    /* Nobody accepts any more, so nobody shall wait in vain: connections are refused from now on,
     * or wait in systemd's copy of the socket for the next start.  The agent stays, to say so. */
    listen_close(&app->sockets);
}

static void begin_upgrade(struct app *app);

/* A successor has ended without having been needed.  One that was too late is followed by another.
 */
static void successor_ended(struct upgrade *u, void *arg)
{
    struct app *app = arg;
    if (app->state == SERVING && u->given_up && app->tries < UPGRADE_TRIES)
        begin_upgrade(app);
}

/* It was started with keys, settings and models that are not those any more: a key that was revoked
 * meanwhile must not be let in again, nor a model be lost. */
static void refuse_outdated(struct app *app)
{
    int pid = upgrade_pid(&app->upgrade);
    if (app->tries < UPGRADE_TRIES)
        log_notice("upgrade anew pid=%d reason=\"settings or models have changed meanwhile\"", pid);
    else
        log_error(
            "upgrade failed pid=%d reason=\"settings or models have changed each of %u times\"",
            pid, app->tries);
    upgrade_give_up(&app->upgrade);
}

/* A successor is ready to accept: it is the daemon from now on, and we finish what we have begun.
 */
static void step_down(struct upgrade *u, void *arg)
{
    struct app *app = arg;
    if (app->state != SERVING) {
        upgrade_give_up(u);
        return;
    }
    if (app->changed) {
        refuse_outdated(app);
        return;
    }
    log_notice("upgrade done pid=%d drain_seconds=%g", upgrade_pid(u), app->conf.drain_seconds);
    app->state = STOPPING;
    app->replaced = true;
    notify_send(&app->notify, "MAINPID=%d", upgrade_pid(u));
    notify_mute(&app->notify, true);
    atomic_store(&app->stop_loading, true);
    app_refuse_waiting(app);
    server_leave(app->server, app->conf.drain_seconds, drained, app);
    app_leave_ports(app);
    upgrade_go(u);
}

static void begin_upgrade(struct app *app)
{
    struct upgrade_gift gift[SERVER_MODELS + 2];
    size_t n = 0;
    int changes = app_save_changes(app);
    if (app->agent.fd >= 0)
        gift[n++] = (struct upgrade_gift){HANDED_AGENT, app->agent.fd};
    if (changes >= 0)
        gift[n++] = (struct upgrade_gift){HANDED_MODELS, changes};
    for (const struct app_model *m = app->models; m && n < ARRAY_LEN(gift); m = m->next)
        if (m->state == MODEL_READY && *m->weights && !m->model->segment.shared)
            gift[n++] = (struct upgrade_gift){m->weights, m->model->segment.fd};
    app->changed = false;
    app->tries++;
    upgrade_begin(&app->upgrade, &app->loop, app->program, app->argv, &app->sockets, gift, n,
                  &app->notify, step_down, successor_ended, app);
    if (changes >= 0)
        close(changes);
}

static void upgrade(struct app *app)
{
    if (app->state != SERVING || upgrade_goes_on(&app->upgrade)) {
        log_warn("upgrade refused reason=\"%s\"",
                 app->state == SERVING ? "one is going on" : "not serving");
        return;
    }
    app->tries = 0;
    begin_upgrade(app);
}

static void signalled(uv_signal_t *handle, int signo)
{
    struct app *app = handle->data;
    if (signo == SIGUSR2)
        upgrade(app);
    else if (signo != SIGHUP)
        stop(app, signo);
    else if (app->replaced) /* Who asks us has not heard yet whom to ask; he waits for our end. */
        (void)kill(upgrade_pid(&app->upgrade), signo);
    else if (app->state != STOPPING)
        app_reload(app);
}

/* ------------------------------------------------------------------ opening and closing */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* libuv gives signals their defaults back, which are to end us.  What comes so late changes nothing
 * any more: it waits, and then is ignored. */
void app_close_loop(struct app *app)
{
    sigset_t late;
    sigemptyset(&late);
    for (int i = 0; i < APP_SIGNALS; i++)
        sigaddset(&late, signals[i]);
    pthread_sigmask(SIG_BLOCK, &late, NULL);
    uv_walk(&app->loop, close_handle, NULL);
    uv_run(&app->loop, UV_RUN_DEFAULT);
    for (int i = 0; i < APP_SIGNALS; i++)
        signal(signals[i], SIG_IGN);
    trit_assert(uv_loop_close(&app->loop) == 0);
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* libuv calls abort() when its pool cannot start, so what that needs is tried first. */
static int try_threads(struct trit_error *err)
{
    enum { POOL = 4 }; /* libuv's default */
    pthread_t thread[POOL];
    unsigned n = 0;
    int rc = 0;
    while (n < POOL && rc == 0) {
        rc = pthread_create(&thread[n], NULL, end_at_once, NULL);
        n += rc == 0;
    }
    while (n)
        pthread_join(thread[--n], NULL);
    return rc ? trit_fail(err, TRIT_ENOMEM, "cannot start %d threads: %s", POOL, strerror(rc)) : 0;
}

int app_open_loop(struct app *app, struct trit_error *err)
{
    int rc = try_threads(err);
    if (rc)
        return rc;
    rc = uv_loop_init(&app->loop);
    if (rc != 0)
        return trit_fail(err, TRIT_EIO, "cannot open the event loop: %s", uv_strerror(rc));
    app->tick.data = app;
    trit_assert(uv_timer_init(&app->loop, &app->tick) == 0);
    app->accept.data = app;
    trit_assert(uv_timer_init(&app->loop, &app->accept) == 0);
    for (int i = 0; i < APP_SIGNALS && rc == 0; i++) {
        app->on_signal[i].data = app;
        rc = uv_signal_init(&app->loop, &app->on_signal[i]);
        if (rc == 0)
            rc = uv_signal_start(&app->on_signal[i], signalled, signals[i]);
    }
    if (rc != 0) {
        app_close_loop(app);
        return trit_fail(err, TRIT_EIO, "cannot watch for signals: %s", uv_strerror(rc));
    }
    app_begin_ticks(app);
    return 0;
}
