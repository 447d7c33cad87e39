/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - the places that a serving process needs, and Landlock (linux/landlock.h), which is
 * asked for them and no others.
 *
 * Headers are older than kernels, so what this file needs of later versions it defines itself.
 */
#include "config.h"
#include "main/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "model/hf.h"
#include "main/conf.h"
#include "main/recall.h"
#include "main/sandbox-parts.h"

/* The sanitizers look at files and start programs of their own, gcov writes files at the end. */
#if TRIT_SANITIZED || defined TRIT_COVERAGE
#define INSTRUMENTED 1
#else
#define INSTRUMENTED 0
#endif

/* Of version 2, 3 and 5. */
#define FS_REFER        (UINT64_C(1) << 13)
#define FS_TRUNCATE     (UINT64_C(1) << 14)
#define FS_IOCTL_DEV    (UINT64_C(1) << 15)
#define FS_OF_VERSION_1 (FS_REFER - 1)
/* Of version 4: TCP. */
#define NET_BIND    UINT64_C(1)
#define NET_CONNECT UINT64_C(2)
/* Of version 6: signals to others. */
#define SCOPE_SIGNAL UINT64_C(2)

/* struct landlock_ruleset_attr as it is now; earlier versions end earlier. */
struct ruleset {
    uint64_t fs, net, scoped;
};

#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     FS_TRUNCATE | FS_IOCTL_DEV)

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RUN  (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define CHANGE                                                                                     \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                       \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | FS_TRUNCATE)

struct rules {
    int fd;
    uint64_t handled;
};

/* A place that is not there needs no rule. */
static void allow(const struct rules *r, const char *path, uint64_t rights)
{
    struct stat st;
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights & r->handled};
    beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0)
        return;
    if (fstat(beneath.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        beneath.allowed_access &= FILE_RIGHTS;
    (void)syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent_fd);
}

/* The folder that a file is in, and the one that it is really in.  The file may be replaced. */
static void allow_beside(const struct rules *r, const char *file, uint64_t rights)
{
    char named[PATH_MAX], real[PATH_MAX];
    if (!*file || strlen(file) >= sizeof named)
        return;
    strcpy(named, file);
    if (realpath(file, real))
        allow(r, dirname(real), rights);
    allow(r, dirname(named), rights);
}

/* What a name leads to, where that is a file. */
static void allow_file(const struct rules *r, const char *folder, const char *name)
{
    char named[PATH_MAX], real[PATH_MAX];
    struct stat st;
    int len = snprintf(named, sizeof named, "%s/%s", folder, name);
    if (len > 0 && (size_t)len < sizeof named && realpath(named, real) && stat(real, &st) == 0 &&
        S_ISREG(st.st_mode))
        allow(r, real, READ);
}

/* In the cache of the hub a model is a folder of links to files that lie in another one. */
static void allow_links(const struct rules *r, const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_LNK || e->d_type == DT_UNKNOWN)
            allow_file(r, folder, e->d_name);
    if (d)
        closedir(d);
    allow_file(r, folder, HF_POOLING);
}

/* Of the snapshot of a model, HUB/models--X/snapshots/REVISION: those that are fetched later stand
 * beside it, and what all of them link to in HUB/models--X/blobs. */
static void allow_hub(const struct rules *r, const char *snapshot)
{
    char path[PATH_MAX], all[PATH_MAX], blobs[PATH_MAX];
    if (strlen(snapshot) > sizeof path - sizeof "/../../blobs")
        return;
    snprintf(path, sizeof path, "%s/..", snapshot);
    if (!realpath(path, all) || strcmp(basename(all), "snapshots") != 0)
        return;
    snprintf(path, sizeof path, "%s/../../blobs", snapshot);
    if (!realpath(path, blobs))
        return;
    allow(r, all, READ);
    allow(r, blobs, READ);
}

static void allow_model(const struct rules *r, const struct conf *m)
{
    char folder[PATH_MAX];
    const char *template = m->chat_template;
    allow_beside(r, m->model, READ);
    allow_links(r, m->model);
    allow_hub(r, m->model);
    if (strlen(m->model) < sizeof folder) /* or it is a file in one */
        allow_hub(r, dirname(strcpy(folder, m->model)));
    if (strchr(m->tiles, '/'))
        allow_beside(r, m->tiles, READ);
    if (*template == '@' || strchr(template, '/'))
        allow_beside(r, template + (*template == '@'), READ);
}

