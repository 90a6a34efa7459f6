/* The disk of the simulation, preloaded into its process: real files in a memory file system, but what was written and
 * not synced can be lost, a write can fail, and at any operation the machine can lose its power.
 *
 * Only files below the folder SIMULATED_DISK count. Names (create, rename, delete) are durable at once, as on a
 * file system with an ordered journal; bytes and lengths are durable when the file is synced. Files whose name ends in
 * `-shm` are memory and no disk. Orders are lines written to the file `.disk` in that folder:
 *   fail ERRNO    from now on each write and sync fails (0: no longer)
 *   stop N        the power fails at the Nth operation from now (0: now; -1: not at all): nothing reaches the disk any more
 *   lose SEED     what was not synced is lost: of each file all, nothing, or all behind some write; then the power is back
 *   forget        what is there is durable, and the power is back
 * While the power is away, the file `.stopped` is there. The system's random numbers are always the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* How to take back one write: the old length, and the old bytes at an offset. */
struct undo { off_t size, offset; size_t length; char *bytes; };
struct file { dev_t dev; ino_t ino; int own; struct undo *undo; size_t count, room; };

enum { DESCRIPTORS = 4096, FILES = 4096 };
static struct file *files[FILES];
static size_t file_count;
static struct file *of[DESCRIPTORS];
static char control[DESCRIPTORS];
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static long stop_after = -1;
static int stopped, error;

static const char *root(void) {
    static const char *folder;
    if (folder == NULL) folder = getenv("SIMULATED_DISK");
    return folder;
}

static int below(const char *path) {
    const char *folder = root();
    size_t length = folder == NULL ? 0 : strlen(folder);
    return length != 0 && strncmp(path, folder, length) == 0 && path[length] == '/';
}

static int ends_in(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return tail <= length && strcmp(path + length - tail, end) == 0;
}

static void mark(int there) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.stopped", root());
    if (there) syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    else syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* One operation on the disk; says whether it fails. A full disk still syncs, deletes, and writes over what is there. */
static int fails(int needs_room) {
    if (!stopped && 0 <= stop_after && stop_after-- == 0) {
        stopped = 1;
        mark(1);
    }
    if (stopped) { errno = EIO; return 1; }
    if (error != 0 && (needs_room || error != ENOSPC)) { errno = error; return 1; }
    return 0;
}

static void opened(int fd, const char *path, int flags) {
    struct stat at;
    if (fd < 0 || DESCRIPTORS <= fd) return;
    of[fd] = NULL;
    control[fd] = ends_in(path, "/.disk");
    if ((flags & O_ACCMODE) == O_RDONLY || control[fd] || ends_in(path, "-shm")) return;
    if (fstat(fd, &at) != 0 || !S_ISREG(at.st_mode)) return;
    for (size_t i = 0; i < file_count; i++)
        if (files[i]->dev == at.st_dev && files[i]->ino == at.st_ino) { of[fd] = files[i]; return; }
    if (file_count == FILES) return;
    struct file *file = calloc(1, sizeof *file);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    file->dev = at.st_dev;
    file->ino = at.st_ino;
    file->own = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    files[file_count++] = of[fd] = file;
}

static void remember(struct file *file, off_t offset, size_t length) {
    struct stat at;
    struct undo undo = {0, offset, 0, NULL};
    if (fstat(file->own, &at) != 0) return;
    undo.size = at.st_size;
    if (offset < at.st_size) {
        undo.length = length < (size_t)(at.st_size - offset) ? length : (size_t)(at.st_size - offset);
        undo.bytes = malloc(undo.length);
        if (syscall(SYS_pread64, file->own, undo.bytes, undo.length, offset) != (long)undo.length) abort();
    }
    if (file->count == file->room) {
        file->room = file->room * 2 + 8;
        file->undo = realloc(file->undo, file->room * sizeof *file->undo);
    }
    file->undo[file->count++] = undo;
}

static void durable(struct file *file) {
    for (size_t i = 0; i < file->count; i++) free(file->undo[i].bytes);
    file->count = 0;
}

static void take_back(struct file *file, size_t keep) {
    while (keep < file->count) {
        struct undo *undo = &file->undo[--file->count];
        if (syscall(SYS_ftruncate, file->own, undo->size) != 0) abort();
        if (undo->length != 0 &&
            syscall(SYS_pwrite64, file->own, undo->bytes, undo->length, undo->offset) != (long)undo->length) abort();
        free(undo->bytes);
    }
    durable(file);
}

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void end_files(uint64_t seed) {
    uint64_t state = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < file_count; i++) {
        struct file *file = files[i];
        size_t keep = file->count;
        if (seed != 0)
            switch (next(&state) % 3) {
            case 0: keep = 0; break;
            case 1: keep = next(&state) % (file->count + 1); break;
            default: break;
            }
        take_back(file, keep);
        syscall(SYS_close, file->own);
        free(file->undo);
        free(file);
    }
    file_count = 0;
    memset(of, 0, sizeof of);
    stopped = error = 0;
    stop_after = -1;
    mark(0);
}

