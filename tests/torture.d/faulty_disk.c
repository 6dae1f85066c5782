/* A disk with faults, for a process that loads this library. It concerns the database and its logs in the folder
 * DISK_FOLDER (names that contain "rollcall.db", without "-shm").
 *
 * DISK_CONTROL is a file of one page that the test maps: counters, and the fault to inject (struct control).
 * DISK_JOURNAL, if set, receives every write, truncation and sync in order. With it, the test can build each state that a
 * disk may have after a power cut: all data of completed syncs, and any part of the other writes. DISK_LIES leaves out the
 * syncs of the write-ahead log, so that the test can check that it notices a loss. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, READ = 16 };
enum { FILES = 4096 };

struct control {
    uint64_t calls;     /* Calls of the kinds in `kinds` since the test set it to 0. */
    uint64_t fail_from; /* Number of the first call that fails; 0: none. */
    uint64_t fail_count;
    uint64_t kinds;
    uint64_t error; /* errno; 0: a short write */
    uint64_t failed;
    uint64_t stall_milliseconds; /* Delay of each sync. */
    uint64_t stalled;
};

struct record {
    uint32_t kind, file;
    uint64_t offset, length;
};

static struct control *control;
static struct control nothing;
static int journal = -1;
/* Whether the disk reports syncs of the write-ahead log that it does not do. */
static int lies;
/* 0: another file. Otherwise 1 for the database, 2 for its write-ahead log, 3 for its rollback journal. */
static unsigned char tracked[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, arguments) \
    static type(*real) arguments; \
    if (!real) { \
        real = (type(*) arguments)dlsym(RTLD_NEXT, name); \
    }

__attribute__((constructor)) static void prepare(void) {
    const char *name = getenv("DISK_CONTROL");
    control = &nothing;
    if (name) {
        int file = open(name, O_RDWR | O_CLOEXEC);
        if (file >= 0) {
            void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (page != MAP_FAILED) {
                control = page;
            }
            close(file);
        }
    }
    lies = getenv("DISK_LIES") != NULL;
    name = getenv("DISK_JOURNAL");
    if (name) {
        journal = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

/* Counts a call, and returns whether it fails. */
static int is_failing(uint64_t kind) {
    if (!(control->kinds & kind)) {
        return 0;
    }
    uint64_t call = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    if (!control->fail_from || call < control->fail_from || call >= control->fail_from + control->fail_count) {
        return 0;
    }
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    return 1;
}

static int file_of(int fd) {
    return fd >= 0 && fd < FILES ? tracked[fd] : 0;
}

static ssize_t real_write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", (int, const void *, size_t));
    return real(fd, bytes, length);
}

static void note(uint32_t kind, int fd, uint64_t offset, const void *bytes, uint64_t length) {
    if (journal < 0) {
        return;
    }
    struct record record = {kind, (uint32_t)file_of(fd), offset, length};
    real_write(journal, &record, sizeof record);
    if (bytes && length) {
        real_write(journal, bytes, length);
    }
}

static int number_of(const char *path) {
    const char *folder = getenv("DISK_FOLDER");
    if (!folder || !path || strncmp(path, folder, strlen(folder)) != 0) {
        return 0;
    }
    const char *name = strstr(path + strlen(folder), "rollcall.db");
    if (!name) {
        return 0;
    }
    name += strlen("rollcall.db");
    return !*name ? 1 : !strcmp(name, "-wal") ? 2 : !strcmp(name, "-journal") ? 3 : 0;
}

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < FILES) {
        tracked[fd] = (unsigned char)number_of(path);
    }
    return fd;
}

#define OPEN_FUNCTION(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, (const char *, int, ...)); \
        va_list list; \
        va_start(list, flags); \
        int mode = va_arg(list, int); \
        va_end(list); \
        if (number_of(path) && is_failing(OPEN)) { \
            errno = control->error ? (int)control->error : EIO; \
            return -1; \
        } \
        return opened(real(path, flags, mode), path); \
    }
OPEN_FUNCTION(open)
OPEN_FUNCTION(open64)

int close(int fd) {
    REAL(int, "close", (int));
    if (fd >= 0 && fd < FILES) {
        tracked[fd] = 0;
    }
    return real(fd);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
    REAL(ssize_t, "pread64", (int, void *, size_t, off64_t));
    if (file_of(fd) && is_failing(READ)) {
        errno = control->error ? (int)control->error : EIO;
        return -1;
    }
    return real(fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    REAL(ssize_t, "pwrite64", (int, const void *, size_t, off64_t));
    if (!file_of(fd)) {
        return real(fd, bytes, length, offset);
    }
    size_t part = length;
    int error = 0;
    if (is_failing(WRITE)) {
        error = control->error ? (int)control->error : ENOSPC;
        /* SQLite repeats a short write: the disk then accepts a part and returns the error for the rest. */
        part = control->error ? 0 : length / 2;
    }
    pthread_mutex_lock(&lock);
    ssize_t written = part ? real(fd, bytes, part, offset) : 0;
    if (written > 0) {
        note(WRITE, fd, (uint64_t)offset, bytes, (uint64_t)written);
    }
    pthread_mutex_unlock(&lock);
    if (error) {
        errno = error;
        return -1;
    }
    return written;
}

int ftruncate64(int fd, off64_t length) {
    REAL(int, "ftruncate64", (int, off64_t));
    if (!file_of(fd)) {
        return real(fd, length);
    }
    if (is_failing(TRUNCATE)) {
        errno = control->error ? (int)control->error : EIO;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int result = real(fd, length);
    if (result == 0) {
        note(TRUNCATE, fd, (uint64_t)length, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int sync_file(int fd, int (*real)(int)) {
    if (!file_of(fd)) {
        return real(fd);
    }
    uint64_t stall = control->stall_milliseconds;
    if (stall) {
        __atomic_add_fetch(&control->stalled, 1, __ATOMIC_SEQ_CST);
        for (uint64_t waited = 0; waited < stall && control->stall_milliseconds; waited += 10) {
            usleep(10000);
        }
    }
    if (is_failing(SYNC)) {
        errno = control->error ? (int)control->error : EIO;
        return -1;
    }
    if (journal < 0) {
        return real(fd);
    }
    /* The disk is simulated: what is in the journal now is durable. The lock makes sure that a write of another thread is
     * either in front of it or not. */
    pthread_mutex_lock(&lock);
    if (!lies || file_of(fd) != 2) {
        note(SYNC, fd, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) {
    REAL(int, "fsync", (int));
    return sync_file(fd, real);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", (int));
    return sync_file(fd, real);
}

int unlink(const char *path) {
    REAL(int, "unlink", (const char *));
    int number = number_of(path);
    pthread_mutex_lock(&lock);
    int result = real(path);
    if (result == 0 && number && journal >= 0) {
        struct record record = {TRUNCATE, (uint32_t)number, UINT64_MAX, 0};
        real_write(journal, &record, sizeof record);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