static void allow_all(const struct rules *r, const struct conf *c, const struct recall *recalled)
{
    /* The last ones are what a library or the start of a successor reads. */
    static const char *const read[] = {
        "/proc",
        "/sys",
        "/dev/urandom",
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/local/lib",
        "/etc/hosts",
        "/etc/ld.so.cache",
        "/etc/localtime",
        "/etc/gnutls",
        "/usr/share/zoneinfo",
        "/etc/passwd",
        "/etc/group",
        "/etc/nsswitch.conf",
    };
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    for (size_t i = 0; i < ARRAY_LEN(read); i++)
        allow(r, read[i], READ);
    allow(r, "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
    for (size_t i = 0; i < conf_n_models(c); i++)
        allow_model(r, conf_model(c, i));
    for (size_t i = 0; recalled && i < recalled->n; i++)
        if (recalled->at[i].has_api)
            allow_model(r, &recalled->at[i].api);
    allow_beside(r, c->config, READ);
    allow_beside(r, c->api_keys, READ);
    allow_beside(r, c->tls_cert, READ);
    allow_beside(r, c->tls_key, READ);
    if (credentials)
        allow(r, credentials, READ);
    if (*c->powercap_dir)
        allow(r, c->powercap_dir, READ);
    allow(r, c->shm_dir, CHANGE);
    allow_beside(r, c->port_file, CHANGE);
    allow_beside(r, c->socket, CHANGE);
    if (strncmp(c->host, "unix:", 5) == 0)
        allow_beside(r, c->host + 5, CHANGE);
    /* Our own binary, or the one that takes its place, and what loads it. */
    char self[PATH_MAX];
    if (realpath("/proc/self/exe", self))
        allow(r, dirname(self), RUN);
    static const char *const loader[] = {"/lib64/ld-linux-x86-64.so.2",
                                         "/lib/ld-linux-aarch64.so.1"};
    for (size_t i = 0; i < ARRAY_LEN(loader); i++)
        allow(r, loader[i], RUN);
}

/* c NULL: nothing is allowed.  The version that is in force; 0 with errno: none. */
static int landlock_version(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static int landlock(const struct conf *c, const struct recall *recalled)
{
    int version = landlock_version();
    if (version < 1)
        return 0;
    struct ruleset all = {.fs = FS_OF_VERSION_1};
    all.fs |= version >= 2 ? FS_REFER : 0;
    all.fs |= version >= 3 ? FS_TRUNCATE : 0;
    all.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
    all.net = version >= 4 ? NET_BIND | NET_CONNECT : 0;
    all.scoped = version >= 6 ? SCOPE_SIGNAL : 0;
    size_t known = version >= 6 ? 3 : version >= 4 ? 2 : 1;
    struct rules r = {.handled = all.fs};
    r.fd = (int)syscall(SYS_landlock_create_ruleset, &all, known * sizeof all.fs, 0);
    if (r.fd < 0)
        return 0;
    if (c)
        allow_all(&r, c, recalled);
    int rc = (int)syscall(SYS_landlock_restrict_self, r.fd, 0);
    int why = errno;
    close(r.fd);
    errno = why;
    return rc == 0 ? version : 0;
}

/* Whether a call fails like this in a sandbox of ours. */
static bool is_denied(int fd, int with)
{
    int why = errno;
    if (fd >= 0)
        close(fd);
    return fd < 0 && why == with;
}

/*
 * What a predecessor has entered holds for us as it is.  Another layer of the same would take
 * nothing away, and there are 16 of them at most, of which a reader of models needs one.
 */
static bool is_inherited(struct sandbox *got)
{
    int version = landlock_version();
    if (!is_denied(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), EPERM) ||
        (version >= 1 && !is_denied(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), EACCES)))
        return false;
    *got = (struct sandbox){.landlock = version >= 1 ? version : 0, .seccomp = true};
    if (version < 1)
        got->lacks = "this kernel has no Landlock";
    return true;
}

void sandbox_enter(const struct conf *c, const struct recall *recalled, bool successor,
                   struct sandbox *got)
{
    if (successor && is_inherited(got))
        return;
    *got = (struct sandbox){0};
    if (INSTRUMENTED) {
        got->lacks = "built with a sanitizer or for gcov";
        return;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        got->lacks = strerror(errno);
        return;
    }
    got->landlock = landlock(c, recalled);
    if (!got->landlock)
        got->lacks = errno == ENOSYS || errno == EOPNOTSUPP ? "this kernel has no Landlock"
                                                            : strerror(errno);
    got->seccomp = sandbox_filter(got->landlock > 0);
    if (!got->seccomp)
        got->lacks = "this kernel filters no system calls";
}

void sandbox_enter_reader(void)
{
    if (INSTRUMENTED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return;
    (void)landlock(NULL, NULL);
    (void)sandbox_filter_reader();
}