static void order(const char *text, size_t length) {
    char line[64] = {0};
    memcpy(line, text, length < sizeof line - 1 ? length : sizeof line - 1);
    if (strncmp(line, "fail ", 5) == 0) error = atoi(line + 5);
    else if (strncmp(line, "stop ", 5) == 0) {
        stop_after = atol(line + 5);
        if (stop_after == 0) { stop_after = -1; stopped = 1; mark(1); }
    } else if (strncmp(line, "lose ", 5) == 0) end_files(strtoull(line + 5, NULL, 10) + 1);
    else if (strncmp(line, "forget", 6) == 0) end_files(0);
    else abort();
}

#define GUARDED(result, body) do { pthread_mutex_lock(&guard); result = (body); pthread_mutex_unlock(&guard); } while (0)
#define KNOWN(fd) (0 <= (fd) && (fd) < DESCRIPTORS && of[fd] != NULL)

static int open_any(int dir, const char *path, int flags, mode_t mode) {
    int refused = 0;
    if (below(path) && (flags & (O_CREAT | O_TRUNC)) && !ends_in(path, "/.disk") && !ends_in(path, "-shm")) {
        if (stopped) { errno = EIO; refused = 1; }
        else if (error != 0) { errno = error; refused = 1; }
    }
    if (refused) return -1;
    if (below(path) && (flags & O_TRUNC) && !ends_in(path, "/.disk")) {
        /* The old bytes of a file that is written anew: a truncation by hand, which can be taken back. */
        int fd = (int)syscall(SYS_openat, dir, path, (flags & ~O_TRUNC & ~O_ACCMODE) | O_RDWR, mode);
        if (fd < 0) return fd;
        pthread_mutex_lock(&guard);
        opened(fd, path, O_RDWR);
        struct stat at;
        if (of[fd] != NULL && fstat(fd, &at) == 0 && 0 < at.st_size) {
            remember(of[fd], 0, (size_t)at.st_size);
            syscall(SYS_ftruncate, fd, 0);
        }
        pthread_mutex_unlock(&guard);
        return fd;
    }
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (0 <= fd && fd < DESCRIPTORS) {
        pthread_mutex_lock(&guard);
        of[fd] = NULL;
        control[fd] = 0;
        if (below(path)) opened(fd, path, flags);
        pthread_mutex_unlock(&guard);
    }
    return fd;
}

#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags) return open_any(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags) return open_any(dir, path, flags, mode); }

int close(int fd) {
    if (0 <= fd && fd < DESCRIPTORS) { of[fd] = NULL; control[fd] = 0; }
    return (int)syscall(SYS_close, fd);
}

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset, int here) {
    ssize_t result;
    if (!KNOWN(fd)) return here ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
    pthread_mutex_lock(&guard);
    struct stat at;
    if (here) offset = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    result = fails(fstat(fd, &at) != 0 || at.st_size < offset + (off_t)length) ? -1 : 0;
    if (result == 0) remember(of[fd], offset, length);
    pthread_mutex_unlock(&guard);
    if (result != 0) return -1;
    return here ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (0 <= fd && fd < DESCRIPTORS && control[fd]) {
        pthread_mutex_lock(&guard);
        order(bytes, length);
        pthread_mutex_unlock(&guard);
        return (ssize_t)length;
    }
    return write_at(fd, bytes, length, 0, 1);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return write_at(fd, bytes, length, offset, 0); }

static int truncate_fd(int fd, off_t size) {
    int result = 0;
    if (KNOWN(fd)) {
        struct stat at;
        GUARDED(result, fails(0) ? -1 : 0);
        if (result != 0) return -1;
        if (fstat(fd, &at) == 0) remember(of[fd], size < at.st_size ? size : at.st_size, size < at.st_size ? (size_t)(at.st_size - size) : 0);
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return truncate_fd(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_fd(fd, size); }

static int sync_fd(int fd) {
    int result;
    if (!KNOWN(fd)) return 0;
    GUARDED(result, fails(0) ? -1 : (durable(of[fd]), 0));
    return result;
}
int fsync(int fd) { return sync_fd(fd); }
int fdatasync(int fd) { return sync_fd(fd); }

static int refused(const char *path) {
    int result = 0;
    if (below(path)) GUARDED(result, fails(0));
    return result;
}
int unlink(const char *path) { return refused(path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return refused(path) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags); }
int rmdir(const char *path) { return refused(path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR); }
int rename(const char *from, const char *to) { return refused(from) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int mkdir(const char *path, mode_t mode) { return refused(path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }

/* Random numbers of the system are always the same: hash maps of one thread begin with them, and their order must follow
 * from the seed alone. */
ssize_t getrandom(void *bytes, size_t length, unsigned int flags) {
    (void)flags;
    memset(bytes, 7, length);
    return (ssize_t)length;
}
