/* Preloaded into the bridge by tests: a disk that is slow, full or broken, and a clock that is set.
 * What it does stands in the file FAULTS_FILE, read again at each call: lines `sync_ms N`, `fail ERRNO` (writes and
 * syncs below FAULTS_FOLDER fail with it), `clock SECONDS` (the wall clock is off by so many). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct faults { long sync_ms, error, clock; };

static struct faults faults(void) {
    struct faults now = {0, 0, 0};
    const char *path = getenv("FAULTS_FILE");
    char text[256];
    if (path == NULL) return now;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return now;
    ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length < 0) length = 0;
    text[length] = 0;
    char *at;
    if ((at = strstr(text, "sync_ms ")) != NULL) now.sync_ms = atol(at + 8);
    if ((at = strstr(text, "fail ")) != NULL) now.error = atol(at + 5);
    if ((at = strstr(text, "clock ")) != NULL) now.clock = atol(at + 6);
    return now;
}

/* Whether a file lies in the folder the faults are for. */
static int ours(int fd) {
    const char *folder = getenv("FAULTS_FOLDER");
    char link[64], path[PATH_MAX];
    if (folder == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(int fd) {
    long error = faults().error;
    if (error == 0 || !ours(fd)) return 0;
    errno = (int)error;
    return 1;
}

static int sync_like(const char *name, int fd) {
    struct faults now = faults();
    if ((now.error != 0 || now.sync_ms != 0) && ours(fd)) {
        if (now.error != 0) { errno = (int)now.error; return -1; }
        struct timespec pause = {now.sync_ms / 1000, (now.sync_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
    }
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return next(fd);
}

int fsync(int fd) { return sync_like("fsync", fd); }
int fdatasync(int fd) { return sync_like("fdatasync", fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
    return fails(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return fails(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += faults().clock;
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into != NULL) *into = now.tv_sec;
    return now.tv_sec;
}
